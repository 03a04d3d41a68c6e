"""LiteRT: kernels, files, and its interpreter."""

"""LiteRT's interpreter, in this process or in one of its own."""

"""Integer activation functions: tables of 256 entries, and leaky ReLU."""

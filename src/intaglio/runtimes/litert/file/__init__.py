"""A network's .tflite: what it cannot hold, its size, its bytes, what it says of itself."""

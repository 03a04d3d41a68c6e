"""Writing .tflite files, and running them to compare every tensor with the twin."""

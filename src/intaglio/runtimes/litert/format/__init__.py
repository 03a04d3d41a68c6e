"""The format .tflite: builder, packing, order of axes, and the verifier of strangers' files."""

"""What a runtime is to the rest of the code."""

"""What a network costs to run: multiply-accumulates and weights, layer by layer."""

"""What training a detector makes small, told by its post-processing alone: one file a loss."""

"""Training without images: what a network is shown is made up, from what it tells itself."""

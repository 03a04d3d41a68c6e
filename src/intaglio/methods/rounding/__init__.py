"""Which way each weight is rounded, layer by layer: second order, AdaRound."""

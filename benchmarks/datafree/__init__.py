"""Quantization without images, measured: MobileNets, ResNet-20 beside published codes, games."""

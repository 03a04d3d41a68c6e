"""Float networks rewritten, before calibration, so that they quantize better."""

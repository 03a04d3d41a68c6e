"""A graph run: in float32, in the integers of a target (the twin), and in part."""

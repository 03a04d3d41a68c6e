"""Segmenters: intersection over union of their maps, how sure a loss of it is, their losses."""

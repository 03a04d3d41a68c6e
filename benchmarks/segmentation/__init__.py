"""Segmenters, measured."""

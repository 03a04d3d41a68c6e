"""Grids and roundings: what an integer stands for, and how one becomes another."""

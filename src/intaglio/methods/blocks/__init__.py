"""Rounding and steps learned block by block: BRECQ and QDrop."""

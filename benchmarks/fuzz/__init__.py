"""Damaged and hostile files, thousands of each format, and what becomes of each."""

"""The main job on a small scale: handwritten digits, a checkpoint that ships, no network access.

`python -m intaglio.demo` runs it; `examples/train_digits.py` in the repository made the checkpoint.
"""

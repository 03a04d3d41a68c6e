"""Floor 1: images in. Folders, CSV manifests and parquet files become batches of tensors.

`images` holds what other floors call; the other files are one concept each.
"""

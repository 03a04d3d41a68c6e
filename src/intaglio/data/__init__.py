"""Images in: folders, CSV manifests and parquet files become batches of tensors.

`images` holds what other rooms call; the other files are one concept each.
"""

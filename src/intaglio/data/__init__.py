"""Images in: folders, CSV manifests, parquet files and tar shards become batches of tensors.

`images` holds what other rooms call; the other files are one concept each.
"""

"""Labels as a network needs them, of data sets that have more than one kind."""

from __future__ import annotations

from intaglio.data.dataset import Dataset
from intaglio.data.mask_sets import as_masks
from intaglio.maps.postprocess import MapPostProcess
from intaglio.targets.ending import Ending
from intaglio.tasks.own import own_task
from intaglio.tasks.segment.segment import SEGMENT


def labelled_for(dataset: Dataset, post: Ending | None, task: str | None) -> Dataset:
    """Return a data set with the labels of the task: masks for a segmenter, else as it was opened.

    Args:
        dataset: As `open_dataset` returns it.
        post: What the network's outputs are made into.
        task: What the user chose; None: the network's own.

    Raises:
        DataError, RequestError: If the set has masks that cannot be read.
    """
    own = own_task(post)
    name = task or (own.name if own else None)
    if name != SEGMENT.name:
        return dataset
    return as_masks(dataset, post.names if isinstance(post, MapPostProcess) else ())

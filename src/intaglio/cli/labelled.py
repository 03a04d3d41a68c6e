"""Labels as a network needs them, of data sets that have more than one kind."""

from __future__ import annotations

from intaglio.data.dataset import Dataset
from intaglio.data.mask import Mask, UnreadMask
from intaglio.data.mask_sets import as_masks
from intaglio.data.pictured import with_pictures
from intaglio.maps.postprocess import MapPostProcess
from intaglio.targets.ending import Ending
from intaglio.tasks.crf.parameters import DEEPLAB_VOC
from intaglio.tasks.own import own_task
from intaglio.tasks.segment.outputs import post_of
from intaglio.tasks.segment.segment import SEGMENT
from intaglio.tasks.task import Shapes


def labelled_for(
    dataset: Dataset, post: Ending | None, task: str | None, *, crf: bool = False
) -> Dataset:
    """Return a data set with the labels of the task: masks for a segmenter, else as it was opened.

    Args:
        dataset: As `open_dataset` returns it.
        post: What the network's outputs are made into.
        task: What the user chose; None: the network's own.
        crf: Whether maps are to be refined, so that masks have to bring their pictures along.

    Raises:
        DataError, RequestError: If the set has masks that cannot be read.
    """
    own = own_task(post, crf=DEEPLAB_VOC if crf else None)
    name = task or (own.name if own else None)
    if name != SEGMENT.name:
        return dataset
    masks = as_masks(dataset, post.names if isinstance(post, MapPostProcess) else ())
    return with_pictures(masks) if crf else masks


def has_masks(dataset: Dataset | None) -> bool:
    """Whether a data set has masks for labels."""
    if dataset is None or not len(dataset):
        return False
    return isinstance(dataset.items[0].label, Mask | UnreadMask)


def post_told(dataset: Dataset, outputs: Shapes) -> MapPostProcess | None:
    """Return how a file alone is read that is judged by masks; None: masks do not tell.

    A first output [N, h, w] holds the classes, of which there are as many as the masks have names;
    one of several channels their scores.

    Args:
        dataset: That judges it.
        outputs: Shapes of the file's outputs, the batch first.

    Raises:
        DataError: If there is one channel, which may be anything.
    """
    if not has_masks(dataset):
        return None
    if len(outputs[0]) == 3 and dataset.categories:
        return MapPostProcess(len(dataset.categories), rule="index")
    return post_of(None, outputs)

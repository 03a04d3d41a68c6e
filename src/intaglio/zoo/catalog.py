"""The catalogue of the zoo: each network's name, how it is built, and what input it expects."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import signature

from torch import nn

from intaglio.data.preprocess import Preprocess
from intaglio.registry import Registry
from intaglio.store.layout import Layout
from intaglio.zoo.deeplab_v1 import deeplab_v1_largefov_vgg16
from intaglio.zoo.deeplabv3 import deeplabv3_mobilenet_v2
from intaglio.zoo.faster_rcnn import (
    fasterrcnn_mobilenet_v2_fpn,
    fasterrcnn_mobilenet_v3_large_320_fpn,
    fasterrcnn_mobilenet_v3_large_fpn,
)
from intaglio.zoo.layouts import darknet_yolov3_nano, tensorflow_ssd_mobilenet_v1
from intaglio.zoo.lraspp import lraspp_mobilenet_v3_large
from intaglio.zoo.map_layouts import mediapipe_selfie_segmentation, tensorflow_deeplabv3
from intaglio.zoo.mobilenet_v1 import mobilenet_v1, mobilenet_v1_tf, qf_mobilenet_v1
from intaglio.zoo.mobilenet_v2 import mobilenet_v2, mobilenet_v2_tf, qf_mobilenet_v2
from intaglio.zoo.mobilenet_v3 import (
    mobilenet_v3_large,
    mobilenet_v3_small,
    qf_mobilenet_v3_large,
    qf_mobilenet_v3_small,
)
from intaglio.zoo.nasnet import nasnet_mobile, pnasnet5_mobile
from intaglio.zoo.pan import pan_mobilenet_v2, pan_resnet101
from intaglio.zoo.resnet_cifar import resnet20_cifar10
from intaglio.zoo.retinanet import retinanet_mobilenet_v2_fpn, retinanet_resnet50_fpn
from intaglio.zoo.selfie import selfie_segmentation
from intaglio.zoo.spp import mobilenet_v2_spp
from intaglio.zoo.ssd import ssd300_vgg16
from intaglio.zoo.ssd_mobilenet_v1 import ssd_mobilenet_v1
from intaglio.zoo.ssdlite import ssdlite320_mobilenet_v3_large, ssdlite_mobilenet_v2
from intaglio.zoo.yolov3_nano import yolov3_nano_mobilenet_v2

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
PYTORCH_PHOTOGRAPH = Preprocess(resize=256, crop=224, mean=IMAGENET_MEAN, std=IMAGENET_STD)
# RGB / 127.5 - 1
TENSORFLOW_PHOTOGRAPH = Preprocess(resize=256, crop=224, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
SMALL_INPUT_SHAPE = (1, 3, 32, 32)
CLASSIFY, DETECT, SEGMENT = "classify", "detect", "segment"
# of detectors and segmenters, which see whole pictures
PYTORCH_PICTURE = Preprocess(mean=IMAGENET_MEAN, std=IMAGENET_STD, fit="stretch")
TENSORFLOW_PICTURE = Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), fit="stretch")
VGG_PICTURE = Preprocess(
    mean=(0.48235, 0.45882, 0.40784), std=(1 / 255, 1 / 255, 1 / 255), fit="stretch"
)


@dataclass(frozen=True)
class ZooEntry:
    """One network of the zoo.

    Attributes:
        name: What the command line calls it.
        build: Makes the network; keyword arguments (`width`, `num_classes`, ...) are all optional.
        preprocess: What is done to an ordinary photograph before it goes in.
        input_shape: [1, 3, H, W] in pixels; the batch may be any other.
        layouts: Other keys that public files have its weights under.
        task: What it is trained for, by the name of a task: one output of scores, boxes, or classes
            of pixels.
    """

    name: str
    build: Callable[..., nn.Module]
    preprocess: Preprocess
    input_shape: tuple[int, ...] = (1, 3, 224, 224)
    layouts: tuple[Layout, ...] = ()
    task: str = CLASSIFY

    def with_arguments(self, arguments: Mapping[str, object]) -> ZooEntry:
        """Return the entry as it is for a network built with `arguments`.

        `small_input=True` means 32x32 images, neither resized nor cropped; a backbone of TensorFlow
        has TensorFlow's mean and standard deviation, and one of PyTorch in place of such has
        PyTorch's.
        """
        backbone = arguments.get("backbone")
        if backbone is not None and _is_tensorflow(backbone) != self._has_tensorflow_backbone:
            picture = TENSORFLOW_PICTURE if _is_tensorflow(backbone) else PYTORCH_PICTURE
            preprocess = replace(self.preprocess, mean=picture.mean, std=picture.std)
            return replace(self, preprocess=preprocess)
        if not arguments.get("small_input"):
            return self
        preprocess = replace(self.preprocess, resize=None, crop=None)
        return replace(self, preprocess=preprocess, input_shape=SMALL_INPUT_SHAPE)

    @property
    def _has_tensorflow_backbone(self) -> bool:
        """Whether the backbone is one of TensorFlow where none is named."""
        parameter = signature(self.build).parameters.get("backbone")
        return parameter is not None and _is_tensorflow(parameter.default)


def _is_tensorflow(backbone: object) -> bool:
    return str(backbone).endswith("_tf")


ZOO: Registry[ZooEntry] = Registry("model")


def _add(entry: ZooEntry) -> None:
    ZOO.register(entry.name)(entry)


_add(ZooEntry("mobilenet_v1", mobilenet_v1, PYTORCH_PHOTOGRAPH))
_add(ZooEntry("mobilenet_v1_tf", mobilenet_v1_tf, TENSORFLOW_PHOTOGRAPH))
_add(ZooEntry("mobilenet_v2", mobilenet_v2, PYTORCH_PHOTOGRAPH))
_add(ZooEntry("mobilenet_v2_tf", mobilenet_v2_tf, TENSORFLOW_PHOTOGRAPH))
_add(ZooEntry("mobilenet_v3_large", mobilenet_v3_large, PYTORCH_PHOTOGRAPH))
_add(ZooEntry("mobilenet_v3_small", mobilenet_v3_small, PYTORCH_PHOTOGRAPH))
_add(ZooEntry("mobilenet_v2_spp", mobilenet_v2_spp, PYTORCH_PHOTOGRAPH))
_add(ZooEntry("nasnet_mobile", nasnet_mobile, TENSORFLOW_PHOTOGRAPH))
_add(ZooEntry("pnasnet5_mobile", pnasnet5_mobile, TENSORFLOW_PHOTOGRAPH))
_add(ZooEntry("qf_mobilenet_v1", qf_mobilenet_v1, PYTORCH_PHOTOGRAPH))
_add(ZooEntry("qf_mobilenet_v2", qf_mobilenet_v2, PYTORCH_PHOTOGRAPH))
_add(ZooEntry("qf_mobilenet_v3_large", qf_mobilenet_v3_large, PYTORCH_PHOTOGRAPH))
_add(ZooEntry("qf_mobilenet_v3_small", qf_mobilenet_v3_small, PYTORCH_PHOTOGRAPH))
_add(
    ZooEntry(
        "resnet20_cifar10",
        resnet20_cifar10,
        Preprocess(mean=IMAGENET_MEAN, std=IMAGENET_STD),
        SMALL_INPUT_SHAPE,
    )
)
_add(
    ZooEntry(
        "ssd_mobilenet_v1",
        ssd_mobilenet_v1,
        Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), fit="stretch"),
        (1, 3, 300, 300),
        (tensorflow_ssd_mobilenet_v1(),),
        task=DETECT,
    )
)
_add(
    ZooEntry(
        "yolov3_nano_mobilenet_v2",
        yolov3_nano_mobilenet_v2,
        Preprocess(fit="stretch"),
        (1, 3, 320, 320),
        (darknet_yolov3_nano(),),
        task=DETECT,
    )
)


for _build, _picture, _side in (
    (fasterrcnn_mobilenet_v2_fpn, PYTORCH_PICTURE, 320),
    (fasterrcnn_mobilenet_v3_large_320_fpn, PYTORCH_PICTURE, 320),
    (fasterrcnn_mobilenet_v3_large_fpn, PYTORCH_PICTURE, 640),
    (retinanet_mobilenet_v2_fpn, PYTORCH_PICTURE, 320),
    (retinanet_resnet50_fpn, PYTORCH_PICTURE, 640),
    (ssd300_vgg16, VGG_PICTURE, 300),
    (ssdlite320_mobilenet_v3_large, TENSORFLOW_PICTURE, 320),
    (ssdlite_mobilenet_v2, PYTORCH_PICTURE, 320),
):
    _add(ZooEntry(_build.__name__, _build, _picture, (1, 3, _side, _side), task=DETECT))
_add(
    ZooEntry(
        "deeplabv3_mobilenet_v2",
        deeplabv3_mobilenet_v2,
        TENSORFLOW_PICTURE,
        (1, 3, 257, 257),
        (tensorflow_deeplabv3(),),
        task=SEGMENT,
    )
)
_add(
    ZooEntry(
        "selfie_segmentation",
        selfie_segmentation,
        Preprocess(fit="stretch"),
        (1, 3, 256, 256),
        (mediapipe_selfie_segmentation(),),
        task=SEGMENT,
    )
)
for _segmenter, _side in (
    (deeplab_v1_largefov_vgg16, 321),
    (lraspp_mobilenet_v3_large, 520),
    (pan_mobilenet_v2, 512),
    (pan_resnet101, 512),
):
    _shape = (1, 3, _side, _side)
    _add(ZooEntry(_segmenter.__name__, _segmenter, PYTORCH_PICTURE, _shape, task=SEGMENT))


def names(task: str | None = None) -> tuple[str, ...]:
    """Return the names of all networks of the zoo, or of those for one task, sorted."""
    return tuple(name for name in ZOO if task in (None, ZOO[name].task))

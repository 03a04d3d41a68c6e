"""The zoo: plain nn.Modules with the key names that their public weights use."""

from intaglio.zoo.catalog import ZOO, ZooEntry, names
from intaglio.zoo.deeplab_v1 import deeplab_v1_largefov_vgg16
from intaglio.zoo.deeplabv3 import deeplabv3_mobilenet_v2
from intaglio.zoo.faster_rcnn import (
    fasterrcnn_mobilenet_v2_fpn,
    fasterrcnn_mobilenet_v3_large_320_fpn,
    fasterrcnn_mobilenet_v3_large_fpn,
)
from intaglio.zoo.genotype import NASNET_A, PNASNET_5, Genotype
from intaglio.zoo.lraspp import lraspp_mobilenet_v3_large
from intaglio.zoo.mobilenet_v1 import mobilenet_v1, mobilenet_v1_tf, qf_mobilenet_v1
from intaglio.zoo.mobilenet_v2 import mobilenet_v2, mobilenet_v2_tf, qf_mobilenet_v2
from intaglio.zoo.mobilenet_v3 import (
    mobilenet_v3_large,
    mobilenet_v3_small,
    qf_mobilenet_v3_large,
    qf_mobilenet_v3_small,
)
from intaglio.zoo.nasnet import nasnet, nasnet_mobile, pnasnet5_mobile
from intaglio.zoo.pan import pan_mobilenet_v2, pan_resnet101
from intaglio.zoo.resnet_cifar import resnet20_cifar10
from intaglio.zoo.retinanet import retinanet_mobilenet_v2_fpn, retinanet_resnet50_fpn
from intaglio.zoo.selfie import selfie_segmentation
from intaglio.zoo.spp import mobilenet_v2_spp
from intaglio.zoo.ssd import ssd300_vgg16
from intaglio.zoo.ssd_mobilenet_v1 import ssd_mobilenet_v1
from intaglio.zoo.ssdlite import ssdlite320_mobilenet_v3_large, ssdlite_mobilenet_v2
from intaglio.zoo.yolov3_nano import yolov3_nano_mobilenet_v2

__all__ = [
    "NASNET_A",
    "PNASNET_5",
    "ZOO",
    "Genotype",
    "ZooEntry",
    "deeplab_v1_largefov_vgg16",
    "deeplabv3_mobilenet_v2",
    "fasterrcnn_mobilenet_v2_fpn",
    "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn",
    "lraspp_mobilenet_v3_large",
    "mobilenet_v1",
    "mobilenet_v1_tf",
    "mobilenet_v2",
    "mobilenet_v2_spp",
    "mobilenet_v2_tf",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "names",
    "nasnet",
    "nasnet_mobile",
    "pan_mobilenet_v2",
    "pan_resnet101",
    "pnasnet5_mobile",
    "qf_mobilenet_v1",
    "qf_mobilenet_v2",
    "qf_mobilenet_v3_large",
    "qf_mobilenet_v3_small",
    "resnet20_cifar10",
    "retinanet_mobilenet_v2_fpn",
    "retinanet_resnet50_fpn",
    "selfie_segmentation",
    "ssd300_vgg16",
    "ssd_mobilenet_v1",
    "ssdlite320_mobilenet_v3_large",
    "ssdlite_mobilenet_v2",
    "yolov3_nano_mobilenet_v2",
]

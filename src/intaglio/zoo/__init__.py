"""The zoo: plain nn.Modules with the key names that their public weights use."""

from intaglio.zoo.catalog import ZOO, ZooEntry, names
from intaglio.zoo.genotype import NASNET_A, PNASNET_5, Genotype
from intaglio.zoo.mobilenet_v1 import mobilenet_v1, mobilenet_v1_tf, qf_mobilenet_v1
from intaglio.zoo.mobilenet_v2 import mobilenet_v2, mobilenet_v2_tf, qf_mobilenet_v2
from intaglio.zoo.mobilenet_v3 import (
    mobilenet_v3_large,
    mobilenet_v3_small,
    qf_mobilenet_v3_large,
    qf_mobilenet_v3_small,
)
from intaglio.zoo.nasnet import nasnet, nasnet_mobile, pnasnet5_mobile
from intaglio.zoo.resnet_cifar import resnet20_cifar10

__all__ = [
    "NASNET_A",
    "PNASNET_5",
    "ZOO",
    "Genotype",
    "ZooEntry",
    "mobilenet_v1",
    "mobilenet_v1_tf",
    "mobilenet_v2",
    "mobilenet_v2_tf",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "names",
    "nasnet",
    "nasnet_mobile",
    "pnasnet5_mobile",
    "qf_mobilenet_v1",
    "qf_mobilenet_v2",
    "qf_mobilenet_v3_large",
    "qf_mobilenet_v3_small",
    "resnet20_cifar10",
]

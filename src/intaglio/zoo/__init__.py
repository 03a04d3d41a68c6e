"""The zoo: plain nn.Modules with the key names that their public weights use."""

from intaglio.zoo.catalog import ZOO, ZooEntry, names
from intaglio.zoo.genotype import NASNET_A, PNASNET_5, Genotype
from intaglio.zoo.mobilenet_v1 import mobilenet_v1, mobilenet_v1_tf
from intaglio.zoo.mobilenet_v2 import mobilenet_v2, mobilenet_v2_tf
from intaglio.zoo.mobilenet_v3 import mobilenet_v3_large, mobilenet_v3_small
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
    "resnet20_cifar10",
]

"""The trainable network: float, with grids at exactly the places where the twin has them."""

from intaglio.run.fake import fixed, held_weights, lsq, lsq_plus, moving_average, pact
from intaglio.run.fake.grids import Deployment
from intaglio.run.fake.make_network import trainable
from intaglio.run.fake.network import FakeNetwork
from intaglio.run.fake.ranges import RANGE_METHODS

__all__ = [
    "RANGE_METHODS",
    "Deployment",
    "FakeNetwork",
    "fixed",
    "held_weights",
    "lsq",
    "lsq_plus",
    "moving_average",
    "pact",
    "trainable",
]

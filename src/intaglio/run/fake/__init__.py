"""The trainable network: float, with grids at exactly the places where the twin has them."""

from intaglio.run.fake import fixed, lsq
from intaglio.run.fake.grids import Deployment
from intaglio.run.fake.network import FakeNetwork, trainable
from intaglio.run.fake.ranges import RANGE_METHODS

__all__ = ["RANGE_METHODS", "Deployment", "FakeNetwork", "fixed", "lsq", "trainable"]

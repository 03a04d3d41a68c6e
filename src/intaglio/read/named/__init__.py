"""A network by its name: in the zoo, or `package.module:factory`."""

from intaglio.read.named.build import build_model
from intaglio.read.named.request import ModelRequest, parse_model

__all__ = ["ModelRequest", "build_model", "parse_model"]

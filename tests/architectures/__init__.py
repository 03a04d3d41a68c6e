"""Small networks with the structure of public architectures, for tests only."""

from architectures.captured import Captured, captured, captured_zoo
from architectures.catalogue import Architecture, architectures, images

__all__ = ["Architecture", "Captured", "architectures", "captured", "captured_zoo", "images"]

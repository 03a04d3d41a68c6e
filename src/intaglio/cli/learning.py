"""What a command line says of learning, as the options of the trainer."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from intaglio.errors import RequestError
from intaglio.host.complaint import first_complaint
from intaglio.methods.learn.options import TrainOptions


def learning_options(request: object, names: Sequence[str]) -> TrainOptions:
    """Return the options that a request says; what it leaves out is not set.

    Args:
        names: Of fields that the request and `TrainOptions` share.

    Raises:
        RequestError: If one has a value that it cannot have.
    """
    words = {name: getattr(request, name) for name in names}
    try:
        return TrainOptions(**{name: word for name, word in words.items() if word is not None})
    except ValidationError as error:
        first = first_complaint(error)
        raise RequestError(f"--{first.key}: {first.message}, got {first.seen}") from error

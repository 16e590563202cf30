"""Draws that were made before: a sampler that gives each of them once."""

from dataclasses import dataclass

import numpy as np

from suffice.errors import DataError
from suffice.sampling.distributions import Floats
from suffice.sampling.streams import Stream


@dataclass(frozen=True, slots=True, eq=False)
class Recorded:
    """The recorded draws of a case: shape (n,) for values, (n, 2) for pairs.

    They come in a random permutation that the case's stream fixes. So the first k are a sample of all without
    replacement, in whatever order they were recorded. `given_order` leaves them as they are, for draws whose order is
    known to be random. Raises DataError for another shape.
    """

    values: Floats
    given_order: bool = False

    def __post_init__(self) -> None:
        if self.values.ndim != 1 and self.values.shape[1:] != (2,):
            raise DataError(f"recorded draws have shape {self.values.shape}; allowed: (n,) or (n, 2)")

    def in_order(self, stream: Stream) -> Floats:
        """All draws, first to last. Reads the stream's uniform values."""
        if self.given_order:
            return self.values
        # Sorting uniforms, and not Generator.permutation, whose algorithm NumPy may change.
        return self.values[np.argsort(stream.uniforms(len(self.values)), kind="stable")]

"""The reproducible random stream of a case."""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.random import Generator, Philox
from numpy.random.bit_generator import ISeedSequence
from numpy.typing import NDArray

_NORMALS, _UNIFORMS, _BLOCKS = 0, 1, 2


def philox_key(seed: int, case_key: str) -> int:
    """The 128-bit Philox key of a case: BLAKE2b over the decimal seed, a colon and the case key."""
    return int.from_bytes(blake2b(f"{seed}:{case_key}".encode(), digest_size=16).digest(), "little")


class _Key(ISeedSequence):
    """Gives Philox its key. Handed over as `key=`, NumPy would ask the system for entropy that it then does not use,
    which takes four times as long as all the rest."""

    def __init__(self, key: int) -> None:
        self._words = np.frombuffer(key.to_bytes(16, "little"), "<u8").astype(np.uint64, copy=False)

    def generate_state(self, n_words: int, dtype: Any = np.uint64) -> NDArray[np.uint64]:
        """The key; Philox asks for two words of 64 bits."""
        del n_words, dtype
        return self._words


class Stream:
    """The random stream of one case, a function of (seed, case key) only.

    Guarantees prefix-stability: the first k values of each lane are the same however many follow, in whatever block
    sizes they are asked for, in any process and any order of cases. Lanes (normals, uniforms, one per block of
    a callable) are disjoint parts of one Philox counter space: the highest counter word is the lane's number.

    Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
    """

    __slots__ = ("_key", "_normals", "_uniforms", "case_key")

    def __init__(self, seed: int, case_key: str) -> None:
        self.case_key = case_key
        self._key = _Key(philox_key(seed, case_key))
        self._normals: Generator | None = None
        self._uniforms: Generator | None = None

    def normals(self, n: int) -> NDArray[np.float64]:
        """The next n standard normal values, shape (n,)."""
        if self._normals is None:
            self._normals = self._lane(_NORMALS)
        return self._normals.standard_normal(n)

    def uniforms(self, n: int) -> NDArray[np.float64]:
        """The next n uniform values in [0, 1), shape (n,)."""
        if self._uniforms is None:
            self._uniforms = self._lane(_UNIFORMS)
        return self._uniforms.random(n)

    def block(self, index: int) -> Generator:
        """A generator of its own for block `index` (0, 1, …) of a callable sampler."""
        return self._lane(_BLOCKS + index)

    def _lane(self, number: int) -> Generator:
        # NumPy's annotation forgets that anything that makes seeds may be given.
        return Generator(Philox(self._key, counter=np.array([0, 0, 0, number], np.uint64)))  # type: ignore[arg-type]

"""Samplers, and the reader that takes their draws in order from a case's stream."""

from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike

from suffice.errors import DataError, shown
from suffice.sampling.distributions import Distribution, Floats, Normal, SplitNormal
from suffice.sampling.draw import as_number
from suffice.sampling.recorded import Recorded
from suffice.sampling.streams import Stream

BLOCK = 8
"""Draws a callable is asked for at once; fixed, so that no result depends on the plan."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Draws (before, after), independent of each other, from a distribution each."""

    before: Distribution
    after: Distribution


Sampler: TypeAlias = Callable[[Generator, int], ArrayLike] | Pair | Recorded | Distribution
"""Any callable `(rng, n) -> array` of shape (n,) or (n, 2), a pair of distributions, recorded draws, or one
distribution."""


def of_known_shape(sampler: Sampler | None) -> bool:
    """Whether all that a sampler draws is normal or split normal."""
    parts = (sampler.before, sampler.after) if isinstance(sampler, Pair) else (sampler,)
    return all(isinstance(part, (Normal, SplitNormal)) for part in parts)


def after_retries(retries: int) -> str:
    """How the note of an error ends that came back so many times."""
    return f", after {retries} {'retry' if retries == 1 else 'retries'}" if retries else ""


def note(error: BaseException, text: str) -> None:
    """Add a note to an error of somebody else's, where it takes one: it is told, noted or not."""
    # An error that is a frozen dataclass, for one, takes none.
    with suppress(Exception):
        error.add_note(text)


class Draws:
    """Reads a sampler's draws from a stream, first to last: shape (n,) for values, (n, 2) for pairs.

    Guarantees that draw i is the same however the draws before it were asked for. A callable is called in blocks of
    `BLOCK`, each with a generator of its own. Values beyond what was asked for are kept for the next call. Each
    recorded draw comes once. `made` is how many the sampler has made, those that are kept among them.

    A call that raised is made again at once, `retries` times for each block; `retried` is told of each such error. The
    block begins anew, so that its draws are those that a first success would have given. Draws that no rule can use are
    not asked for again; neither is what was cancelled.
    """

    __slots__ = ("_blocks", "_kept", "_retried", "_retries", "_sampler", "_stream", "made")

    def __init__(
        self,
        sampler: Sampler | None,
        stream: Stream,
        retries: int = 0,
        retried: Callable[[Exception], object] = lambda _: None,
    ) -> None:
        self._stream = stream
        if sampler is None:
            raise self._error("it has no sampler; allowed: one, or draws that are told (Verifier.begin)")
        self._sampler = sampler
        self._retries, self._retried = retries, retried
        self._blocks = 0
        self._kept: Floats | None = None
        self.made = 0

    def take(self, n: int) -> Floats:
        """The next n draws.

        Raises DataError, naming the case, when a callable returns something else than it was asked for, or fewer
        recorded draws are left. What a callable raises passes through, with a note that names the case.
        """
        if callable(self._sampler):
            return self._take_blocks(self._sampler, n)
        self.made += n
        if isinstance(self._sampler, Pair):
            return self._take_pairs(self._sampler, n)
        if isinstance(self._sampler, Recorded):
            return self._take_recorded(self._sampler, n)
        normal = self._stream.normals(n)
        return self._sampler.draw(normal, self._stream.uniforms(n) if self._sampler.uses_uniform else normal)

    def _take_pairs(self, pair: Pair, n: int) -> Floats:
        normal = self._stream.normals(2 * n).reshape(n, 2)
        uses_uniform = pair.before.uses_uniform or pair.after.uses_uniform
        uniform = self._stream.uniforms(2 * n).reshape(n, 2) if uses_uniform else normal
        before = pair.before.draw(normal[:, 0], uniform[:, 0])
        return np.stack((before, pair.after.draw(normal[:, 1], uniform[:, 1])), axis=1)

    def _take_recorded(self, recorded: Recorded, n: int) -> Floats:
        left = recorded.in_order(self._stream) if self._kept is None else self._kept
        if n > len(left):
            raise self._error(f"asked for {n} more draws; {len(left)} of {len(recorded.values)} recorded ones are left")
        self._kept = left[n:]
        return left[:n]

    def _take_blocks(self, sampler: Callable[[Generator, int], ArrayLike], n: int) -> Floats:
        kept = [] if self._kept is None else [self._kept]
        available = sum(map(len, kept))
        while available < n or not kept:
            kept.append(self._block(sampler))
            self._blocks += 1
            self.made += BLOCK
            available += BLOCK
        if len({block.shape[1:] for block in kept}) > 1:
            raise self._error("sampler returned values in one block and pairs in another; it must keep to one")
        together = np.concatenate(kept)
        self._kept = together[n:]
        return together[:n]

    def _call(self, sampler: Callable[[Generator, int], ArrayLike], first: int) -> ArrayLike:
        retries = 0
        while True:
            try:
                return sampler(self._stream.block(self._blocks), BLOCK)
            except Exception as error:
                if retries == self._retries or isinstance(error, CancelledError):
                    where = f"case {self._stream.case_key!r} at draws {first} to {first + BLOCK - 1}"
                    note(error, f"raised by the sampler of {where}{after_retries(retries)}")
                    raise
                self._retried(error)
            retries += 1

    def _block(self, sampler: Callable[[Generator, int], ArrayLike]) -> Floats:
        first = self._blocks * BLOCK + 1
        returned = self._call(sampler, first)
        try:
            given = np.asarray(returned)
        except ValueError as error:
            raise self._error(f"sampler returned something that is not an array of numbers: {error}") from error
        if given.shape not in ((BLOCK,), (BLOCK, 2)):
            raise self._error(
                f"sampler returned shape {given.shape}; asked for {BLOCK} draws, allowed: ({BLOCK},) or ({BLOCK}, 2)"
            )
        if given.dtype.kind not in "biuf":
            # NumPy would read text as numbers, and None as NaN.
            numbers = [as_number(draw) for draw in given.ravel().tolist()]
            if None in numbers:
                at = numbers.index(None)
                draw = first + at // (given.size // BLOCK)
                raise self._error(f"draw {draw} is {shown(given.ravel().tolist()[at])}; allowed: a number")
        return given.astype(np.float64)  # a copy: samplers may reuse their buffer

    def _error(self, sentence: str) -> DataError:
        return DataError(f"case {self._stream.case_key!r}: {sentence}")

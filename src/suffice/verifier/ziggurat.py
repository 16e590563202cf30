"""Standard normals from words, bit for bit those of NumPy's `Generator.standard_normal`.

Source: Doornik 2005, "An improved ziggurat method to generate normal random samples".
"""

from decimal import Decimal, localcontext
from itertools import pairwise
from math import exp, log1p, nextafter, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suffice.verifier.compiled import compiled, inlined, rare
from suffice.verifier.philox import BLOCK, block, unit

NORMALS = 16
"""Normals made at once."""

_KEPT = 8
WORDS = _KEPT + NORMALS
"""Words of a lane that are in memory: what the normals before may have left over, and as many new ones."""

_LAYERS = 256
_TAIL = 3.6541528853610088
_INVERSE_TAIL = 0.27366123732975828
_AREA = 0.0049286732339746519
_SCALE = 2.0**52
_ROUNDED_UP = 38
"""The one layer whose density NumPy's published table has an ulp above the nearest double; the layers above it were
computed from it."""


def _density(x: float) -> float:
    # In decimal arithmetic: the tables must not depend on the platform's mathematical library.
    return float(Decimal(-0.5 * x * x).exp())


def _edges() -> tuple[list[float], list[float]]:
    """Right edges of the layers, and the density there; layer 0 is the base with the tail."""
    x, density = [0.0] * _LAYERS, [1.0] * _LAYERS
    x[255], density[255] = _TAIL, _density(_TAIL)
    for i in range(254, 0, -1):
        x[i] = sqrt(-2 * float(Decimal(density[i + 1] + _AREA / x[i + 1]).ln()))
        density[i] = _density(x[i])
        if i == _ROUNDED_UP:
            density[i] = nextafter(density[i], 1)
    return x, density


def _tables() -> tuple[NDArray[np.uint64], NDArray[np.float64], NDArray[np.float64]]:
    """Which scaled points lie surely below the density; the scales, for both signs; the densities."""
    with localcontext() as context:
        context.prec = 25
        x, density = _edges()
    sure = [round(_TAIL * density[255] / _AREA * _SCALE), 0, *(round(a / b * _SCALE) for a, b in pairwise(x[1:]))]
    scales = np.array([_AREA / density[255], *x[1:]]) / _SCALE
    return np.array(sure, np.uint64), np.concatenate((scales, -scales)), np.array(density)


_SURE, _SIGNED_SCALES, _DENSITIES = _tables()
_LAYER, _SIGNED_LAYER, _POINT = np.uint64(0xFF), np.uint64(0x1FF), np.uint64(0x000FFFFFFFFFFFFF)
_NINE, _SIGN_OF_TAIL, _ONE = np.uint64(9), np.uint64(1 << 8), np.uint64(1)


@inlined
def next_normals(values: Any, words: Any, at: Any, counter: Any, lane: Any, key0: Any, key1: Any) -> Any:
    """The next 16 standard normals of a lane into `values`; returns where the lane then is: (at, counter).

    A lane has 24 words of memory, and starts with `at` = WORDS and `counter` = 0. Words are made before they are asked
    for: whether there is one then needs no question for each normal.
    """
    for i in range(_KEPT):
        words[i] = words[NORMALS + i]
    for place in range(_KEPT, WORDS, BLOCK):
        block(words, place, counter, lane, key0, key1)
        counter += _ONE
    at -= NORMALS
    for i in range(NORMALS):
        word = words[at]
        at += 1
        point = (word >> _NINE) & _POINT
        value = np.float64(np.int64(point)) * _SIGNED_SCALES[word & _SIGNED_LAYER]
        if point >= _SURE[word & _LAYER]:
            value, at, counter = _unsure(word, words, at, NORMALS - 1 - i, counter, lane, key0, key1)
        values[i] = value
    return at, counter


@compiled
def _unsure(word: Any, words: Any, at: Any, to_come: Any, counter: Any, lane: Any, key0: Any, key1: Any) -> Any:
    """What becomes of the word in a hundred that is not surely below the density: (value, at, counter).

    Afterwards there are words for the normals that are `to_come`.
    """
    rare()
    value, at, counter = _resolved(word, words, at, counter, lane, key0, key1)
    while at + to_come > WORDS:
        at, counter = _more(words, at, counter, lane, key0, key1)
    return value, at, counter


@inlined
def _resolved(word: Any, words: Any, at: Any, counter: Any, lane: Any, key0: Any, key1: Any) -> Any:
    while True:
        point, layer = (word >> _NINE) & _POINT, word & _LAYER
        value = np.float64(np.int64(point)) * _SIGNED_SCALES[word & _SIGNED_LAYER]
        if point < _SURE[layer]:
            return value, at, counter
        if layer == 0:
            while True:
                first, at, counter = _next_word(words, at, counter, lane, key0, key1)
                second, at, counter = _next_word(words, at, counter, lane, key0, key1)
                beyond, height = -_INVERSE_TAIL * log1p(-unit(first)), -log1p(-unit(second))
                if height + height > beyond * beyond:
                    tail = _TAIL + beyond
                    return -tail if point & _SIGN_OF_TAIL else tail, at, counter
        height_word, at, counter = _next_word(words, at, counter, lane, key0, key1)
        below, above = _DENSITIES[layer], _DENSITIES[layer - np.uint64(1)]
        if (above - below) * unit(height_word) + below < exp(-0.5 * value * value):
            return value, at, counter
        word, at, counter = _next_word(words, at, counter, lane, key0, key1)


@inlined
def _next_word(words: Any, at: Any, counter: Any, lane: Any, key0: Any, key1: Any) -> Any:
    if at == WORDS:
        at, counter = _more(words, at, counter, lane, key0, key1)
    return words[at], at + 1, counter


@inlined
def _more(words: Any, at: Any, counter: Any, lane: Any, key0: Any, key1: Any) -> Any:
    """Eight words more, in place of the eight that were taken first."""
    for i in range(NORMALS):
        words[i] = words[_KEPT + i]
    for place in range(NORMALS, WORDS, BLOCK):
        block(words, place, counter, lane, key0, key1)
        counter += _ONE
    return at - _KEPT, counter

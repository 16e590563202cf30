"""Philox4x64-10, counter and words as NumPy's bit generator `Philox` has them.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from typing import Any

import numpy as np

from suffice.verifier.compiled import inlined, product

BLOCK = 4
"""Words of one value of the counter."""

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ONE, _ZERO = np.uint64(1), np.uint64(0)
_ELEVEN, _UNIT = np.uint64(11), 2.0**-53


@inlined
def block(words: Any, place: Any, counter: Any, lane: Any, key0: Any, key1: Any) -> None:
    """The four words of the block counter + 1, from `place` on; NumPy raises the counter before it makes a block.

    `lane` is the highest counter word; the middle ones are 0, which holds for the first 2⁶⁶ words of a lane.
    """
    a, b, c, d = counter + _ONE, _ZERO, _ZERO, lane
    for _ in range(10):
        high0, low0 = product(_M0, a)
        high1, low1 = product(_M1, c)
        a, b, c, d = high1 ^ b ^ key0, low1, high0 ^ d ^ key1, low0
        key0 += _W0
        key1 += _W1
    words[place], words[place + 1], words[place + 2], words[place + 3] = a, b, c, d


@inlined
def unit(word: Any) -> Any:
    """A word as a number in [0, 1), as `Generator.random` makes it."""
    return np.float64(np.int64(word >> _ELEVEN)) * _UNIT

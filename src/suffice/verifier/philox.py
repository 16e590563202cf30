"""Philox4x64-10, counter and words as NumPy's bit generator `Philox` has them.

Source: Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3".
"""

from typing import Any

import numpy as np

from suffice.verifier.compiled import inlined, product

WORDS = 8
"""Words made at once: two blocks of the counter, so that the multiplications of one overlap those of the other."""

_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ONE, _ZERO = np.uint64(1), np.uint64(0)
_ELEVEN, _UNIT = np.uint64(11), 2.0**-53


@inlined
def fill(words: Any, counter: Any, lane: Any, key0: Any, key1: Any) -> None:
    """The eight words of the blocks counter + 1 and counter + 2; NumPy raises the counter before it makes a block.

    `lane` is the highest counter word; the middle ones are 0, which holds for the first 2⁶⁶ words of a lane.
    """
    a0, a1, a2, a3 = counter + _ONE, _ZERO, _ZERO, lane
    b0, b1, b2, b3 = a0 + _ONE, _ZERO, _ZERO, lane
    for _ in range(10):
        high0, low0 = product(_M0, a0)
        high1, low1 = product(_M1, a2)
        a0, a1, a2, a3 = high1 ^ a1 ^ key0, low1, high0 ^ a3 ^ key1, low0
        high0, low0 = product(_M0, b0)
        high1, low1 = product(_M1, b2)
        b0, b1, b2, b3 = high1 ^ b1 ^ key0, low1, high0 ^ b3 ^ key1, low0
        key0 += _W0
        key1 += _W1
    words[0], words[1], words[2], words[3] = a0, a1, a2, a3
    words[4], words[5], words[6], words[7] = b0, b1, b2, b3


@inlined
def unit(word: Any) -> Any:
    """A word as a number in [0, 1), as `Generator.random` makes it."""
    return np.float64(np.int64(word >> _ELEVEN)) * _UNIT

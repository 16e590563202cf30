"""An e-process for a mean of numbers in [0, 1]: evidence from bets that pay where a number is above it.

For a stake κ ≥ 0 the evidence that the mean is above m is the product of (1 + κx) / (1 + κm) over all numbers x: a bet
of the share κm / (1 + κm) of what there is. Mixed over fixed stakes, which do not depend on m, it holds for every m at
once, and what it is about is the average of each number's expectation *given those before*. For each stake, dividing
by 1 + κμ with those expectations μ instead makes a martingale, and the product of (1 + κμ) is at most (1 + κ · average)
to the power of their number (inequality of the means); so the evidence at the average is never above a martingale's
(docs/gates.md). It needs neither independence nor equal distributions.

A product commutes, so that a histogram is enough. Source: Waudby-Smith & Ramdas 2024, Estimating means of bounded
random variables by betting (Journal of the Royal Statistical Society B 86).
"""

from collections.abc import Sequence

import numpy as np

from suffice.gates.e_process import boundary, reached

_EXPONENTS = np.arange(-7.0, 4.5, 0.5)
STAKES = 2.0**_EXPONENTS
_BELIEF = np.exp(-(((_EXPONENTS + 0.5) / 1.8) ** 2) / 2)
LOG_WEIGHTS = np.log(_BELIEF / _BELIEF.sum())
"""Stakes that pay for differences of a hundredth to all; most is staked on those of a tenth (docs/gates.md)."""


def lower(numbers: Sequence[float], times: Sequence[int], confidence: float) -> float:
    """The greatest mean that these numbers in [0, 1], each so many times, prove to be exceeded; 0 when none is.

    Time-uniform and one-sided: wrong at any time ever with a probability of at most 1 − confidence. The evidence falls
    as the mean in question rises, so that every smaller one is proven to be exceeded too.
    """
    total, won = sum(times), LOG_WEIGHTS + np.log1p(np.outer(STAKES, numbers)).dot(np.array(times, float))

    def is_proven(mean: float) -> bool:
        return reached(float(np.logaddexp.reduce(won - total * np.log1p(STAKES * mean))), confidence)

    return boundary(is_proven, proven=0.0, open_=1.0)

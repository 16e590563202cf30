"""What people would use instead, over the draws of all cases at once: (accepted, draws used) for each case."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, stdtrit

Floats = NDArray[np.float64]
Answer = tuple[Any, Any]

ALPHA = 0.05


def t_paths(differences: Floats) -> Any:
    """|t| after each number of draws, shape (cases, N); 0 after the first."""
    n = np.arange(1, differences.shape[1] + 1)
    total, squares = differences.cumsum(axis=1), (differences**2).cumsum(axis=1)
    spread = squares - total**2 / n
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.abs(total / n) * np.sqrt(n * (n - 1) / spread)
    t[:, 0] = 0
    return t


def fixed_t(differences: Floats) -> Any:
    """The paired t-test of all draws, vectorised."""
    n = differences.shape[1]
    t = np.abs(differences.mean(axis=1)) / (differences.std(axis=1, ddof=1) / np.sqrt(n))
    return t > stdtrit(n - 1, 1 - ALPHA / 2)


def obrien_fleming(t: Floats) -> Answer:
    """Accept at one of four even looks, two-sided 5 %: constant 2.024 (Jennison & Turnbull 2000, table 2.3)."""
    n = t.shape[1]
    accept = np.full(n, np.inf)
    for look in range(1, 5):
        accept[n * look // 4 - 1] = 2.024 * np.sqrt(4 / look)
    return _first(t >= accept)


def confidence_sequence(t: Floats) -> Answer:
    """Accept when the two-sided normal-mixture confidence sequence excludes 0; at N the t-test decides what is open.

    The boundary of the package `confseq`, tuned to N/4 draws. Source: Howard, Ramdas, McAuliffe & Sekhon 2021,
    "Time-uniform, nonparametric, nonasymptotic confidence sequences", proposition 5, with the estimated variance.
    """
    size = t.shape[1]
    n = np.arange(1, size + 1)
    rho = (size / 4) / (2 * np.log(1 / ALPHA) + np.log(1 + 2 * np.log(1 / ALPHA)))
    boundary = np.sqrt((n + rho) / n * np.log((n + rho) / (rho * ALPHA**2)))
    boundary[:8] = np.inf
    boundary[-1] = stdtrit(size - 1, 1 - ALPHA / 2)
    return _first(t >= boundary)


def beta_binomial(successes: NDArray[np.bool_], share: float, threshold: int) -> Answer:
    """Stop when the beta-binomial confidence sequence excludes the share, for the side that the sample is on.

    At N the count decides. Source: Howard et al. 2021, the conjugate mixture of `confseq` for success rates.
    """
    size = successes.shape[1]
    n = np.arange(1, size + 1)
    k = successes.cumsum(axis=1)
    evidence = betaln(1 + k, 1 + n - k) - betaln(1, 1) - k * np.log(share) - (n - k) * np.log1p(-share)
    stops = evidence >= np.log(1 / ALPHA)
    stops[:, -1] = True
    at = stops.argmax(axis=1)
    count = np.take_along_axis(k, at[:, None], axis=1)[:, 0]
    return np.where(at + 1 == size, count >= threshold, count >= share * (at + 1)), at + 1


def _first(accepts: NDArray[np.bool_]) -> Answer:
    accepted = accepts.any(axis=1)
    return accepted, np.where(accepted, accepts.argmax(axis=1) + 1, accepts.shape[1])

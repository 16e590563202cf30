"""Exact intervals for rates."""


def clopper_pearson(k: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided exact interval for a probability after k of n events; (0, 1) when nothing was observed.

    Covers the true probability at least with `confidence`. Source: Clopper & Pearson 1934, Biometrika 26.
    """
    # The counters are summed up without it where nothing was audited.
    from scipy.special import betaincinv

    tail = (1 - confidence) / 2
    lower = float(betaincinv(k, n - k + 1, tail)) if k > 0 else 0.0
    upper = float(betaincinv(k + 1, n - k, 1 - tail)) if k < n else 1.0
    return lower, upper

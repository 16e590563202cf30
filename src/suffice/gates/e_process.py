"""E-processes for a rate: evidence from k of n events that may be looked at after every one of them.

Under its hypothesis an e-process starts at 1 and is a non-negative supermartingale, so the chance that it *ever*
reaches 1 / α is at most α (Ville 1939). Mixing likelihood ratios over a prior makes one (Robbins 1970, Annals of
Mathematical Statistics 41); here the prior is a beta distribution, cut off at the rate p0 in question, so that it bets
on one side only.

Assumes that each event has, given everything before it, a probability on the hypothesis' side of p0. All functions are
of the current counts: evidence that was reached and then lost again does not count, which is the cautious reading of
both, proof and alarm. Logarithms throughout, so that nothing overflows.
"""

from collections.abc import Callable
from math import log, log1p

from scipy.special import betainc, betaincc, betaln, xlog1py, xlogy

ALARM = 0.99
"""How sure every gate must be before it fails a rollout: evidence of 100, wrong in at most 1 % of good rollouts."""

_TINY = 1e-280
_FAR = 100_000


def log_e_below(k: int, n: int, p0: float, *, a: float = 0.5, b: float = 50.0) -> float:
    """Log evidence against "the rate is p0 or more": high values prove a rate below p0.

    At p0 = 0 that holds of every rate, and the evidence stays at 1.
    """
    if p0 == 0:
        return 0.0
    return _log_ratio(k, n, p0, a, b) + _log_below(a + k, b + n - k, p0) - _log_below(a, b, p0)


def log_e_above(k: int, n: int, p0: float, *, a: float = 1.0, b: float = 50.0) -> float:
    """Log evidence against "the rate is p0 or less": high values prove a rate above p0.

    At p0 = 1 that holds of every rate, and the evidence stays at 1.
    """
    if p0 == 1:
        return 0.0
    return _log_ratio(k, n, p0, a, b) + _log_above(a + k, b + n - k, p0) - _log_above(a, b, p0)


def log_e_other(k: int, n: int, p0: float, *, weight: float = 100.0) -> float:
    """Log evidence against "the rate is p0", in both directions; the prior has mean p0 and `weight` events.

    Source: Lindon & Malek 2022, Anytime-valid inference for multinomial count data (NeurIPS 35). p0 is above 0 and
    below 1.
    """
    return _log_ratio(k, n, p0, weight * p0, weight * (1 - p0))


def log_e_risen(k: int, n: int, before: int, n_before: int, *, a: float = 0.5, b: float = 20.0) -> float:
    """Log evidence against "the rate of these n events is no higher than that of n_before other ones".

    Both likelihoods mixed over a beta prior of each rate, against the greatest likelihood of any two rates of which the
    first is no higher (universal inference: Wasserman, Ramdas & Balakrishnan 2020, PNAS 117). Without other events it
    says nothing.
    """
    mixed = betaln(a + k, b + n - k) + betaln(a + before, b + n_before - before) - 2 * betaln(a, b)
    if k * n_before <= before * n:
        return float(mixed) - _log_likelihood(k, n) - _log_likelihood(before, n_before)
    return float(mixed) - _log_likelihood(k + before, n + n_before)


def reached(log_e: float, confidence: float) -> bool:
    """Whether the evidence is 1 / (1 − confidence) or more: wrong at any time ever with at most that probability."""
    return log_e >= -log1p(-confidence)


def audits_to_prove(k: int, p0: float, confidence: float) -> int | None:
    """Audits from which on k that disagree prove a rate below p0; None where `_FAR` that agree beside them do not."""
    low, high = k, k + _FAR
    if not reached(log_e_below(k, high, p0), confidence):
        return None
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(log_e_below(k, middle, p0), confidence) else (middle, high)
    return high


def upper(k: int, n: int, confidence: float) -> float:
    """The least rate that is proven not to be exceeded after k of n audits disagreed; 1 when nothing was observed.

    Time-uniform and one-sided. For confidences from 0.4 the evidence against "p0 or more" grows with p0 wherever it
    matters (docs/gates.md), so that every greater rate is proven not to be exceeded too.
    """
    if k == n:
        return 1.0
    return boundary(lambda p0: reached(log_e_below(k, n, p0), confidence), proven=1.0, open_=k / n)


def lower(k: int, n: int, confidence: float) -> float:
    """The greatest rate that is proven to be exceeded after k of n audits disagreed; 0 when none did.

    Time-uniform and one-sided; the evidence against "p0 or less" falls as p0 rises (docs/gates.md).
    """
    if k == 0:
        return 0.0
    return boundary(lambda p0: reached(log_e_above(k, n, p0), confidence), proven=0.0, open_=k / n)


def boundary(is_proven: Callable[[float], bool], *, proven: float, open_: float) -> float:
    """The last float on the proven side, by bisection down to neighbouring floats."""
    while (middle := (proven + open_) / 2) not in (proven, open_):
        if is_proven(middle):
            proven = middle
        else:
            open_ = middle
    return proven


def _log_ratio(k: int, n: int, p0: float, a: float, b: float) -> float:
    """Log of the likelihood mixed over the whole prior, against the likelihood at p0."""
    mixed = betaln(a + k, b + n - k) - betaln(a, b)
    return float(mixed - xlogy(k, p0) - xlog1py(n - k, -p0))


def _log_likelihood(k: int, n: int) -> float:
    """The greatest log likelihood of k events in n."""
    rate = k / n if n else 0.0
    return float(xlogy(k, rate) + xlog1py(n - k, -rate))


def _log_below(a: float, b: float, x: float) -> float:
    mass = float(betainc(a, b, x))
    return log(mass) if mass > _TINY else _log_tail(a, b, x)


def _log_above(a: float, b: float, x: float) -> float:
    mass = float(betaincc(a, b, x))
    return log(mass) if mass > _TINY else _log_tail(b, a, 1 - x)


def _log_tail(a: float, b: float, x: float) -> float:
    """Log of the regularised incomplete beta function far out, where it underflows (DLMF 8.17.8). x is above 0."""
    total = term = 1.0
    step = 0
    while term > 1e-17 * total:
        term *= x * (a + b + step) / (a + 1 + step)
        total += term
        step += 1
    return float(a * log(x) + b * log1p(-x) - log(a) - betaln(a, b) + log(total))

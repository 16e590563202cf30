"""Draw–decide–stop, fused, over a range of cases whose draws are pairs of normal and split normal values.

Each kernel repeats what an ask/tell run does with the same stream: the draws of `Pair`, the tally of the rule (its
formulas are those of `decision.steps`) and the looks of `Run`. No state of a case is kept in memory between draws.
"""

from math import inf, nan
from typing import Any

import numpy as np

from suffice.decision import steps
from suffice.verifier.columns import AFTER_SPLIT, BEFORE_SPLIT
from suffice.verifier.compiled import compiled, inlined, pointer, rare
from suffice.verifier.philox import WORDS, fill, unit
from suffice.verifier.ziggurat import next_normal

REJECTED, ACCEPTED, INVALID = 0, 1, 2
"""Codes of the decisions in the arrays that the kernels fill."""

_NORMALS, _UNIFORMS, _START = np.uint64(0), np.uint64(1), np.uint64(0)

_moves = inlined(steps.moves)
_shifted_sums = inlined(steps.shifted_sums)
_mean_estimate = inlined(steps.mean_estimate)
_mean_spread = inlined(steps.mean_spread)
_t_statistic = inlined(steps.t_statistic)
_large_enough = inlined(steps.large_enough)
_effect_follows = inlined(steps.effect_follows)


@inlined
def _normal(shape: Any, value: Any) -> Any:
    return shape[0] + shape[1] * value


@inlined
def _split_normal(shape: Any, value: Any, uniform: Any) -> Any:
    scale = -shape[1] if uniform * (shape[1] + shape[2]) < shape[1] else shape[2]
    return shape[0] + scale * abs(value)


@inlined
def _next_change(
    before: Any, after: Any, kind: Any, normals: Any, uniforms: Any, at: Any, counter: Any, drawn: Any, key: Any
) -> Any:
    """The difference of the next drawn pair, and where the normal lane then is: (change, at, counter).

    `drawn` pairs came before; the uniform lane has two words for each, so its place follows from that.
    """
    old, at, counter = next_normal(normals, at, counter, _NORMALS, key[0], key[1])
    new, at, counter = next_normal(normals, at, counter, _NORMALS, key[0], key[1])
    if kind == 0:
        return _normal(after, new) - _normal(before, old), at, counter
    place = 2 * drawn % WORDS
    if place == 0:
        fill(uniforms, np.uint64(drawn // 2), _UNIFORMS, key[0], key[1])
    first, second = unit(uniforms[place]), unit(uniforms[place + 1])
    was = _split_normal(before, old, first) if kind & BEFORE_SPLIT else _normal(before, old)
    now = _split_normal(after, new, second) if kind & AFTER_SPLIT else _normal(after, new)
    return now - was, at, counter


@inlined
def _count(
    old: Any,
    new: Any,
    kind: Any,
    direction: Any,
    normals: Any,
    uniforms: Any,
    key: Any,
    reject_at: Any,
    accept_at: Any,
    size: Any,
) -> Any:
    at, counter, count, stop, finite = WORDS, _START, 0, 0, True
    for n in range(1, size + 1):
        change, at, counter = _next_change(old, new, kind, normals, uniforms, at, counter, n - 1, key)
        count += 1 if _moves(change, direction) else 0
        if kind:
            finite &= abs(change) < inf
        stop = n
        if count >= accept_at[n] or count <= reject_at[n]:
            break
    return stop, count, finite


@compiled
def decide_counts(
    keys: Any,
    before: Any,
    after: Any,
    kinds: Any,
    directions: Any,
    start: Any,
    stop: Any,
    normal_words: Any,
    uniform_words: Any,
    reject_table: Any,
    accept_table: Any,
    decisions: Any,
    drawn: Any,
    successes: Any,
) -> None:
    """Decide cases `start` … `stop` − 1 by a count rule; the last three arrays receive the results.

    The tables hold whole numbers for each n up to N; at N they leave nothing between them. The words are memory to work
    in.
    """
    normals, uniforms = pointer(normal_words), pointer(uniform_words)
    reject_at, accept_at = pointer(reject_table), pointer(accept_table)
    size = len(reject_table) - 1
    for case in range(start, stop):
        key, kind, direction = (keys[case, 0], keys[case, 1]), kinds[case], float(directions[case])
        old = before[case, 0], before[case, 1], before[case, 2]
        new = after[case, 0], after[case, 1], after[case, 2]
        if kind == 0:
            n, count, finite = _count(old, new, 0, direction, normals, uniforms, key, reject_at, accept_at, size)
        else:
            n, count, finite = _count(old, new, kind, direction, normals, uniforms, key, reject_at, accept_at, size)
        decisions[case] = ACCEPTED if count >= accept_at[n] else REJECTED
        drawn[case], successes[case] = n, count
        if not finite:
            decisions[case] = INVALID
            drawn[case] = _invalid_after(old, new, kind, normals, uniforms, key, of_squares=False)


@compiled
def decide_means(
    keys: Any,
    before: Any,
    after: Any,
    kinds: Any,
    start: Any,
    stop: Any,
    normal_words: Any,
    uniform_words: Any,
    looks: Any,
    reject_at: Any,
    accept_at: Any,
    critical: Any,
    min_effect: Any,
    value: Any,
    sign: Any,
    decisions: Any,
    drawn: Any,
    statistics: Any,
    estimates: Any,
) -> None:
    """Decide cases `start` … `stop` − 1 by a mean rule; the last four arrays receive the results.

    The last look is N, where only the rule decides: what stands from `critical` to `sign`.
    """
    normals, uniforms = pointer(normal_words), pointer(uniform_words)
    size = looks[-1]
    for case in range(start, stop):
        key, kind = (keys[case, 0], keys[case, 1]), kinds[case]
        old = before[case, 0], before[case, 1], before[case, 2]
        new = after[case, 0], after[case, 1], after[case, 2]
        at, counter, n = WORDS, _START, 0
        first, total, squares = 0.0, 0.0, 0.0
        decision, t, estimate = INVALID, nan, nan
        for look in range(len(looks)):
            for place in range(n, looks[look]):
                if kind == 0:
                    change, at, counter = _next_change(old, new, 0, normals, uniforms, at, counter, place, key)
                else:
                    change, at, counter = _next_change(old, new, kind, normals, uniforms, at, counter, place, key)
                first = change if place == 0 else first
                total, squares = _shifted_sums((change,), first, total, squares)
            n = looks[look]
            if not squares < inf:
                n, t, estimate = _invalid_after(old, new, kind, normals, uniforms, key, of_squares=True), nan, nan
                break
            estimate, spread = _mean_estimate(n, first, total), _mean_spread(n, total, squares)
            t = _t_statistic(n, estimate, spread, value, sign)
            if n == size:
                decision = ACCEPTED if t > critical and _large_enough(estimate, min_effect) else REJECTED
            elif (
                t >= accept_at[look]
                and _large_enough(estimate, min_effect)
                and _effect_follows(n, spread, min_effect, size, critical)
            ):
                decision = ACCEPTED
                break
            elif t <= reject_at[look]:
                decision = REJECTED
                break
        decisions[case], drawn[case], statistics[case], estimates[case] = decision, n, t, estimate


@compiled
def _invalid_after(before: Any, after: Any, kind: Any, normals: Any, uniforms: Any, key: Any, of_squares: Any) -> Any:
    """How many draws it takes to the first whose change, or the sum of squares with it, is NaN or infinite."""
    rare()
    at, counter, n, first, total, squares = WORDS, _START, 0, 0.0, 0.0, 0.0
    while True:
        change, at, counter = _next_change(before, after, kind, normals, uniforms, at, counter, n, key)
        first = change if n == 0 else first
        total, squares = _shifted_sums((change,), first, total, squares)
        n += 1
        if not (squares < inf if of_squares else abs(change) < inf):
            return n

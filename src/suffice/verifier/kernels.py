"""Draw–decide–stop, fused, over a range of cases whose draws are pairs of normal and split normal values.

Each kernel repeats what an ask/tell run does with the same stream: the draws of `Pair`, the tally of the rule (its
formulas are those of `decision.steps`) and the looks of `Run`. Draws are made eight pairs at once; what a case did not
need of the last eight is thrown away.
"""

from math import inf, nan
from typing import Any

import numpy as np

from suffice.decision import steps
from suffice.verifier.columns import AFTER_SPLIT, BEFORE_SPLIT
from suffice.verifier.compiled import compiled, inlined, pointer, rare
from suffice.verifier.philox import BLOCK, block, unit
from suffice.verifier.ziggurat import NORMALS, WORDS, next_normals

REJECTED, ACCEPTED, INVALID = 0, 1, 2
"""Codes of the decisions in the arrays that the kernels fill."""

_OPEN = 3
_SMALL, _SMALL_SPREAD, _MARGIN = 1e-3, 1e-270, 1e-12

_PAIRS = NORMALS // 2
_NORMALS, _UNIFORMS, _START, _ONE = np.uint64(0), np.uint64(1), np.uint64(0), np.uint64(1)

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
def _draw(kind: Any, memory: Any, at: Any, counter: Any, drawn: Any, key: Any) -> Any:
    """What the next eight pairs are made from; returns where the normal lane then is: (at, counter).

    `drawn` pairs came before; the uniform lane has two words for each, so its place follows from that.
    """
    words, normals, uniforms = memory
    if kind:
        first = np.uint64(drawn // 2)
        for place in range(0, NORMALS, BLOCK):
            block(uniforms, place, first, _UNIFORMS, key[0], key[1])
            first += _ONE
    return next_normals(normals, words, at, counter, _NORMALS, key[0], key[1])


@inlined
def _change(before: Any, after: Any, kind: Any, memory: Any, place: Any) -> Any:
    """The difference of one of the eight drawn pairs."""
    _, normals, uniforms = memory
    old, new = normals[2 * place], normals[2 * place + 1]
    if kind == 0:
        return _normal(after, new) - _normal(before, old)
    first, second = unit(uniforms[2 * place]), unit(uniforms[2 * place + 1])
    was = _split_normal(before, old, first) if kind & BEFORE_SPLIT else _normal(before, old)
    now = _split_normal(after, new, second) if kind & AFTER_SPLIT else _normal(after, new)
    return now - was


@inlined
def _counted(old: Any, new: Any, kind: Any, direction: Any, memory: Any, place: Any, count: Any, finite: Any) -> Any:
    change = _change(old, new, kind, memory, place)
    return count + (1 if _moves(change, direction) else 0), finite and (kind == 0 or abs(change) < inf)


@inlined
def _count(
    old: Any, new: Any, kind: Any, direction: Any, memory: Any, key: Any, within: Any, reject_at: Any, accept_at: Any
) -> Any:
    at, counter, n, count, finite = WORDS, _START, 0, 0, True
    while True:
        at, counter = _draw(kind, memory, at, counter, n, key)
        if within[n // _PAIRS] != 0:
            for place in range(_PAIRS):
                count, finite = _counted(old, new, kind, direction, memory, place, count, finite)
                n += 1
                if count >= accept_at[n] or count <= reject_at[n]:
                    return n, count, finite
        else:
            for place in range(_PAIRS):
                count, finite = _counted(old, new, kind, direction, memory, place, count, finite)
            n += _PAIRS
            if count >= accept_at[n] or count <= reject_at[n]:
                return n, count, finite


@inlined
def _mirrored(shape: Any, direction: Any) -> Any:
    """A normal as seen from the claimed direction; the draws, and their differences, then change their sign exactly."""
    return shape[0] * direction, shape[1] * direction, shape[2]


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
    normal_values: Any,
    uniform_words: Any,
    within_table: Any,
    reject_table: Any,
    accept_table: Any,
    decisions: Any,
    drawn: Any,
    successes: Any,
) -> None:
    """Decide cases `start` … `stop` − 1 by a count rule; the last three arrays receive the results.

    Two tables hold whole numbers for each n up to N, where they leave nothing between them; the first one tells of each
    eight pairs whether there is a look before their last. The words and values are memory to work in.
    """
    memory = pointer(normal_words), pointer(normal_values), pointer(uniform_words)
    within, reject_at, accept_at = pointer(within_table), pointer(reject_table), pointer(accept_table)
    for case in range(start, stop):
        key, kind, direction = (keys[case, 0], keys[case, 1]), kinds[case], float(directions[case])
        old = before[case, 0], before[case, 1], before[case, 2]
        new = after[case, 0], after[case, 1], after[case, 2]
        if kind == 0:
            was, now = _mirrored(old, direction), _mirrored(new, direction)
            n, count, finite = _count(was, now, 0, 1.0, memory, key, within, reject_at, accept_at)
        else:
            n, count, finite = _count(old, new, kind, direction, memory, key, within, reject_at, accept_at)
        decisions[case] = ACCEPTED if count >= accept_at[n] else REJECTED
        drawn[case], successes[case] = n, count
        if not finite:
            decisions[case] = INVALID
            drawn[case] = _invalid_after(old, new, kind, memory, key, of_squares=False)


@inlined
def _summed(old: Any, new: Any, kind: Any, memory: Any, place: Any, origin: Any, total: Any, squares: Any) -> Any:
    return _shifted_sums((_change(old, new, kind, memory, place),), origin, total, squares)


@inlined
def _surely_open(n: Any, above: Any, spread: Any, reject_at: Any, accept_at: Any) -> Any:
    """Whether |t| is between the boundaries by far more than rounding, told from its square.

    The processor would wait for the divisions and the root of t at every look. Products and t are rounded by some
    1e-16, as long as nothing is so small that it loses digits.
    """
    square = above * above * (n * (n - 1))
    return (
        spread > _SMALL_SPREAD
        and min(abs(reject_at), accept_at) > _SMALL
        and reject_at * abs(reject_at) * (1 + _MARGIN) * spread < square
        and square < accept_at * accept_at * (1 - _MARGIN) * spread
    )


@inlined
def _judged(n: Any, origin: Any, total: Any, squares: Any, reject_at: Any, accept_at: Any, decided_by: Any) -> Any:
    """The decision at a look, or OPEN; with t and estimate where it fell: (decision, t, estimate)."""
    size, critical, min_effect, value, sign = decided_by
    if not squares < inf:
        return INVALID, nan, nan
    estimate, spread = _mean_estimate(n, origin, total), _mean_spread(n, total, squares)
    if n < size and sign == 0 and _surely_open(n, estimate - value, spread, reject_at, accept_at):
        return _OPEN, nan, nan
    t = _t_statistic(n, estimate, spread, value, sign)
    if n == size:
        return ACCEPTED if t > critical and _large_enough(estimate, min_effect) else REJECTED, t, estimate
    if (
        t >= accept_at
        and _large_enough(estimate, min_effect)
        and _effect_follows(n, spread, min_effect, size, critical)
    ):
        return ACCEPTED, t, estimate
    return REJECTED if t <= reject_at else _OPEN, t, estimate


@inlined
def _mean(
    old: Any, new: Any, kind: Any, memory: Any, key: Any, within: Any, reject_at: Any, accept_at: Any, decided_by: Any
) -> Any:
    """The decision, and n, t and estimate when it fell."""
    at, counter, n = WORDS, _START, 0
    origin, total, squares = 0.0, 0.0, 0.0
    while True:
        at, counter = _draw(kind, memory, at, counter, n, key)
        if n == 0:
            origin = _change(old, new, kind, memory, 0)
        if within[n // _PAIRS] != 0:
            for place in range(_PAIRS):
                total, squares = _summed(old, new, kind, memory, place, origin, total, squares)
                n += 1
                if accept_at[n] < inf or reject_at[n] > -inf:
                    decision, t, estimate = _judged(n, origin, total, squares, reject_at[n], accept_at[n], decided_by)
                    if decision != _OPEN:
                        return decision, n, t, estimate
        else:
            for place in range(_PAIRS):
                total, squares = _summed(old, new, kind, memory, place, origin, total, squares)
            n += _PAIRS
            if accept_at[n] < inf or reject_at[n] > -inf:
                decision, t, estimate = _judged(n, origin, total, squares, reject_at[n], accept_at[n], decided_by)
                if decision != _OPEN:
                    return decision, n, t, estimate


@compiled
def decide_means(
    keys: Any,
    before: Any,
    after: Any,
    kinds: Any,
    start: Any,
    stop: Any,
    normal_words: Any,
    normal_values: Any,
    uniform_words: Any,
    within_table: Any,
    reject_table: Any,
    accept_table: Any,
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

    The tables are those of `decide_counts`; at N only the rule decides: what stands from `critical` to `sign`.
    """
    memory = pointer(normal_words), pointer(normal_values), pointer(uniform_words)
    within, reject_at, accept_at = pointer(within_table), pointer(reject_table), pointer(accept_table)
    decided_by = len(reject_table) - 1, critical, min_effect, value, sign
    for case in range(start, stop):
        key, kind = (keys[case, 0], keys[case, 1]), kinds[case]
        old = before[case, 0], before[case, 1], before[case, 2]
        new = after[case, 0], after[case, 1], after[case, 2]
        if kind == 0:
            decision, n, t, estimate = _mean(old, new, 0, memory, key, within, reject_at, accept_at, decided_by)
        else:
            decision, n, t, estimate = _mean(old, new, kind, memory, key, within, reject_at, accept_at, decided_by)
        if decision == INVALID:
            n = _invalid_after(old, new, kind, memory, key, of_squares=True)
        decisions[case], drawn[case], statistics[case], estimates[case] = decision, n, t, estimate


@compiled
def _invalid_after(before: Any, after: Any, kind: Any, memory: Any, key: Any, of_squares: Any) -> Any:
    """How many draws it takes to the first whose change, or the sum of squares with it, is NaN or infinite."""
    rare()
    at, counter, n, origin, total, squares = WORDS, _START, 0, 0.0, 0.0, 0.0
    while True:
        if n % _PAIRS == 0:
            at, counter = _draw(kind, memory, at, counter, n, key)
        change = _change(before, after, kind, memory, n % _PAIRS)
        origin = change if n == 0 else origin
        total, squares = _shifted_sums((change,), origin, total, squares)
        n += 1
        if not (squares < inf if of_squares else abs(change) < inf):
            return n

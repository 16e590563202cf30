"""A flaky trial, many at once: an ask/tell run fed by asyncio with a window of trials in flight.

Run from the repository root: .venv/bin/python examples/asyncio_window.py

Trials finish in any order, but a run must see them in the order in which they were started: observed as they finish,
quick trials would come first, and if quick trials succeed more often the sample is no longer exchangeable. A trial that
was started and is not needed any more is cancelled; at most `WINDOW` are wasted.
"""

import asyncio
import random
from collections import deque

import suffice

WINDOW = 16


async def trial(number: int) -> bool:
    """An agent run, a simulation, a flaky test: here it succeeds nine times in ten and takes a millisecond or so."""
    chance = random.Random(number)
    await asyncio.sleep(chance.random() / 500)
    return chance.random() < 0.9


async def decide(plan: suffice.Plan) -> suffice.Verdict:
    """Keep a window of trials in flight until the run closes."""
    run, flying, started = plan.start(), deque[asyncio.Task[bool]](), 0
    while run.open:
        while len(flying) < WINDOW and started < plan.n:
            flying.append(asyncio.create_task(trial(started)))
            started += 1
        run.observe([await flying.popleft()])
    for task in flying:
        task.cancel()
    return run.verdict


def main() -> None:
    plan = suffice.plan(suffice.Proportion(at_least=0.8), n=100, max_disagreement=0.01)
    verdict = asyncio.run(decide(plan))
    print(f"{verdict.decision.value} after {verdict.n} of {verdict.fixed_n} trials: {verdict.reason.value}")


if __name__ == "__main__":
    main()

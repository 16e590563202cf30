"""A flaky agent judged in production: its trials are awaited, up to sixteen at once, with a time limit and retries.

Run from the repository root: .venv/bin/python examples/asyncio_service.py [QUEUE]

Trials end in any order, and are decided in the order in which they were asked for: otherwise quick trials would come
first, and if quick trials succeed more often they are no sample of all. Without a rollout each decision is the
baseline's. The answer names who decided, and why.
"""

import asyncio
import random
import sys

import suffice


async def trial(agent: str, number: int) -> bool:
    """A run of the agent, a call of a model, a job on a cluster: here it succeeds nine times in ten."""
    chance = random.Random(f"{agent}/{number}")
    await asyncio.sleep(chance.random() / 500)
    return chance.random() < 0.9


async def decide(verifier: suffice.Verifier, agent: str) -> suffice.Served:
    """Whether an agent passes. Cases are decided beside each other on one loop."""
    case = suffice.Case(key=f"{agent}/2026-11-28", target=agent, region="eu-west-1", retries=2)
    async with verifier.begin(case) as run:
        return await run.draw(lambda number: trial(agent, number), window=16, timeout=5.0)


async def main(queue: str) -> None:
    with suffice.Verifier.from_config("config.json", queue=queue) as verifier:
        agents = ["planner", "coder", "tester"]
        for agent, served in zip(
            agents, await asyncio.gather(*(decide(verifier, each) for each in agents)), strict=True
        ):
            why = f" ({served.why_fixed.value})" if served.why_fixed else ""
            print(f"{agent}: {served.decision.value} after {served.n} of {served.fixed_n}, {served.arm.value}{why}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "TemporaryQueue"))

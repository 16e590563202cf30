"""The loop that decides a case."""

from suffice.decision.rule import Rule
from suffice.sampling.sampler import Draws
from suffice.sampling.streams import Stream
from suffice.stopping.plan import Plan
from suffice.stopping.run import Run, Verdict
from suffice.verifier.case import Case


def decide(case: Case, plan: Plan, seed: int) -> Verdict:
    """Draw from the case's stream until the plan stops. No draw is made beyond the look that stopped it."""
    draws, run = Draws(case.sampler, Stream(seed, case.key), case.retries), plan.start()
    while run.open:
        run.observe(plan.rule.observations(draws.take(run.need), case.direction))
    return run.verdict


def observations(case: Case, rule: Rule, n: int, seed: int) -> list[float]:
    """The first n observations of the case's stream: what every run of this case is fed, in this order."""
    return rule.observations(Draws(case.sampler, Stream(seed, case.key), case.retries).take(n), case.direction)


def decide_fixed(observed: list[float], rule: Rule) -> Verdict:
    """The baseline: the rule applied to all observations."""
    run = Run(rule, len(observed), ())
    run.observe(observed)
    return run.verdict

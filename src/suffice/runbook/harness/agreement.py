"""Cases about decisions: are they the baseline's, for how many draws, and at whose expense."""

from scipy.special import bdtrc

from suffice.decision.rule import Decision
from suffice.resolution.storm import replay
from suffice.runbook.harness.case import CaseFailed, Context
from suffice.verifier.many import CaseResult


def agreement_even(context: Context) -> str:
    """On truths spread evenly around the rule's boundary, so that no rule finds it easy."""
    return _agreement(context, context.even)


def agreement_pdg(context: Context) -> str:
    """On published particle measurements and their re-measurements."""
    return _agreement(context, context.pdg)


def sample_reduction(context: Context) -> str:
    """What the rollout demands at the least, on the particle measurements."""
    total, limit = (
        context.comparison(context.pdg).methods[0].total,
        context.config.rollout.acceptance.min_sample_reduction,
    )
    what = f"{total.reduction:.1%} of the draws are saved in {total.cases:,} cases; needed: {limit:.1%}"
    if not total.reduction >= limit:
        raise CaseFailed(what)
    return what


def excess_escalations(context: Context) -> str:
    """The storm policy replayed on both worlds' decisions: targets that escalate in one only.

    If adaptive sampling adds none, such a target is as likely in excess as spared (sign test).
    """
    acceptance = context.config.rollout.acceptance
    baseline, adaptive = _escalating(context, adaptive=False), _escalating(context, adaptive=True)
    excess, spared = len(adaptive - baseline), len(baseline - adaptive)
    targets = len({result.case.target for result in context.pdg})
    rate = (excess - spared) / targets
    what = (
        f"{excess} of {targets:,} targets escalate only adaptively, {spared} only in the baseline: "
        f"excess {rate:.2%}, allowed {acceptance.max_excess_escalations:.2%}"
    )
    by_chance = float(bdtrc(excess - 1, excess + spared, 0.5)) if excess else 1.0
    if rate > acceptance.max_excess_escalations and by_chance < 1 - acceptance.confidence:
        raise CaseFailed(what)
    return what


def _agreement(context: Context, decided: list[CaseResult]) -> str:
    gate = context.config.verifier.adaptive_sampling.regression_gate
    total = context.comparison(decided).methods[0].total
    what = (
        f"{context.plan.rule.name} with {context.plan.method}: {total.disagreements} of {total.cases:,} decisions "
        f"differ from the baseline's, {total.rate:.2%}; allowed: {gate.max_disagreement_rate:.2%}"
    )
    if not gate.enabled:
        return f"{what}; not judged: regression_gate.enabled is false"
    if total.cases < gate.min_cases:
        raise CaseFailed(f"{total.cases} cases with a valid baseline; needed to judge: {gate.min_cases}")
    if not total.rate <= gate.max_disagreement_rate:
        raise CaseFailed(what)
    return what


def _escalating(context: Context, *, adaptive: bool) -> set[str]:
    decisions = (
        (result.case.target, (result.verdicts[0] if adaptive else result.baseline).decision is Decision.ACCEPTED)
        for result in context.pdg
        if result.valid
    )
    return {target for target, count in replay(decisions, context.policy.max_rollbacks).items() if count}

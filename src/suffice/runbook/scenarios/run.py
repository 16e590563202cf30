"""Runs a scenario in two worlds: the same corrections on a store of their own, by fixed and by adaptive decisions.

Everything in them is the product's own: resolver, storm policy, provenance, both arms, the audit. A world that a
rehearsed fault or an environment variable could make adaptive in name only would prove nothing, so the arms are called
by name and not through the flag.
"""

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from suffice.decision.rule import Decision
from suffice.resolution.judge import Outcome
from suffice.resolution.resolve import Resolver
from suffice.resolution.review import add_records
from suffice.runbook.scenarios.chance import most
from suffice.runbook.scenarios.scenario import Scenario
from suffice.runbook.scenarios.setting import Check, Params, Setting, Setup
from suffice.runbook.scenarios.worlds import World, Worlds, content
from suffice.serving.counted import count
from suffice.serving.ledger_rows import row_of
from suffice.serving.served import Served, serve_adaptive, serve_fixed
from suffice.serving.situation import Situation
from suffice.store.database import open_store
from suffice.store.events import provenance_of, verify_provenance
from suffice.store.records import load_records
from suffice.telemetry.counters import Counters
from suffice.verifier.arm import Arm
from suffice.verifier.case import Case


def run(scenario: Scenario, params: Params, setting: Setting) -> tuple[Worlds, list[Check]]:
    """Both worlds of a scenario, and everything that must hold: its own expectation, and what holds for all.

    The result is a function of the arguments alone.
    """
    setup = scenario.setup(params, setting)
    worlds = Worlds(setting, _world(setup, setting, Arm.FIXED), _world(setup, setting, Arm.ADAPTIVE))
    return worlds, [*scenario.expect(worlds, params), *_always(worlds), *_agreement(worlds, scenario, params)]


def _world(setup: Setup, setting: Setting, arm: Arm) -> World:
    counters = Counters()

    def verify(case: Case) -> Served:
        drawn = replace(case, sampler=setup.sampler(case)) if setup.sampler else case
        served = _serve(drawn, setting, arm)
        count(row_of(drawn, served, Situation(), setting.plan.id, setting.seed, setting.at), counters)
        return served

    with TemporaryDirectory(prefix="suffice-") as folder, open_store(_file(folder), durable=False) as store:
        add_records(store, setup.records, setting.at)
        resolver = Resolver(store, verify, setting.policy, lambda: setting.at, counters=counters)
        resolutions = tuple(resolver.resolve(setup.corrections))
        names = list(dict.fromkeys(correction.target for correction in setup.corrections))
        with store.read() as connection:
            records = load_records(connection, names)
            told = provenance_of(connection, *names)
            chain = verify_provenance(connection)
    events = {name: tuple(event for event in told if event.target == name) for name in names}
    return World(arm, resolutions, {name: records[name] for name in names}, events, chain, counters.snapshot())


@cache
def _empty_store() -> bytes:
    """A store at the current schema: making one takes longer than most scenarios."""
    with TemporaryDirectory(prefix="suffice-") as folder:
        path = Path(folder) / "store.sqlite"
        open_store(path, durable=False).close()
        return path.read_bytes()


def _file(folder: str) -> Path:
    path = Path(folder) / "store.sqlite"
    path.write_bytes(_empty_store())
    return path


def _serve(case: Case, setting: Setting, arm: Arm) -> Served:
    if arm is Arm.FIXED:
        return serve_fixed(case, setting.plan, setting.seed)
    return serve_adaptive(case, setting.plan, setting.seed, audited=True)


def _always(worlds: Worlds) -> list[Check]:
    checks = []
    for world in worlds.both:
        put_back = [*world.outcomes(Outcome.ROLLED_BACK), *world.outcomes(Outcome.INVALID)]
        changed = sum(content(r.before) != content(r.after) for r in put_back)
        checks.append(Check(f"{world.arm}: {changed} of {len(put_back)} records put back were changed", changed == 0))
        verified = world.chain.verified
        checks.append(Check(f"{world.arm}: the provenance chain holds for {verified} events", world.chain.intact))
    return [*checks, _audits_see(worlds)]


def _audits_see(worlds: Worlds) -> Check:
    """An audit says of each decision what the fixed world decided about it."""
    fixed = worlds.fixed.served
    wrong = 0
    for key, served in worlds.adaptive.served.items():
        if key in fixed and {fixed[key].decision, served.decision} != {Decision.INVALID}:
            wrong += served.agrees is not (served.decision is fixed[key].decision)
    return Check(f"{wrong} audits are wrong about what the fixed world decided", wrong == 0)


def _agreement(worlds: Worlds, scenario: Scenario, params: Params) -> list[Check]:
    """The plan's bound on the same draws, wherever its guarantee is claimed for such draws: those that are numbers."""
    plan = worlds.setting.plan
    claimed = scenario.exchangeable(params) and (plan.guarantee != "asymptotic" or scenario.near_normal)
    audits = [
        served.agrees
        for served in worlds.adaptive.served.values()
        if served.agrees is not None and (served.baseline or served.verdict).decision is not Decision.INVALID
    ]
    if not claimed or not audits:
        return []
    differ = audits.count(False)
    bound = plan.budget.largest
    allowed = most(len(audits), bound)
    what = (
        f"{differ} of {len(audits)} adaptive decisions differ from the baseline's; no surprise at {bound:g}: {allowed}"
    )
    return [Check(what, differ <= allowed)]

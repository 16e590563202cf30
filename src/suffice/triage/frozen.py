"""What a bundle holds, read again. All that it says is checked: a bundle may come from anybody."""

import re
from dataclasses import dataclass
from pathlib import Path
from types import NoneType

from suffice import strict_json
from suffice.config import load
from suffice.errors import DataError, MissingDataError, StoreError, shown
from suffice.evidence.rebuild import features_of
from suffice.files import read_whole
from suffice.gates.outcome import GateResult, Outcome
from suffice.stopping.plan import Plan
from suffice.store.decision_row import DecisionRow, row_of_plain
from suffice.triage.bundle import AUDITS_FILE, DISAGREEMENTS, plan_file
from suffice.triage.cause import Explanation, explain, rolled_back_by, untold
from suffice.triage.manifest import check
from suffice.verifier.case import Case, features_text

_ID = re.compile("[0-9a-f]{64}")


def explained(bundle: Path) -> Explanation:
    """Why a bundle's rollout failed; unknown where an earlier version froze it, without the stage's audits.

    Raises DataError when the bundle was changed or garbles an audit, ConfigError and PlanError for what the rollout was
    started with.
    """
    check(bundle)
    if not (bundle / AUDITS_FILE).exists():
        return untold(f"the bundle has no {AUDITS_FILE}: an earlier version froze it")
    return rolled_back_by(explain(audits_in(bundle), _plans_in(bundle), limit_in(bundle)), _failed_in(bundle))


@dataclass(frozen=True, slots=True)
class FrozenStage:
    """The audits of a bundle's stage, with what decides such cases again.

    `plan` and `seed` are those of the newest audit, `fault` what a rehearsal did to its draws, and `region` the one of
    all audits, None where there are several.
    """

    audits: list[DecisionRow]
    plan: Plan
    seed: int
    fault: str | None
    region: str | None


def frozen_stage(bundle: Path) -> FrozenStage:
    """The stage of a bundle. Raises DataError, PlanError for what is changed, missing or garbled; MissingDataError when
    it has no audit."""
    check(bundle)
    audits = audits_in(bundle) if (bundle / AUDITS_FILE).exists() else []
    if not audits:
        raise MissingDataError(f"{bundle}: has no audits of the stage; bundles of earlier versions have none")
    regions = {row.region for row in audits}
    newest = audits[-1]
    region = newest.region if len(regions) == 1 else None
    return FrozenStage(audits, plan_in(bundle, newest.plan_id), newest.seed, fault_in(bundle), region)


def fault_in(bundle: Path) -> str | None:
    """What a rehearsal did to the draws; every differing decision of its bundle says so."""
    path = bundle / DISAGREEMENTS
    try:
        lines = read_whole(path).splitlines()
        fault = strict_json.loads(lines[0])["fault"] if lines else None
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}, line 1: lacks or garbles {' '.join(str(error).split())[:200]}") from error
    if not isinstance(fault, str | NoneType):
        raise DataError(f"{path}, line 1: fault is {shown(fault)}; allowed: text or null")
    return fault


def audits_in(bundle: Path) -> list[DecisionRow]:
    """The stage's audits, in ledger order, each with the plan that really ran. Raises DataError, naming the line."""
    path, rows = bundle / AUDITS_FILE, list[DecisionRow]()
    try:
        lines = read_whole(path).splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    for line, text in enumerate(lines, start=1):
        try:
            row = row_of_plain(strict_json.loads(text))
            features_text(Case(row.key, row.target, features=features_of(row)))
            rows.append(row)
        except (DataError, OverflowError, StoreError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {line}: lacks or garbles {' '.join(str(error).split())[:200]}") from error
    return rows


def plan_in(bundle: Path, plan_id: str) -> Plan:
    """The plan that made a decision: the rollout's own, or another one that the bundle has. Raises DataError,
    PlanError."""
    if not _ID.fullmatch(plan_id):
        # It names a file.
        raise DataError(f"{bundle}: plan_id is {shown(plan_id)}; allowed: the hash of a plan")
    own = Plan.load(bundle / "plan.json")
    if own.id == plan_id:
        return own
    other = bundle / plan_file(plan_id)
    if not other.is_file():
        raise DataError(f"{bundle}: the decision was made with plan {plan_id[:12]}, which the bundle does not have")
    return Plan.load(other)


def _failed_in(bundle: Path) -> list[GateResult]:
    """The gates that rolled back; none where a person did, or of a rollout that was deleted."""
    path = bundle / "state.json"
    if not path.is_file():
        return []
    try:
        failed = strict_json.loads(read_whole(path)).get("failed", [])
        return [GateResult(one["gate"], Outcome.FAILED, one["sentence"], None, None) for one in failed]
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise DataError(f"{path}: lacks or garbles {' '.join(str(error).split())[:200]}") from error


def _plans_in(bundle: Path) -> list[Plan]:
    paths = bundle / "plan.json", *sorted((bundle / "plans").glob("*.json"))
    return [Plan.load(path) for path in paths if path.is_file()]


def limit_in(bundle: Path) -> float | None:
    """The disagreement that the rollout allows, None of one that was deleted."""
    path = bundle / "config.json"
    return load(path).rollout.acceptance.max_disagreement_rate if path.is_file() else None

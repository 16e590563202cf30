"""What a bundle holds, read again. All that it says is checked: a bundle may come from anybody."""

from pathlib import Path

from suffice import strict_json
from suffice.config import load
from suffice.errors import DataError, StoreError
from suffice.files import read_whole
from suffice.stopping.plan import Plan
from suffice.store.decision_row import DecisionRow, row_of_plain
from suffice.triage.bundle import AUDITS_FILE, plan_file
from suffice.triage.cause import Explanation, explain, untold
from suffice.triage.manifest import check


def explained(bundle: Path) -> Explanation:
    """Why a bundle's rollout failed; unknown where an earlier version froze it, without the stage's audits.

    Raises DataError when the bundle was changed or garbles an audit, ConfigError and PlanError for what the rollout was
    started with.
    """
    check(bundle)
    if not (bundle / AUDITS_FILE).exists():
        return untold(f"the bundle has no {AUDITS_FILE}: an earlier version froze it")
    return explain(audits_in(bundle), _plans_in(bundle), limit_in(bundle))


def audits_in(bundle: Path) -> list[DecisionRow]:
    """The stage's audits, in ledger order, each with the plan that really ran. Raises DataError, naming the line."""
    path, rows = bundle / AUDITS_FILE, list[DecisionRow]()
    try:
        lines = read_whole(path).splitlines()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    for line, text in enumerate(lines, start=1):
        try:
            rows.append(row_of_plain(strict_json.loads(text)))
        except (OverflowError, StoreError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {line}: lacks or garbles {' '.join(str(error).split())[:200]}") from error
    return rows


def plan_in(bundle: Path, plan_id: str) -> Plan:
    """The plan that made a decision: the rollout's own, or another one that the bundle has. Raises DataError,
    PlanError."""
    own = Plan.load(bundle / "plan.json")
    if own.id == plan_id:
        return own
    other = bundle / plan_file(plan_id)
    if not other.is_file():
        raise DataError(f"{bundle}: the decision was made with plan {plan_id[:12]}, which the bundle does not have")
    return Plan.load(other)


def _plans_in(bundle: Path) -> list[Plan]:
    paths = bundle / "plan.json", *sorted((bundle / "plans").glob("*.json"))
    return [Plan.load(path) for path in paths if path.is_file()]


def limit_in(bundle: Path) -> float | None:
    """The disagreement that the rollout allows, None of one that was deleted."""
    path = bundle / "config.json"
    return load(path).rollout.acceptance.max_disagreement_rate if path.is_file() else None

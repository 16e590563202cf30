"""What a rehearsal does once a rollback is observed: switch off, freeze the evidence, open the triage item."""

import json
import platform
import shlex
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from suffice.config import set_enabled
from suffice.evidence.measurements import Evidence
from suffice.flag.probes import Receipt
from suffice.gates.outcome import GateResult
from suffice.rehearsal.runbook import Runbook
from suffice.rehearsal.setup import CHECKS, Setup
from suffice.rehearsal.traffic import lasting
from suffice.rollout.controller import State
from suffice.rollout.saved_state import plain_result, plain_state
from suffice.serving.counted import counters_of
from suffice.sources.correction import Correction
from suffice.stopping.plan import Plan
from suffice.store.ledger import DecisionRow, Ledger, plain_row
from suffice.telemetry.metrics_file import flush
from suffice.triage.bundle import plan_file
from suffice.triage.manifest import freeze

PACKAGES = ("numpy", "scipy", "openfeature-sdk", "openfeature-provider-flagd", "sqlalchemy", "suffice")


@dataclass(frozen=True, slots=True)
class Settled:
    """A rollback that is done: when the baseline was observed, the receipt, and the bundle."""

    at: float
    receipt: Receipt | None
    bundle: Path


class Bundler:
    """Settles the rollback of a rehearsal. Safe to call again: a bundle that is there is kept."""

    def __init__(
        self, setup: Setup, ledger: Ledger, rollout: str, fault_plan: Plan, runbook: Runbook | None = None
    ) -> None:
        self._setup, self._ledger, self._rollout, self._runbook = setup, ledger, rollout, runbook
        self._fault_plan = fault_plan
        self.evidence = Evidence()
        self.results: tuple[GateResult, ...] = ()
        self.settled: Settled | None = None

    def settle(self, state: State, receipt: Receipt | None) -> None:
        set_enabled(self._setup.file("config.json"), enabled=False)
        bundle = self._setup.bundle(state.current.name, state.failed[0].gate if state.failed else "asked")
        rows = self._ledger.disagreements(self._rollout, state.current.name)
        freeze(bundle, self._files(state, receipt, state.why, rows, bundle))
        self.settled = Settled(state.last_cycle or self._setup.start, receipt, bundle)

    def _files(
        self, state: State, receipt: Receipt | None, reason: str, rows: list[DecisionRow], bundle: Path
    ) -> dict[str, str]:
        by_key = {correction.key: correction for correction in self._setup.corrections}
        cases = [self._case(row, by_key[lasting(row.key)]) for row in rows]
        return {
            "gates.json": _json([plain_result(result) for result in self.results]),
            "evidence.json": _json(asdict(self.evidence)),
            "state.json": _json(plain_state(state)),
            "metrics.json": self._metrics(),
            "config.json": self._setup.file("config.json").read_text(encoding="utf-8"),
            "flag.json": self._setup.file("flag.json").read_text(encoding="utf-8"),
            "plan.json": _json(self._setup.plan.to_dict()),
            "disagreements.jsonl": "".join(json.dumps(case) + "\n" for case in cases),
            "receipt.json": _json(asdict(receipt) if receipt else None),
            "environment.json": _json(_environment()),
            "TRIAGE.md": _item(reason, state, cases, bundle),
            **self._plans(),
            **self._checks(state.current.name),
        }

    def _plans(self) -> dict[str, str]:
        plan = self._fault_plan
        return {} if plan.id == self._setup.plan.id else {plan_file(plan.id): _json(plan.to_dict())}

    def _checks(self, stage: str) -> dict[str, str]:
        """What the runbook's checks of the stage said, waited for: the baseline is observed already."""
        outputs = self._runbook.outputs(stage) if self._runbook else {}
        return {f"{CHECKS}/{name}": text for name, text in outputs.items()}

    def _metrics(self) -> str:
        """The metrics file as it would be now."""
        with TemporaryDirectory() as folder:
            path = Path(folder) / "metrics.json"
            flush(counters_of(self._ledger.rows(self._rollout)), path)
            return path.read_text(encoding="utf-8")

    def _case(self, row: DecisionRow, correction: Correction) -> dict[str, Any]:
        """A disagreeing decision with all that is needed to decide it again."""
        fault, plain = self._setup.fault, plain_row(row)
        return {
            "key": row.key,
            "target": row.target,
            "record": asdict(correction.record),
            "measurement": asdict(correction.measurement),
            "seed": row.seed,
            "baseline": plain["baseline_decision"],
            "adaptive": plain["adaptive_decision"],
            "n": row.adaptive_n,
            "plan_id": self._fault_plan.id,
            "fault": fault.kind.spelling if fault else None,
        }


def _environment() -> dict[str, str]:
    return {"python": platform.python_version(), "system": platform.system(), **{p: version(p) for p in PACKAGES}}


def _item(reason: str, state: State, cases: list[dict[str, Any]], bundle: Path) -> str:
    gates = [f"- {result.gate}: {result.sentence}" for result in state.failed] or ["- none: a person asked for it"]
    if cases:
        reproduce = f"suffice triage reproduce {shlex.quote(str(bundle))} --key {shlex.quote(cases[0]['key'])}"
    else:
        reproduce = "# no audited decision differs; see gates.json"
    lines = [
        f"# Triage: {state.current.name} was rolled back",
        "",
        reason,
        "",
        "Failed gates:",
        *gates,
        "",
        f"{len(cases)} audited decisions differ from the baseline (`disagreements.jsonl`).",
        "",
        "From the folder that the rehearsal was started in, with its virtual environment on the path:",
        "",
        "```sh",
        f"(cd {shlex.quote(str(bundle))} && sha256sum --check MANIFEST)",
        reproduce,
        "```",
        "",
        "Then compare fixed against adaptive on the failing region, sweep it, and tune the plan.",
    ]
    return "\n".join(lines) + "\n"


def _json(value: Any) -> str:
    return json.dumps(value, indent=2) + "\n"

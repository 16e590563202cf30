"""Where a service's own cases come from: its ledger, built again by its function, or the draws that it recorded."""

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from suffice import Case, Verifier
from suffice.cli.main import run
from suffice.errors import ExitCode
from suffice.evidence.rebuild import features_of
from suffice.sampling.recorded import Recorded
from suffice.sources.built import Builder
from suffice.store.database import open_store
from suffice.store.decision_row import DecisionRow
from suffice.store.ledger import Ledger

N = 32

PRINTED = "a service prints what it likes"

LOCKS = """
from suffice import Case

print("{PRINTED}")

def build(*, key, target, region, features):
    print("built")
    return Case(key, target, lambda rng, n: rng.random(n) < features["tight"], region, features=features)
"""

CONFIG: dict[str, Any] = {
    "verifier": {"rule": "proportion", "n_samples": N, "cases": "locks:build", "adaptive_sampling": {"enabled": True}},
    "rollout": {"checks": {"run": []}, "cycle": "60s"},
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a service that has decided nothing yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "locks", raising=False)
    (tmp_path / "locks.py").write_text(LOCKS.replace("{PRINTED}", PRINTED), encoding="utf-8")
    configure()
    return tmp_path


def configure(**verifier: Any) -> None:
    config = {**CONFIG, "verifier": {**CONFIG["verifier"], **verifier}}
    Path("config.json").write_text(json.dumps(config), encoding="utf-8")


def decide(cases: Sequence[Case]) -> list[DecisionRow]:
    """The service decides, and is closed."""
    with Verifier.from_config() as verifier:
        for case in cases:
            verifier.verify(case)
    with open_store("TemporaryQueue/store.db", create=False) as store:
        return Ledger(store).newest(len(cases))


def of_locks(count: int) -> list[Case]:
    builder = Builder("locks:build", Path.cwd())
    return [builder.case(f"l{i}", f"t{i}", "eu", {"tight": (0.3, 0.95)[i % 2]}) for i in range(count)]


def answer(line: str, capsys: pytest.CaptureFixture[str], code: int = ExitCode.HOLDS) -> Any:
    capsys.readouterr()
    assert run([*shlex.split(line), "--json"]) == code
    return json.loads(capsys.readouterr().out)


def refused(line: str, capsys: pytest.CaptureFixture[str], code: int = ExitCode.FAILS) -> str:
    assert run(line.split()) == code
    out, err = capsys.readouterr()
    (problem,) = [line for line in err.splitlines() if line != PRINTED]
    assert out == ""
    return problem


@pytest.mark.usefixtures("folder")
def test_the_services_newest_decisions_are_compared_and_promoted_on(capsys: pytest.CaptureFixture[str]) -> None:
    rows = decide(of_locks(30))
    assert features_of(rows[0]) == {"tight": 0.95}
    assert run(["compare", "--source", "ledger", "--csv", "rows.csv"]) == ExitCode.HOLDS
    capsys.readouterr()
    lines = [line.split(",") for line in Path("rows.csv").read_text("utf-8").splitlines()]
    place = lines[0].index("key"), lines[0].index("baseline")
    assert {line[place[0]]: line[place[1]] for line in lines[1:]} == {row.key: row.decision.value for row in rows}
    for line in ("promote --dry-run", "promote --dry-run --source ledger"):
        _, measured = answer(line, capsys)["evidence"]
        assert (measured["source"], measured["summary"]["cases"]) == ("ledger", 30)


@pytest.mark.usefixtures("folder")
def test_without_decisions_or_a_function_the_ledger_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no store" in refused("promote --dry-run", capsys, ExitCode.CANNOT_TELL)
    with Verifier.from_config() as verifier:
        verifier.flush()
    assert "the ledger has no decision yet" in refused("promote --dry-run", capsys, ExitCode.CANNOT_TELL)
    one_of_both = refused("compare --source ledger --records r.csv --measurements m.csv", capsys)
    assert "--source ledger and --records/--measurements are both given" in one_of_both
    Path("locks.py").write_text("def build(): raise OSError\n", encoding="utf-8")
    configure(cases="locks:building")
    assert "verifier.cases is 'locks:building': AttributeError" in refused("compare --source ledger", capsys)
    configure(cases=None)
    assert '--source ledger needs verifier.cases, which is null; allowed: "module:function"' in refused(
        "compare --source ledger", capsys
    )


def record(cases: int, n: int = N) -> dict[str, list[int]]:
    """A file of draws as a service records them, and the draws of each case."""
    rng = np.random.default_rng(7)
    draws = {f"r{i}": (rng.random(n) < (0.3, 0.95)[i % 2]).astype(int).tolist() for i in range(cases)}
    lines = (json.dumps({"task": key, "target": f"t{key}", "samples": drawn}) for key, drawn in draws.items())
    Path("draws.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return draws


@pytest.mark.usefixtures("folder")
def test_a_promotion_measures_on_recorded_draws_of_a_whole_decision(capsys: pytest.CaptureFixture[str]) -> None:
    record(40)
    with Path("draws.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"task": "stopped early", "samples": [1, 1, 1, 1]}\n')
    _, measured = answer("promote --dry-run --samples draws.jsonl --column case=task", capsys)["evidence"]
    assert (measured["source"], measured["summary"]["cases"]) == ("draws.jsonl", 40)
    record(3, n=8)
    short = refused("promote --dry-run --samples draws.jsonl --column case=task", capsys, ExitCode.CANNOT_TELL)
    assert "no case has the 32 draws that a fixed decision takes" in short


@pytest.mark.parametrize("command", ["promote --dry-run", "rollout start --dry-run"])
@pytest.mark.usefixtures("folder")
def test_recorded_draws_stand_alone(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    record(1)
    for other in ("--source pdg", "--records r.csv"):
        assert "--samples stands alone" in refused(f"{command} --samples draws.jsonl {other}", capsys)
    assert "it needs --samples" in refused(f"{command} --column case=task", capsys)
    assert "is named twice" in refused(f"{command} --samples draws.jsonl --column case=a --column case=b", capsys)
    assert "allowed: .jsonl" in refused(f"{command} --samples draws.txt", capsys)
    assert "there is no such file" in refused(f"{command} --samples x.jsonl", capsys, ExitCode.CANNOT_TELL)


@pytest.mark.usefixtures("folder")
def test_a_rollout_recomputes_from_draws_that_the_service_recorded(capsys: pytest.CaptureFixture[str]) -> None:
    configure(cases=None)
    draws = record(30)
    answer("rollout start --samples draws.jsonl --column case=task", capsys)
    recorded = {key: Recorded(np.array(drawn, float), given_order=True) for key, drawn in draws.items()}
    rows = decide([Case(key, f"t{key}", sampler) for key, sampler in recorded.items()])
    assert all(row.shadow for row in rows)

    def judged(code: ExitCode = ExitCode.HOLDS) -> tuple[str, str]:
        results = answer("rollout cycle --dry-run", capsys, code)["gates"]
        return next((result["outcome"], result["sentence"]) for result in results if result["gate"] == "determinism")

    assert judged() == ("Successful", "0 of 20 decisions recomputed in a fresh process differ (limit 0)")
    Path("draws.jsonl").write_text('{"task": "r29", "samples": [0, 0]}\n', encoding="utf-8")
    assert judged()[0] == "Error"
    Path("draws.jsonl").write_text(f'{{"task": "r29", "samples": {[0] * N}}}\n', encoding="utf-8")
    assert judged(ExitCode.FAILS) == (
        "Failed",
        "1 of 1 decisions recomputed in a fresh process differs (limit 0), the first of key 'r29'",
    )


STAGES: list[dict[str, Any]] = [
    {"name": "staging", "weight": 0, "shadow": True, "hold": "1d", "min_audits": 30},
    {"name": "everywhere", "weight": 100, "audit_fraction": 0.5},
]


@pytest.mark.parametrize("source", ["", "--samples draws.jsonl --column case=task"])
@pytest.mark.usefixtures("folder")
def test_a_services_cases_are_rehearsed(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    """They arrive again in each pass, are recomputed, and a difference that a fault makes happens again."""
    acceptance = {"max_disagreement_rate": 0.2, "min_sample_reduction": 0.1}
    rollout = {**CONFIG["rollout"], "cycle": "12h", "acceptance": acceptance, "stages": STAGES}
    Path("config.json").write_text(json.dumps({**CONFIG, "rollout": rollout}), encoding="utf-8")
    if source:
        record(40)
    else:
        decide(of_locks(40))
    ended = answer(f"rehearse --no-checks --fault everywhere:storm {source}", capsys, ExitCode.FAILS)
    assert (ended["status"], ended["arriving"], ended["corrections"]) == ("rolled_back", "cases", 40)
    staging, _ = ended["stages"]
    assert {gate["gate"]: gate["outcome"] for gate in staging["gates"]}["determinism"] == "Successful"
    assert ended["arrivals"] == ended["decisions"] > 40
    (again,) = [
        line for line in (Path(ended["bundle"]) / "TRIAGE.md").read_text("utf-8").splitlines() if "reproduce" in line
    ]
    seen = answer(again.removeprefix("suffice "), capsys)
    assert (seen["baseline"], seen["adaptive"]) == ("accepted", "rejected")

"""A small world to rehearse in: clear corrections, borderline ones, and stages that a few days of them can prove; the
limit is wide, so that they are few."""

import csv
import json
import os
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import select

import effects
from suffice.cli.main import main
from suffice.config import Config, parse
from suffice.rehearsal.faults import Fault, Kind
from suffice.rehearsal.rehearse import Ending, Moment, rehearse
from suffice.rehearsal.setup import Setup
from suffice.rehearsal.summary import summary_of
from suffice.sources.correction import Correction, Estimate
from suffice.stopping.make import configured_plan
from suffice.store.database import open_store
from suffice.store.decision_row import DecisionRow
from suffice.store.events import verify_provenance
from suffice.store.journal import journal_of, verify_journal
from suffice.store.ledger import Ledger
from suffice.store.schema import resolutions

ROLLOUT = "rehearsal-000001"

STAGES: list[dict[str, Any]] = [
    {"name": "staging", "weight": 0, "shadow": True, "hold": "1d", "audit_fraction": 1.0, "min_audits": 100},
    {"name": "canary", "weight": 60, "regions": ["eu-west-1"], "hold": "2d", "audit_fraction": 1.0, "min_audits": 100},
    {"name": "full", "weight": 100, "audit_fraction": 0.2},
]


def config_text(rule: str = "proportion", seed: int = 1, **sampling: Any) -> str:
    """The configuration of all rehearsals here."""
    return json.dumps(
        {
            "determinism": {"seed": seed},
            "verifier": {
                "rule": rule,
                "n_samples": 64,
                "adaptive_sampling": {"n0": 8, "n_min": 8, "look_every": 8, **sampling},
            },
            "rollout": {"cycle": "6h", "stages": STAGES, "acceptance": {"max_disagreement_rate": 0.03}},
        }
    )


def config(rule: str = "proportion", seed: int = 1, **sampling: Any) -> Config:
    return parse(config_text(rule, seed, **sampling), "test")


def corrections(count: int = 240) -> list[Correction]:
    """Four corrections a target: half clear, a quarter hopeless, a quarter near the boundary of either rule."""
    rng, claims = np.random.default_rng(5), []
    for i in range(count):
        shift = float(rng.choice([4.0, 4.0, 0.05, rng.uniform(1.0, 1.4)])) * float(rng.choice([-1, 1]))
        was = float(rng.normal())
        record, measured = Estimate(was, 1.0, 1.0), Estimate(was + shift, 1.0, 0.5 if i % 3 else 1.0)
        claims.append(Correction(f"c{i}", f"t{i % (count // 4)}", record, measured))
    return claims


def setup(folder: Path, fault: str | None = None, chosen: Config | None = None, **changes: Any) -> Setup:
    used = chosen or config()
    stage, _, kind = (fault or "").partition(":")
    known = {k.spelling: k for k in Kind}
    settings: dict[str, Any] = {
        "config": used,
        "plan": configured_plan(used.verifier, None, folder),
        "corrections": changes.pop("corrections", None) or corrections(),
        "source": "small",
        "directory": folder / "rehearsal",
        "fault": Fault(stage, known[kind]) if fault else None,
        "checks": False,
        # The first audits of 60 targets prove no rate; that of the four corrections of each is another question.
        "waived": ("targets",),
    }
    return Setup(**{**settings, **changes})


class Done:
    """A rehearsal that has ended, and what it left."""

    def __init__(self, prepared: Setup) -> None:
        self.setup = prepared
        self.moments: list[Moment] = []
        self.ending: Ending = rehearse(prepared, seen=self.moments.append)
        self.summary: dict[str, Any] = summary_of(prepared, self.ending)
        with open_store(prepared.file("store.db")) as store, store.read() as connection:
            self.rows: list[DecisionRow] = Ledger(store).rows(ROLLOUT)
            self.chains = verify_provenance(connection).intact, verify_journal(connection).intact
            self.events = journal_of(connection, ROLLOUT)
            self.resolved = connection.execute(select(resolutions)).all()

    def stage(self, name: str) -> list[DecisionRow]:
        return [row for row in self.rows if row.stage == name]


def rehearsed(prepared: Setup) -> tuple[Ending, dict[str, Any]]:
    ending = rehearse(prepared)
    return ending, summary_of(prepared, ending)


def write_files(folder: Path, claims: Sequence[Correction] | None = None, **settings: Any) -> list[str]:
    """Records, measurements and configuration as files, and the options of `suffice rehearse` that name them."""
    claims = corrections() if claims is None else claims
    # A record for each correction: the CSV source pairs a measurement with the record that it names.
    _write(folder / "records.csv", [(f"r-{c.key}", c.target, c.record) for c in claims])
    _write(folder / "measurements.csv", [(c.key, f"r-{c.key}", c.measurement) for c in claims])
    (folder / "config.json").write_text(config_text(**settings), encoding="utf-8")
    named = ["--records", "records.csv", "--measurements", "measurements.csv"]
    return ["rehearse", *named, "--dir", "rehearsal", "--no-checks", "--waive", "targets"]


def _write(path: Path, rows: list[tuple[str, str, Estimate]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("key", "target", "value", "u_plus", "u_minus"))
        writer.writerows((key, target, e.value, e.u_plus, e.u_minus) for key, target, e in rows)


def run_in(folder: Path, arguments: Sequence[str], moment: effects.Moment | None = None) -> None:
    """Be a process that runs `suffice` in a folder until a moment, or to its end; what it prints is left in the files
    `out` and `err` there, and how many effects it had in `effects.json`."""
    os.chdir(folder)
    for descriptor, name in ((1, "out"), (2, "err")):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    counted = effects.count_effects(moment)
    sys.argv = ["suffice", *arguments]
    try:
        main()
    finally:
        done = {effect.name: number for effect, number in counted.items()}
        Path("effects.json").write_text(json.dumps(done), encoding="utf-8")


def process_in(folder: Path, arguments: Sequence[str], moment: effects.Moment | None = None) -> tuple[int, str, str]:
    """Run `suffice` so in a process of its own: its exit code, or less the number of the signal that ended it, and what
    it printed. It is forked from one that has its imports already."""
    process = get_context("forkserver").Process(target=run_in, args=(folder, arguments, moment))
    process.start()
    process.join()
    assert process.exitcode is not None
    return process.exitcode, (folder / "out").read_text("utf-8"), (folder / "err").read_text("utf-8")


if __name__ == "__main__":
    run_in(Path(sys.argv[1]), sys.argv[2:])

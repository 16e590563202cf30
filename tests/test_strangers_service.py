"""A stranger's service, from its first fixed decision to a rollback that happens again: with our wheel, in an
environment and a repository of her own, by the commands of the guide."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import Any

import pytest

from installed_wheel import ROOT, Bare, built, linked

HOLDS, FAILS = 0, 2

GUIDE = (ROOT / "docs" / "integrate.md").read_text("utf-8")

STAGES = [
    {"name": "staging", "weight": 0, "shadow": True, "hold": "1s", "min_audits": 60},
    {"name": "canary", "weight": 50, "regions": ["north"], "hold": "1s", "min_audits": 60},
    {"name": "everywhere", "weight": 100, "audit_fraction": 0.25},
]
"""Her stages, of seconds where the guide has days."""

CALM = """
class Floods:
    def __init__(self, crest, river):
        self.crest, self.river, self.simulated = crest, river, 0

    def __call__(self, rng, n):
        self.simulated += n
        return [self.simulated <= 48 or self.river * rng.gumbel(1.0, 0.3) < self.crest for _ in range(n)]
"""
"""A release of her simulator that begins each run with calm years: what comes first says nothing about the rest."""


@dataclass
class Stranger:
    """Her repository, with the service of the guide in it, and the environment that it runs in."""

    tree: Path
    bare: Bare
    requests: Iterator[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        rivers = (4.0, 5.0, 12.0, 13.0)
        self.requests = (
            {
                "key": f"dam-{i % 300}/day-{i // 300}",
                "target": f"dam-{i % 300}",
                "region": ("north", "south")[i % 2],
                "features": {"crest": 10.0, "river": rivers[i // 2 % 4]},
            }
            for i in count()
        )

    def says(self, line: str, code: int = HOLDS) -> str:
        """What a command prints that ends so."""
        words = line.split()
        done = subprocess.run(
            words, cwd=self.tree, env=self.bare.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def asks(self, line: str, code: int = HOLDS) -> Any:
        """The answer of `suffice` to a command."""
        return json.loads(self.says(f"{line} --json", code))

    def serves(self, requests: int) -> list[int]:
        """A process of the service decides so many requests: how many floods each took."""
        asked = "".join(f"{json.dumps(request)}\n" for request in islice(self.requests, requests))
        command = [self.bare.folder / "bin/python", "serve.py"]
        done = subprocess.run(
            command, cwd=self.tree, env=self.bare.environment, input=asked, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return [json.loads(line)["floods"] for line in done.stdout.splitlines()]

    def commits(self, why: str) -> None:
        self.says("git add .")
        self.says(f"git commit --quiet -m {why}")


def guide(begins: str) -> str:
    """The command of the guide that begins so."""
    (line,) = [line for line in GUIDE.splitlines() if line.startswith(begins)]
    return line.partition("#")[0].strip()


@pytest.fixture
def stranger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stranger:
    for name, value in {"GLOBAL": str(tmp_path / "gitconfig"), "NOSYSTEM": "1"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    she = Stranger(tmp_path / "dams", linked(tmp_path / "environment", built(tmp_path / "wheel")))
    shutil.copytree(ROOT / "examples" / "service", she.tree, ignore=shutil.ignore_patterns("__pycache__"))
    config = json.loads((she.tree / "config.json").read_text("utf-8"))
    config["rollout"] = {
        "acceptance": {"max_disagreement_rate": 0.1, "max_excess_escalations": 0.2},
        "checks": {"run": []},
        "cycle": "60s",
        "stages": STAGES,
    }
    (she.tree / "config.json").write_text(json.dumps(config, indent=2), "utf-8")
    (she.tree / ".gitignore").write_text("__pycache__\nTemporaryQueue\n", "utf-8")
    she.says("git init --quiet --initial-branch main")
    for line in ("user.name Ann", "user.email ann@example.org"):
        she.says(f"git config {line}")
    she.commits("dams")
    return she


def test_from_the_first_fixed_decision_to_a_rollback_that_happens_again(stranger: Stranger) -> None:
    # Before anything is promoted she decides fixed, and her own decisions are what the promotion is measured on.
    assert set(stranger.serves(200)) == {100}
    promotion = stranger.asks(guide("suffice promote"))
    assert [(measured["source"], measured["summary"]["cases"]) for measured in promotion["evidence"]] == [
        ("even", 1000),
        ("ledger", 200),
    ]
    for line in guide("git switch").split(" && "):
        stranger.says(line)

    assert stranger.asks(guide("suffice rollout start"))["stage"] == "staging"
    assert set(stranger.serves(200)) == {100}
    assert stranger.asks("suffice rollout cycle")["stage"] == "canary"
    early = [floods < 100 for floods in stranger.serves(400)]
    assert 0 < sum(early) < 200
    assert stranger.asks("suffice rollout cycle")["stage"] == "everywhere"
    assert sum(floods < 100 for floods in stranger.serves(200)) > 150
    assert stranger.asks("suffice rollout cycle")["phase"] == "Completed"

    # The next release of her simulator.
    cases = stranger.tree / "cases.py"
    head, _, tail = cases.read_text("utf-8").partition("class Floods:")
    cases.write_text(f"{head}{CALM.strip()}\n\n\ndef build{tail.partition('def build')[2]}", "utf-8")
    stranger.commits("release")
    assert all(floods <= 48 for floods in stranger.serves(200))

    rolled_back = stranger.asks("suffice rollout cycle", FAILS)
    assert rolled_back["phase"] == "RolledBack"
    assert "disagree" in rolled_back["why"]
    assert stranger.asks(guide("suffice rollout status"), FAILS)["receipt_at"]
    (item,) = stranger.asks(guide("suffice triage list"))
    assert item["source"] == "cases:build"
    assert stranger.asks(f"suffice triage check {item['id']}")["intact"]
    seen = stranger.asks(guide("suffice triage reproduce"))
    assert (seen["baseline"], seen["adaptive"], seen["differs"]) == ("rejected", "accepted", True)
    assert set(stranger.serves(40)) == {100}

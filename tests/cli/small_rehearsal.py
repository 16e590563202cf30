"""Files of a small rehearsal, for the tests of the commands."""

import json
from pathlib import Path
from typing import Any

import numpy as np

STAGES: list[dict[str, Any]] = [
    {"name": "staging", "weight": 0, "shadow": True, "hold": "1d", "min_audits": 100},
    {"name": "canary", "weight": 60, "regions": ["eu-west-1"], "hold": "2d", "min_audits": 50},
    {"name": "full", "weight": 100, "audit_fraction": 0.2},
]


def write(folder: Path, count: int = 240) -> None:
    """records.csv, measurements.csv and config.json: three of four corrections clear, one near the boundary."""
    rng = np.random.default_rng(5)
    was = rng.normal(size=count)
    measured = was + np.where(np.arange(count) % 4, 4.0, rng.uniform(1.0, 1.4, count))
    lines = [f"r{i},t{i % (2 * count // 3)},{was[i]},1" for i in range(count)]
    (folder / "records.csv").write_text("key,target,value,u\n" + "\n".join(lines) + "\n", encoding="utf-8")
    lines = [f"m{i},r{i},{measured[i]},1" for i in range(count)]
    (folder / "measurements.csv").write_text("key,target,value,u\n" + "\n".join(lines) + "\n", encoding="utf-8")
    sampling = {"n0": 8, "n_min": 8, "look_every": 8}
    verifier = {"rule": "proportion", "n_samples": 64, "adaptive_sampling": sampling}
    rollout = {"cycle": "6h", "checks": {"run": []}, "stages": STAGES, "acceptance": {"max_disagreement_rate": 0.03}}
    config = {"determinism": {"seed": 2}, "verifier": verifier, "rollout": rollout}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")


OWN = ["--records", "records.csv", "--measurements", "measurements.csv"]

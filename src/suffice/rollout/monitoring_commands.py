"""The runbook's monitoring cycle by hand, as it runs in one repository: by its scripts where it has them."""

import shlex
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Monitoring:
    """A command, and the file that keeps what it prints ("" for none)."""

    command: str
    kept: str = ""


_REPORTS = "--reports-dir TemporaryQueue --metrics-file metrics.json"
_SWEEP = "--budget 40 --deterministic"

_RUNBOOK = (
    ("tests/test_adversarial.py", "", "pytest_adversarial.out"),
    ("run_eval.py", "eval", "run_eval.out"),
    ("metrics_dashboard.py", f"metrics {_REPORTS}", "metrics_summary.out"),
    ("scripts/check_rollback_storm_escalation_gate.py", "gate --use-config", ""),
    ("scripts/compare_adaptive_vs_fixed.py", "compare --use-config --deterministic", ""),
    ("scripts/adversarial_sweep.py", f"sweep --out-dir TemporaryQueue/sweep_a {_SWEEP}", ""),
    ("scripts/adversarial_sweep.py", f"sweep --out-dir TemporaryQueue/sweep_b {_SWEEP}", ""),
    (
        "tools/verify_sweep_outputs.py",
        "verify-sweep --sweep-dir TemporaryQueue/sweep_a --compare-dir TemporaryQueue/sweep_b",
        "verify_sweep.out",
    ),
)
"""Each script, the words behind `suffice` that do the same, and the file."""


def monitoring(folder: Path, config: str) -> list[Monitoring]:
    """The commands in the order of the runbook, to be run in `folder`, which has the configuration under that name."""
    named = "" if config == "config.json" else f" --config {shlex.quote(config)}"
    return [Monitoring(_command(folder, script, words, named), kept) for script, words, kept in _RUNBOOK]


def posix(lines: list[Monitoring]) -> list[str]:
    """The commands for a POSIX shell."""
    return [f"{line.command} | tee {line.kept}" if line.kept else line.command for line in lines]


def powershell(lines: list[Monitoring]) -> list[str]:
    """The same commands for PowerShell."""
    return [f"{line.command} | Tee-Object {line.kept}" if line.kept else line.command for line in lines]


def _command(folder: Path, script: str, words: str, named: str) -> str:
    there = (folder / script).is_file()
    if not words:
        return f"python -m pytest {script if there else '--pyargs suffice.runbook.adversarial'} -q"
    name, _, options = words.partition(" ")
    return " ".join(filter(None, (f"python {script}" if there else f"suffice {name}", options))) + named

"""`python -m benchmarks.scale`: what `suffice compare --samples` costs on files of 10⁵, 10⁶ and 10⁷ cases.

Each case has ten draws that are 0 or 1. A process for each file; CPU time and peak memory are what the system counted.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.run import RESULTS, describe_machine

SIZES = (100_000, 1_000_000, 10_000_000)
FEW = 100
"""Cases of a file that shows what starting costs."""

DRAWS, SEED, BATCH = 10, 42, 10_000
KIB = 1024 if sys.platform != "darwin" else 1
"""What getrusage counts memory in."""


@dataclass(frozen=True)
class Cost:
    """What one command took, in CPU seconds and MiB."""

    cases: int
    cpu: float
    peak: float
    checksum: str


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, nargs="+", default=list(SIZES))
    sizes = parser.parse_args(arguments).cases
    with TemporaryDirectory(prefix="suffice-scale-") as folder:
        costs = [measure(Path(folder), size) for size in (FEW, *sizes)]
    text = report(costs)
    measured = {"machine": describe_machine(), "draws": DRAWS, "costs": [asdict(cost) for cost in costs]}
    (RESULTS / "scale.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "scale.md").write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    return 0


def write(path: Path, cases: int) -> None:
    """A file of so many cases, of every rate of success."""
    generator = np.random.default_rng(SEED)
    schema = pa.schema([("case", pa.string()), ("value", pa.int8())])
    with pq.ParquetWriter(path, schema) as writer:
        for start in range(0, cases, BATCH):
            size = min(BATCH, cases - start)
            keys = np.char.add("case-", np.arange(start, start + size).astype(str))
            values = generator.random((size, DRAWS)) < generator.random(size)[:, None]
            writer.write(pa.table([np.repeat(keys, DRAWS), values.ravel().astype(np.int8)], schema=schema))


def measure(folder: Path, cases: int) -> Cost:
    path, answer = folder / f"{cases}.parquet", folder / "answer.json"
    write(path, cases)
    command = [sys.executable, "-m", "suffice.cli.main", "compare", "--samples", str(path), "--at-least", "0.5"]
    with answer.open("wb") as out:
        process = subprocess.Popen([*command, "--json"], stdout=out, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    path.unlink()
    answered = json.loads(answer.read_text(encoding="utf-8"))
    assert process.returncode == 0
    assert answered["cases"] == cases
    return Cost(cases, used.ru_utime + used.ru_stime, used.ru_maxrss * KIB / 2**20, answered["checksum"])


def report(costs: Sequence[Cost]) -> str:
    start, *measured = costs
    lines = [
        "# Many recorded cases",
        "",
        "Printed by `python -m benchmarks.scale`: "
        + ", ".join(f"{key} {value}" for key, value in describe_machine().items())
        + f". {DRAWS} zeros and ones a case, one process.",
        "",
        f"Starting takes {start.cpu:.1f} CPU seconds and {start.peak:.0f} MiB (a file of {start.cases} cases).",
        "",
        "| cases | CPU seconds | µs a case, without the start | peak memory |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for cost in measured:
        each = (cost.cpu - start.cpu) / cost.cases * 1e6
        lines.append(f"| {cost.cases:,} | {cost.cpu:.1f} | {each:.1f} | {cost.peak:.0f} MiB |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

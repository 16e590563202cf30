"""Writes docs/bucketing-test-vectors.json: where targets belong, for services that place them themselves.

Run from the repository root: `python tools/bucketing_test_vectors.py [FILE]`. Equal output for equal code.
"""

import json
import sys
from pathlib import Path
from typing import Any

from suffice.files import write_atomically
from suffice.flag.bucketing import audited, buckets

TARGET = Path("docs/bucketing-test-vectors.json")

SALTS = ("verifier-000001", "verifier-000001/audit", "s")
TARGETS = (
    "",
    "p",
    "pump-17",
    "pump-17/2026-11-23",
    "Pumpe-süd",
    "ポンプ-7",
    "🛠",
    "x" * 23,
    "y" * 239,
    "z" * 240,
    "n" * 1024,
)
"""Texts of more bytes than letters, and of the lengths at which the encoding of a text, or a hash, begins anew."""

FRACTIONS = (0.0, 0.02, 0.1, 0.5, 0.9, 1.0)


def vectors() -> list[dict[str, Any]]:
    return [
        {
            "salt": salt,
            "target": target,
            "bucket": bucket,
            "audited_at": [fraction for fraction in FRACTIONS if audited(target, salt, fraction)],
        }
        for salt in SALTS
        for target, bucket in buckets(salt, TARGETS).items()
    ]


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else TARGET
    write_atomically(target, json.dumps({"fractions": FRACTIONS, "vectors": vectors()}, indent=1) + "\n")

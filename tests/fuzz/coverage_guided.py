"""Looks for what a reader cannot stand, led by the branches that each input reaches: libFuzzer, by way of atheris.

    python tests/fuzz/coverage_guided.py NAME FOLDER --runs N

A process of its own for one reader of the table, because libFuzzer ends it: with 0 where nothing was found. FOLDER is
new, and gets the corpus, which is the reader's example at first, and the input of a finding.
"""

import argparse
import sys
from pathlib import Path
from random import Random
from typing import NoReturn

import atheris

# Numba compiles what stands in these as it is.
LED = {"include": ["suffice"], "exclude": ["suffice.verifier.compiled", "suffice.verifier.many"]}
with atheris.instrument_imports(**LED):
    from damage import example, read_content
    from readers import BY_NAME, Reader

    from mutation import damaged

LONGEST_INPUT = 20_000
"""Bytes; libFuzzer makes none that is longer. It is above each example."""


def fuzz(reader: Reader, folder: Path, runs: int, seed: int) -> NoReturn:
    """Ends the process, with another code than 0 after an input that is neither read nor refused in one line."""
    corpus, findings = folder / "corpus", folder / "findings"
    corpus.mkdir(parents=True)
    findings.mkdir()
    # What is imported where it is needed is to be led by its branches too.
    with atheris.instrument_imports(**LED), example(reader) as path:
        (corpus / "example").write_bytes(path.read_bytes())
        read_content(reader, path.read_bytes())

    def mutated(content: bytes, longest: int, seed: int) -> bytes:
        """Every second time a mistake of people, in a cell or a node; else bytes, by libFuzzer."""
        if seed % 2:
            return damaged(content, reader.kind, Random(seed).randrange)[:longest]
        return atheris.Mutate(content, longest)

    limits = [f"-runs={runs}", f"-seed={seed}", f"-max_len={LONGEST_INPUT}", "-rss_limit_mb=2048", "-timeout=30"]
    atheris.Setup(
        [sys.argv[0], *limits, f"-artifact_prefix={findings}/", str(corpus)],
        lambda content: read_content(reader, content) and None,
        custom_mutator=mutated,
    )
    atheris.Fuzz()
    raise AssertionError("libFuzzer ends the process")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("name", choices=BY_NAME)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    fuzz(BY_NAME[given.name], given.folder, given.runs, given.seed)

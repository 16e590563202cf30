"""The least that a decision can cost: its random numbers, from the same generator and keys, summed and thrown away."""

from typing import Any

import numpy as np

from suffice.verifier.batch import in_chunks
from suffice.verifier.columns import Columns
from suffice.verifier.compiled import compiled, pointer
from suffice.verifier.philox import BLOCK, block, unit
from suffice.verifier.ziggurat import NORMALS, WORDS, next_normals


@compiled
def _draw(
    keys: Any,
    kinds: Any,
    pairs: Any,
    start: Any,
    stop: Any,
    normal_words: Any,
    normal_values: Any,
    uniform_words: Any,
    sums: Any,
) -> None:
    words, normals, uniforms = pointer(normal_words), pointer(normal_values), pointer(uniform_words)
    for case in range(start, stop):
        key0, key1 = keys[case, 0], keys[case, 1]
        at, counter, total = WORDS, np.uint64(0), 0.0
        for i in range((2 * pairs[case] + NORMALS - 1) // NORMALS):
            at, counter = next_normals(normals, words, at, counter, np.uint64(0), key0, key1)
            total += normals[0]
            if kinds[case] != 0:
                for place in range(0, NORMALS, BLOCK):
                    block(uniforms, place, np.uint64((i * NORMALS + place) // BLOCK), np.uint64(1), key0, key1)
                for place in range(NORMALS):
                    total += unit(uniforms[place])
        sums[case] = total


def draw(columns: Columns, pairs: np.typing.NDArray[np.int64], threads: int) -> None:
    """Draw this many pairs of each case: normals, and uniforms where one of the two is split normal."""
    sums = np.empty(len(columns))

    def part(start: int, stop: int) -> None:
        memory = np.empty(WORDS, np.uint64), np.empty(NORMALS), np.empty(NORMALS, np.uint64)
        _draw(columns.keys, columns.kinds, pairs, start, stop, *memory, sums)

    in_chunks(part, len(columns), threads)

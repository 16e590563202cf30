"""Hand-written Philox and ziggurat against NumPy's own, bit for bit."""

from math import log

import numpy as np
import pytest
from numpy.random import Generator, Philox

from suffice.sampling.streams import Stream, philox_key
from suffice.verifier.columns import LARGEST_NORMAL, keys_of
from suffice.verifier.compiled import compiled
from suffice.verifier.philox import BLOCK, block, unit
from suffice.verifier.ziggurat import NORMALS, WORDS, next_normals

KEYS = [0, 1, 2**64 - 1, 2**128 - 1, philox_key(42, "pump-17")]
LANES = [0, 1, 5]


@compiled
def words_of(out, lane, key0, key1):
    for place in range(0, len(out), BLOCK):
        block(out, place, np.uint64(place // BLOCK), lane, key0, key1)


@compiled
def normals_of(out, lane, key0, key1):
    words, at, counter = np.empty(WORDS, np.uint64), WORDS, np.uint64(0)
    for start in range(0, len(out), NORMALS):
        at, counter = next_normals(out[start:], words, at, counter, lane, key0, key1)


@compiled
def units_of(words, out):
    for i in range(len(out)):
        out[i] = unit(words[i])


@compiled
def block_after(words, counter, lane, key0, key1):
    block(words, 0, counter, lane, key0, key1)


def halves(key: int) -> tuple[np.uint64, np.uint64]:
    return np.uint64(key & (2**64 - 1)), np.uint64(key >> 64)


def same_bits(left: np.ndarray, right: np.ndarray) -> bool:
    return np.array_equal(left.view(np.uint64), right.view(np.uint64))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("lane", LANES)
def test_words_are_those_of_numpys_philox(key: int, lane: int) -> None:
    drawn = np.empty(1004, np.uint64)
    words_of(drawn, np.uint64(lane), *halves(key))
    assert np.array_equal(drawn, Philox(key=key, counter=lane << 192).random_raw(1004))


def test_the_counter_counts_blocks_of_four_words() -> None:
    words = np.empty(BLOCK, np.uint64)
    block_after(words, np.uint64(10**15), np.uint64(1), *halves(KEYS[4]))
    assert np.array_equal(words, Philox(key=KEYS[4], counter=(1 << 192) + 10**15).random_raw(BLOCK))


def test_units_are_those_of_numpys_random() -> None:
    words = Philox(key=7).random_raw(100_000)
    words[:2] = 0, 2**64 - 1
    drawn = np.empty(len(words))
    units_of(words, drawn)
    assert same_bits(drawn[2:], Generator(Philox(key=7)).random(100_000)[2:])
    assert (drawn[0], drawn[1]) == (0.0, 1 - 2.0**-53)


@pytest.mark.parametrize("key", KEYS)
def test_normals_are_those_of_numpy_in_the_layers_the_wedges_and_the_tail(key: int) -> None:
    drawn = np.empty(1_000_000)
    normals_of(drawn, np.uint64(0), *halves(key))
    assert same_bits(drawn, Generator(Philox(key=key)).standard_normal(len(drawn)))
    tail = drawn[np.abs(drawn) > 3.6541528853610088]
    assert len(tail) > 100
    assert min(tail) < 0 < max(tail)


def test_normals_are_the_stream_of_the_case() -> None:
    ((key0, key1),) = keys_of(["pump-17"], 42)
    drawn = np.empty(1008)
    normals_of(drawn, np.uint64(0), key0, key1)
    assert same_bits(drawn, Stream(42, "pump-17").normals(1008))
    normals_of(drawn, np.uint64(1), key0, key1)
    assert not np.isin(drawn, Stream(42, "pump-17").normals(1008)).any()


def test_keys_are_the_hashes_of_seed_and_case_key() -> None:
    names = ["", "a", "é/µ", "a" * 1000]
    keys = keys_of(names, -3)
    assert [int(low) | int(high) << 64 for low, high in keys] == [philox_key(-3, name) for name in names]


def test_no_normal_can_be_beyond_the_bound() -> None:
    largest_beyond_the_tail = -0.27366123732975828 * log(2.0**-53)
    assert 3.6541528853610088 + largest_beyond_the_tail < LARGEST_NORMAL

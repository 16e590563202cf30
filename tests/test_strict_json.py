"""JSON is read one way everywhere: a key twice, NaN and bottomless nesting are refused, each with its place."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import suffice
from suffice import strict_json
from suffice.config.reading import load
from suffice.errors import SufficeError
from suffice.flag.document import from_text
from suffice.runbook.scenarios.catalogue import SCENARIOS
from suffice.runbook.sweep import read_grid
from suffice.sources.recorded import Samples
from suffice.store.note import NAME, read_note
from suffice.telemetry.metrics_file import read
from suffice.triage.manifest import MANIFEST, check

SOURCES = Path(suffice.__file__).parent

# An object is a list of pairs here, so that a key may come twice.
KEYS = st.sampled_from(["a", "b", 'quo"te', "ü", "{", ",", "\\"])
TREES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, allow_infinity=False), KEYS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(tuple), st.lists(st.tuples(KEYS, inner), max_size=4).map(list)
    ),
    max_leaves=12,
)


def written(tree: Any, gap: str) -> str:
    """The tree as JSON, with `gap` wherever JSON has room for it."""
    if isinstance(tree, list):
        pairs = (f"{json.dumps(key)}{gap}:{gap}{written(value, gap)}" for key, value in tree)
        return "{" + gap + f"{gap},{gap}".join(pairs) + gap + "}"
    if isinstance(tree, tuple):
        return "[" + gap + f"{gap},{gap}".join(written(value, gap) for value in tree) + gap + "]"
    return json.dumps(tree)


def doubled(tree: Any, path: str = "") -> list[str]:
    """Where keys stand a second time, in the order of the text."""
    places: list[str] = []
    if isinstance(tree, list):
        for i, (key, value) in enumerate(tree):
            if key in [before for before, _ in tree[:i]]:
                places.append(f"{path}.{key}".removeprefix("."))
            places += doubled(value, f"{path}.{key}")
    elif isinstance(tree, tuple):
        for i, value in enumerate(tree):
            places += doubled(value, f"{path}[{i}]")
    return places


@given(TREES, st.sampled_from(["", " ", "\n", "\r\n\t"]), st.booleans())
def test_a_text_is_read_as_python_reads_it_unless_a_key_stands_twice(tree: Any, gap: str, marked: bool) -> None:
    text, places = written(tree, gap), doubled(tree)
    given_text = ("\ufeff" + text).encode() if marked else text
    if not places:
        assert strict_json.loads(given_text) == json.loads(text)
        return
    with pytest.raises(strict_json.NotStrict) as refused:
        strict_json.loads(given_text)
    assert f"{places[0]} stands twice, the second time as " in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            '{"a": 1,\n "b": {"c": [0, {"d": 5, "d": 0}]}}',
            "line 2: b.c[1].d stands twice, the second time as 0; allowed",
        ),
        ('{"a": {"x": 1},\n\n "\\u0061": 1}', "line 3: a stands twice"),
        ('{"a": [1, NaN]}', "a[1] is NaN, which JSON does not have; allowed: finite numbers"),
        ("[[], -Infinity]", "[1] is -Infinity"),
        ("NaN", "the file is NaN"),
        ('{"a": -' + "9" * 5_000 + "}", "a has 5000 digits; allowed: at most 4300"),
        ('{"a": ["x", "half \\uD800"]}', "a[1] is not valid Unicode: 'half \\ud800' has half of a surrogate pair"),
        ('{"a": 1,\n"\\udc00\\ud83d": 1}', "line 2: '\\udc00\\ud83d' is not valid Unicode"),
        ('{"\\ud83d\\ude00": "\\ude00"}', "\U0001f600 is not valid Unicode"),
        ("[" * 101 + "]" * 101, "is nested too deeply to be read; allowed: 100 levels"),
        ('{"a": 1,\n"b":' + '{"a":' * 100_000, "line 2: is nested too deeply"),
    ],
    ids=range(11),
)
def test_what_is_refused_is_named_with_its_place(text: str, sentence: str) -> None:
    with pytest.raises(strict_json.NotStrict) as refused:
        strict_json.loads(text)
    assert str(refused.value).startswith(sentence)


def test_what_looks_deep_or_doubled_and_is_not_is_read() -> None:
    deep = "[" * 100 + "]" * 100
    assert strict_json.loads(deep) == json.loads(deep)
    assert strict_json.loads('["' + "[" * 5_000 + '", {"a": "NaN"}, {"a": 1}]')[1:] == [{"a": "NaN"}, {"a": 1}]


@given(st.text(st.sampled_from('\ud83d\ude00\\ud8"ü')))
def test_a_text_is_read_just_where_utf8_can_hold_it(text: str) -> None:
    """Seen: a traceback after the work, when the result was written."""
    written = json.dumps({"case": [text]})
    try:
        json.loads(written)["case"][0].encode()
    except UnicodeEncodeError:
        with pytest.raises(strict_json.NotStrict, match=r"^case\[0\] is not valid Unicode: "):
            strict_json.loads(written)
    else:
        assert strict_json.loads(written) == json.loads(written)


def test_a_text_that_is_too_long_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strict_json, "LENGTH", 10)
    assert strict_json.loads('"12345678"') == "12345678"
    with pytest.raises(strict_json.NotStrict, match="longer than 10 characters"):
        strict_json.loads('"123456789"')


def samples(path: Path) -> None:
    list(Samples(path.rename(path.with_suffix(".jsonl")), suffice.Proportion(0.5)))


def folder_of(reader: Callable[[Path], object], name: str) -> Callable[[Path], object]:
    """A reader of the folder that a file of this name is in."""
    return lambda path: reader(path.rename(path.with_name(name)).parent)


READERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "samples": (samples, '{"case": "a", "samples": [1], "samples": [0]}'),
    "the case of samples": (samples, '{"case": "a", "samples": [1], "case": "b"}'),
    "metrics": (read, '{"format": 1, "decisions": 9, "counters": {"escalations_total": 5, "escalations_total": 0}}'),
    "older metrics": (read, '{"metrics": {"escalations_total": 5, "escalations_total": 0}}'),
    "a plan": (suffice.Plan.load, '{"n": 10, "n": 100}'),
    "the configuration": (load, '{"verifier": {"n": 10, "n": 100}}'),
    "a grid": (lambda path: read_grid(path, SCENARIOS), '{"small_noise": {}, "small_noise": {"noise": [0.1]}}'),
    "a flag": (lambda path: from_text(path.read_text(), str(path)), '{"flags": {}, "flags": {}}'),
    "the note of a store": (folder_of(read_note, NAME), '{"epoch": 5, "epoch": 0}'),
    "a manifest": (folder_of(check, MANIFEST), f"{'0' * 64}  a.txt\n{'1' * 64}  a.txt"),
}


@pytest.mark.parametrize(("reader", "text"), READERS.values(), ids=READERS)
def test_every_reader_refuses_a_key_that_stands_twice(
    tmp_path: Path, reader: Callable[[Path], object], text: str
) -> None:
    """Seen: doubled `samples` were decided by the second; escalations 5 and then 0 passed the gate."""
    path = tmp_path / "file.json"
    path.write_text(text)
    with pytest.raises(SufficeError, match="stands twice") as refused:
        reader(path)
    assert str(tmp_path) in str(refused.value)


def test_nothing_else_reads_json() -> None:
    """A list of places would forget the next one."""
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = isinstance(node, ast.Attribute) and node.attr in ("loads", "load") and ast.unparse(node.value)
            assert called != "json" or path.name == "strict_json.py", f"{path}:{getattr(node, 'lineno', 0)}"

"""The host's environment and files may lower and never raise."""

import os
from pathlib import Path
from typing import Any

import pytest

from suffice.errors import DataError
from suffice.flag.document import Exposure, to_text
from suffice.flag.evaluation import Evaluator, exposure_of
from suffice.flag.file import publish
from suffice.flag.lowering import LoweringFiles, forced
from suffice.verifier.arm import Arm


@pytest.fixture
def files(tmp_path: Path) -> LoweringFiles:
    return LoweringFiles(tmp_path)


@pytest.mark.parametrize(
    ("value", "forces"), [(None, False), ("", False), ("0", False), ("1", True), ("false", True), ("no", True)]
)
def test_anything_but_nothing_and_0_forces_the_baseline(
    value: str | None, forces: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SUFFICE_FORCE_FIXED", raising=False)
    if value is not None:
        monkeypatch.setenv("SUFFICE_FORCE_FIXED", value)
    assert forced() is forces


def test_no_file_is_no_opinion_and_one_that_names_targets_neither(files: LoweringFiles, tmp_path: Path) -> None:
    assert files.read() is None
    for weight in (0, 5, 100):
        publish(tmp_path / "flag.json", Exposure(weight, "salt", ("eu",)))
        assert files.read() is None
    (tmp_path / "flag.json").unlink()
    assert files.read() is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"flags": {}}', "\xff", to_text(None).replace("ENABLED", "DISABLED")]
)
def test_what_cannot_be_read_lowers_every_word(files: LoweringFiles, tmp_path: Path, content: str) -> None:
    (tmp_path / "flag.json").write_text(content, encoding="latin-1")
    lowering = files.read()
    assert lowering is not None
    assert "cannot be read" in lowering.why
    assert lowering.outranks(10**9) and lowering.outranks(None)


def test_a_folder_in_its_place_lowers(files: LoweringFiles, tmp_path: Path) -> None:
    (tmp_path / "flag.json").mkdir()
    assert files.read() is not None


def test_a_folder_that_cannot_be_looked_into_lowers(tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("", encoding="ascii")
    lowering = LoweringFiles(tmp_path / "occupied").read()
    assert lowering is not None and lowering.outranks(10**9)


def test_a_file_that_is_rewritten_in_place_with_its_old_time_is_read_again(
    files: LoweringFiles, tmp_path: Path
) -> None:
    path = tmp_path / "flag.json"
    text = to_text(Exposure(5, "salt"))
    path.write_text(text, encoding="ascii")
    assert files.read() is None
    before = path.stat()
    path.write_text(text.replace("ENABLED", "enabled"), encoding="ascii")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    lowering = files.read()
    assert lowering is not None and "cannot be read" in lowering.why


def test_the_baseline_lowers_unless_it_was_exported_from_an_older_word(files: LoweringFiles, tmp_path: Path) -> None:
    (tmp_path / "flag.json").write_text(to_text(None), encoding="ascii")
    lowering = files.read()
    assert lowering is not None and lowering.outranks(10**9)
    publish(tmp_path / "flag.json", None, epoch=7)
    lowering = files.read()
    assert lowering is not None
    assert [lowering.outranks(epoch) for epoch in (None, 6, 7, 8)] == [True, True, True, False]


def test_a_rollback_that_was_asked_for_lowers_while_its_file_is_there(files: LoweringFiles, tmp_path: Path) -> None:
    publish(tmp_path / "flag.json", Exposure(100, "salt"))
    (tmp_path / "rollback.asked").write_text("garbage", encoding="ascii")
    lowering = files.read()
    assert lowering is not None and lowering.outranks(10**9)
    (tmp_path / "rollback.asked").unlink()
    assert files.read() is None


def test_the_evaluator_puts_targets_where_the_published_flag_does() -> None:
    evaluator = Evaluator()
    exposure = {"weight": 30, "salt": "s", "regions": ["eu"]}
    adaptive = [i for i in range(400) if evaluator.arm(exposure, f"t{i}", "eu") is Arm.ADAPTIVE]
    assert 80 < len(adaptive) < 160
    assert {evaluator.arm(exposure, f"t{i}", "us") for i in adaptive} == {Arm.FIXED}
    assert {evaluator.arm(exposure, f"t{i}") for i in adaptive} == {Arm.FIXED}
    wider = {**exposure, "weight": 60, "regions": []}
    assert {evaluator.arm(wider, f"t{i}") for i in adaptive} == {Arm.ADAPTIVE}
    assert evaluator.arm({**wider, "weight": 100}, "") is Arm.FIXED


@pytest.mark.parametrize("plain", [{}, {"weight": 5, "salt": "s"}, {"weight": 5, "salt": "s", "regions": 3}])
def test_what_is_no_exposure_is_refused_with_what_it_holds(plain: dict[str, Any]) -> None:
    with pytest.raises(DataError, match=r"^the word's exposure is .*; allowed: weight, salt and regions$"):
        exposure_of(plain)

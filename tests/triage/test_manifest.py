"""The triage bundle: whole or not there, and whatever is changed in it is found."""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

from suffice.errors import DataError, OutputError
from suffice.triage.manifest import MANIFEST, check, freeze

FILES = {"gates.json": "[]\n", "TRIAGE.md": "# Triage: ä\n", "empty.jsonl": ""}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return freeze(tmp_path / "triage" / "canary", FILES)


def test_a_bundle_holds_its_files_and_vouches_for_each(bundle: Path) -> None:
    assert check(bundle) == 3
    assert {path.name: path.read_bytes().decode() for path in bundle.iterdir() if path.name != MANIFEST} == FILES
    expected = [f"{sha256(FILES[name].encode()).hexdigest()}  {name}" for name in sorted(FILES)]
    assert (bundle / MANIFEST).read_text(encoding="utf-8").splitlines() == expected
    assert [path.name for path in bundle.parent.iterdir()] == ["canary"]


def test_sha256sum_reads_the_manifest(bundle: Path) -> None:
    assert shutil.which("sha256sum")
    done = subprocess.run(["sha256sum", "--check", "--strict", MANIFEST], cwd=bundle, capture_output=True, check=False)
    assert done.returncode == 0


def test_the_first_evidence_stays(bundle: Path) -> None:
    freeze(bundle, {"gates.json": "other"})
    assert (bundle / "gates.json").read_text(encoding="utf-8") == FILES["gates.json"]


def test_changed_added_and_missing_files_are_found_and_named(bundle: Path) -> None:
    for name in FILES:
        before = (bundle / name).read_bytes()
        (bundle / name).write_bytes(before + b" ")
        with pytest.raises(DataError, match=name):
            check(bundle)
        (bundle / name).unlink()
        with pytest.raises(DataError, match=name):
            check(bundle)
        (bundle / name).write_bytes(before)
    (bundle / "more.json").write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"more\.json: is not in the manifest"):
        check(bundle)


@pytest.mark.parametrize("manifest", [b"", b"\xff\xfe", b"no digest\n", b"0  gates.json\n"])
def test_a_manifest_that_vouches_for_nothing_is_refused(bundle: Path, manifest: bytes) -> None:
    (bundle / MANIFEST).write_bytes(manifest)
    with pytest.raises(DataError):
        check(bundle)


def test_what_is_no_bundle_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    for path in (tmp_path, tmp_path / "nowhere", tmp_path / "file"):
        with pytest.raises(DataError, match="has no manifest"):
            check(path)


def test_a_bundle_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "triage").write_text("in the way", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        freeze(tmp_path / "triage" / "canary", FILES)
    (tmp_path / "other" / "canary").mkdir(parents=True)
    (tmp_path / "other" / "canary" / "half").write_text("", encoding="utf-8")
    with pytest.raises(OutputError, match="cannot be written"):
        freeze(tmp_path / "other" / "canary", FILES)
    assert os.listdir(tmp_path / "other") == ["canary"]  # noqa: PTH208


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / ".canary.abc.tmp"
    left.mkdir()
    (left / "gates.json").write_text("half", encoding="utf-8")
    freeze(tmp_path / "canary", FILES)
    assert [path.name for path in tmp_path.iterdir()] == ["canary"]

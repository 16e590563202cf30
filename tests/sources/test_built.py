"""Cases that a service builds itself: what its function is asked, and each way in which it can be wrong, on a line."""

import sys
from pathlib import Path

import pytest

from suffice.errors import DataError
from suffice.sources.built import Builder

MODULE = """
from suffice import Case, Normal

number = 17


class Rig:
    @staticmethod
    def build(*, key, target, region, features):
        return Case(key, target, Normal(features["load"], 1.0), region, features=features)


def of_another_key(*, key, target, region, features):
    return Case(key.upper(), target, Normal(0, 1))


def of_another_target(*, key, target, region, features):
    return Case(key, None, Normal(0, 1))


def nothing(*, key, target, region, features):
    pass


def too_few_words(key):
    pass


def raising(*, key, target, region, features):
    return features["pressure"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "rigs").mkdir()
    (tmp_path / "rigs" / "__init__.py").write_text("", encoding="utf-8")
    (tmp_path / "rigs" / "cases.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "broken.py").write_text("import sys\nsys.exit('no licence')\n", encoding="utf-8")
    for name in ("rigs", "rigs.cases", "broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def test_it_is_found_beside_the_configuration_and_asked_with_keywords(folder: Path) -> None:
    builder = Builder.of("rigs.cases:Rig.build", folder / "config.json")
    assert builder is not None
    case = builder.case("k", "t", "eu", {"load": 0.5})
    assert (case.key, case.target, case.region, case.features) == ("k", "t", "eu", {"load": 0.5})
    assert Builder.of(None, folder / "config.json") is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("absent:build", "ModuleNotFoundError: No module named 'absent'; allowed: module:function, to be imported in"),
        (
            "rigs.cases:absent",
            "AttributeError: module 'rigs.cases' has no attribute 'absent'; allowed: module:function",
        ),
        ("broken:build", "SystemExit: no licence (broken.py, line 2); allowed: module:function"),
        ("rigs.cases:number", "17 cannot be called; allowed: module:function"),
    ],
)
def test_what_cannot_be_imported_is_one_line(folder: Path, name: str, said: str) -> None:
    with pytest.raises(DataError) as raised:
        Builder(name, folder).check()
    assert str(raised.value).startswith(f"verifier.cases is {name!r}: ")
    assert said in str(raised.value)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("of_another_key", "returned a case with key 'K'; allowed: the one it was asked for, 'k'"),
        ("of_another_target", "returned a case with target None; allowed: the one it was asked for, 't'"),
        ("nothing", "returned None for case 'k'; allowed: a suffice.Case"),
        ("raising", "raised for case 'k': KeyError: 'pressure' (cases.py, line 30)"),
        (
            "too_few_words",
            "raised for case 'k': TypeError: too_few_words() got an unexpected keyword argument 'target'",
        ),
    ],
)
def test_what_is_no_case_is_one_line(folder: Path, name: str, said: str) -> None:
    with pytest.raises(DataError) as raised:
        Builder(f"rigs.cases:{name}", folder).case("k", "t", None, {})
    assert str(raised.value).startswith(f"verifier.cases rigs.cases:{name}: {said}")
    assert "\n" not in str(raised.value)

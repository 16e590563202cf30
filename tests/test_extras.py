"""Packages that only some commands need: what is missing is named in one line, with the extra that installs it."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from suffice.errors import MissingPackage, SufficeError
from suffice.extras import EXTRA_OF, imported_for, installed, require

PROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w-]", requirement)[0] for requirement in requirements}


def test_a_missing_package_is_one_line_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingPackage) as caught, imported_for("reading Parquet"):
        import pyarrow.parquet  # noqa: F401
    sentence = "reading Parquet needs pyarrow, which is not installed: pip install 'suffice[parquet]'"
    assert str(caught.value) == sentence
    assert isinstance(caught.value, SufficeError) and caught.value.exit_code == 2


def test_several_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("matplotlib", "jinja2", "pytest"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackage) as caught:
        require("a rehearsal", "numpy", "matplotlib", "jinja2", "pytest")
    needed = "matplotlib, jinja2, pytest, which are not installed: pip install 'suffice[report,runbook]'"
    assert str(caught.value) == f"a rehearsal needs {needed}"


def test_what_is_installed_is_not_refused() -> None:
    require("a report", "matplotlib", "jinja2")
    assert installed("numba") and not installed("a_package_that_nobody_wrote")


def test_a_module_of_no_extra_is_somebody_elses_mistake() -> None:
    with pytest.raises(ModuleNotFoundError, match="a_package_that_nobody_wrote"), imported_for("a report"):
        import a_package_that_nobody_wrote  # noqa: F401


def test_the_extras_are_those_of_the_package_and_none_of_them_is_in_the_core() -> None:
    extras = PROJECT["optional-dependencies"]
    for package, extra in EXTRA_OF.items():
        assert package in names(extras[extra])
    assert not names(PROJECT["dependencies"]) & set(EXTRA_OF)


def test_all_is_every_extra_but_those_for_developers() -> None:
    extras = PROJECT["optional-dependencies"]
    (every,) = extras["all"]
    assert every == f"suffice[{','.join(sorted(set(extras) - {'all', 'bench', 'dev'}))}]"

"""Settings of all tests: equal runs, and a plan cache of each test's own."""

from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("suffice", derandomize=True, deadline=None)
settings.load_profile("suffice")


@pytest.fixture(autouse=True)
def own_plan_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUFFICE_CACHE_DIR", str(tmp_path / "plan-cache"))

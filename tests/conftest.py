"""Settings of all tests: equal runs, a plan cache of this run's own, and places for stores on each database."""

import gc
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from postgres_server import Server, running
from property_examples import LONG, SHORT
from store_places import Place, Reused, reused_at

# Children that are killed are forked from one process, which has imported what they need and has no thread.
if "forkserver" in multiprocessing.get_all_start_methods():
    multiprocessing.get_context("forkserver").set_forkserver_preload(
        ["suffice.rollout.daemon", "suffice.runbook.sweep", "suffice.evidence.recompute", "suffice.rehearsal.report"]
    )

settings.register_profile("suffice", derandomize=True, deadline=None, max_examples=SHORT)
# Other examples each time, for the campaign: `--hypothesis-profile long`.
settings.register_profile("long", deadline=None, max_examples=LONG)
settings.load_profile("suffice")


def pytest_configure(config: pytest.Config) -> None:
    """One cache for the whole run: each plan is solved once, whoever asks for it, and by this code.

    Compiled kernels outlive the run; their folder is named by the hash of their sources.
    """
    if hasattr(config, "workerinput") or config.cache is None:
        return  # a worker has the environment of the process that started it
    folder = Path(tempfile.mkdtemp(prefix="suffice-tests-"))
    (folder / "kernels").symlink_to(config.cache.mkdir("kernels"))
    os.environ["SUFFICE_CACHE_DIR"] = str(folder)
    config.add_cleanup(lambda: shutil.rmtree(folder))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is collected lives to the end: the garbage collector, which looks through it again and again, would take a
    fifth of this time, and of the tests' time a twentieth."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def own_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SUFFICE_STORE_URL", raising=False)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One server for each process of the tests that asks for it."""
    with running() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Place]:
    """Gives an empty place for a store, in every database that stores may be in."""
    if request.param == "sqlite":
        return lambda: tmp_path_factory.mktemp("stores") / "store.db"
    server: Server = request.getfixturevalue("postgres")
    return server.place


@pytest.fixture
def place(new_place: Callable[[], Place]) -> Place:
    """An empty place for a store."""
    return new_place()


@pytest.fixture(scope="session")
def reused(new_place: Callable[[], Place]) -> Iterator[Reused]:
    """One store for tests with many examples, which empty it."""
    with reused_at(new_place()) as reused:
        yield reused

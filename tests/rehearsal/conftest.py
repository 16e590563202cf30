"""Two rehearsals that many tests read: one that completed and one that was rolled back."""

import pytest
from rehearsing import Done, setup


@pytest.fixture(scope="session")
def completed(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(setup(tmp_path_factory.mktemp("completed")))


@pytest.fixture(scope="session")
def rolled_back(tmp_path_factory: pytest.TempPathFactory) -> Done:
    return Done(setup(tmp_path_factory.mktemp("rolled-back"), "canary:margin"))

"""The packages that only some commands need, each in an extra of `pip install suffice`."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

from suffice.errors import MissingPackage

EXTRA_OF = {
    "distributed": "dask",
    "jinja2": "report",
    "matplotlib": "report",
    "numba": "fast",
    "pdg": "data",
    "psycopg": "postgres",
    "pyarrow": "parquet",
    "pytest": "runbook",
}
"""Each optional package, by the name it is imported by, with the extra that installs it."""


@contextmanager
def imported_for(user: str) -> Iterator[None]:
    """Around imports of optional packages, which `user` needs: one that is not installed raises MissingPackage."""
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        raise missing(user, package) from error


def installed(package: str) -> bool:
    """Whether an optional package can be imported; it is not imported to know."""
    return find_spec(package) is not None


def require(user: str, *packages: str) -> None:
    """Refuse, before any work is done, what could not be finished without these packages. Raises MissingPackage."""
    absent = [package for package in packages if not installed(package)]
    if absent:
        raise missing(user, *absent)


def missing(user: str, *packages: str) -> MissingPackage:
    """The error that names the packages which `user` needs, and the extras that install them."""
    extras = ",".join(sorted({EXTRA_OF[package] for package in packages}))
    which = "which is" if len(packages) == 1 else "which are"
    return MissingPackage(f"{user} needs {', '.join(packages)}, {which} not installed: pip install 'suffice[{extras}]'")

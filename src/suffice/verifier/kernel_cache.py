"""Where the compiled code of the kernels is kept."""

import os
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryFile

from platformdirs import user_cache_path

_HERE = Path(__file__).parent
SOURCES = (
    *(_HERE / f"{name}.py" for name in ("columns", "compiled", "kernels", "philox", "ziggurat")),
    _HERE.parent / "decision/steps.py",
)
"""Every file that holds something compiled. Numba rebuilds a cached kernel when its own file changes, but not when
a function that it calls does; the folder is therefore named by the hash of them all."""


def cache_folder() -> Path:
    """Where compiled code is kept: $SUFFICE_CACHE_DIR, or the platform's cache folder, and the hash of the sources."""
    named = os.environ.get("SUFFICE_CACHE_DIR")
    return (Path(named) if named else user_cache_path("suffice")) / "kernels" / _sources_hash()


def _sources_hash() -> str:
    digest = sha256()
    for path in SOURCES:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def writable_folder() -> Path | None:
    """The cache folder, made where it is missing; None where that is not possible."""
    try:
        folder = cache_folder()
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder):
            return folder
    except (OSError, RuntimeError):
        return None


def kernels_kept() -> bool:
    """Whether the kernels were compiled before, so that they only need to be loaded."""
    return any(cache_folder().glob("**/kernels.decide_*.nbi"))

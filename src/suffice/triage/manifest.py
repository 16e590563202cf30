"""Evidence of a failure, frozen: the triage bundle, its manifest, and the item that tells a person where to begin."""

import re
import shutil
import tempfile
from collections.abc import Mapping
from glob import escape
from hashlib import sha256
from pathlib import Path

from suffice.errors import DataError, OutputError, name_shown, shown
from suffice.files import read_whole

MANIFEST = "MANIFEST"
_LINE = re.compile(r"[0-9a-f]{64}  [^\x00]+")


def freeze(bundle: Path, files: Mapping[str, str]) -> Path:
    """Write the files and their manifest as the folder `bundle`, whole or not at all; a bundle that is there stays.

    The manifest has a line `SHA-256  name` for each file, as `sha256sum --check MANIFEST` reads it, and as `certutil
    -hashfile FILE SHA256` and `Get-FileHash FILE` print the hash. Raises OutputError.
    """
    if (bundle / MANIFEST).exists():
        return bundle
    try:
        bundle.parent.mkdir(parents=True, exist_ok=True)
        for leftover in bundle.parent.glob(f".{escape(bundle.name)}.*.tmp"):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{bundle.name}.", suffix=".tmp", dir=bundle.parent))
        try:
            for name, content in sorted(files.items()):
                (temporary / name).parent.mkdir(parents=True, exist_ok=True)
                (temporary / name).write_text(content, encoding="utf-8", newline="\n")
            (temporary / MANIFEST).write_text(_manifest(files), encoding="utf-8", newline="\n")
            temporary.replace(bundle)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise OutputError(f"{bundle}: the triage bundle cannot be written: {error.strerror or error}") from error
    return bundle


def check(bundle: Path) -> int:
    """How many files the manifest vouches for. Raises DataError, naming the file, when one is changed, missing or
    added."""
    try:
        lines = read_whole(bundle / MANIFEST).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{bundle}: has no manifest that can be read: {error}") from error
    if not lines:
        raise DataError(f"{bundle / MANIFEST}: vouches for nothing")
    listed: dict[str, str] = {}
    for line in lines:
        digest, _, name = line.partition("  ")
        if not _LINE.fullmatch(line) or ".." in Path(name).parts or Path(name).is_absolute():
            raise DataError(
                f"{bundle / MANIFEST}: has the line {shown(line)}; allowed: SHA-256, two spaces, a file in it"
            )
        if name in listed:
            raise DataError(f"{bundle / MANIFEST}: {name_shown(name)} stands twice; allowed: each file once")
        listed[name] = digest
    for name, digest in listed.items():
        if _hash_of(bundle / name) != digest:
            raise DataError(f"{bundle / name_shown(name)}: is not what the manifest vouches for")
    there = {path.relative_to(bundle).as_posix() for path in bundle.rglob("*") if not path.is_dir()}
    added = there - listed.keys() - {MANIFEST}
    if added:
        raise DataError(f"{bundle / min(added)}: is not in the manifest")
    return len(listed)


def _hash_of(path: Path) -> str | None:
    """The SHA-256 of a file, None where it cannot be read as one."""
    try:
        return sha256(path.read_bytes()).hexdigest() if path.is_file() else None
    except OSError:
        return None


def _manifest(files: Mapping[str, str]) -> str:
    return "".join(f"{sha256(content.encode()).hexdigest()}  {name}\n" for name, content in sorted(files.items()))

"""Starting a command as somebody without the rights of root: for tests of what may be read and not written."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TypeAlias

WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
"""Goes before a command: root is then bound by the modes of files, like everybody else."""

Command: TypeAlias = Callable[..., tuple[int, str, str]]
"""Runs `suffice` with these arguments, in this folder and environment: the exit code, and both outputs."""

FORKED = """
import json, os, sys
import suffice.cli.main, suffice.cli.rollout_view, suffice.store.database
for line in sys.stdin:
    arguments, folder, environment, *streams = json.loads(line)
    if os.fork() == 0:
        for number, path in enumerate([os.devnull, *streams]):
            os.dup2(os.open(path, os.O_WRONLY if number else os.O_RDONLY), number)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.argv = ["suffice", *arguments]
        suffice.cli.main.main()
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
"""
"""Runs each command in a process of its own, which ends as any other; what it imports is there already."""


@contextmanager
def commands_without_rights() -> Iterator[Command]:
    command = [*WITHOUT_RIGHTS, sys.executable, "-c", FORKED]
    with (
        NamedTemporaryFile() as out,
        NamedTemporaryFile() as err,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as forking,
    ):
        assert forking.stdin is not None and forking.stdout is not None
        asked, ended, streams = forking.stdin, forking.stdout, [out, err]

        def run(*arguments: str) -> tuple[int, str, str]:
            for stream in streams:
                stream.truncate(0)
            asked.write(json.dumps([arguments, str(Path.cwd()), dict(os.environ), out.name, err.name]) + "\n")
            asked.flush()
            code = int(ended.readline())
            return code, Path(out.name).read_text(encoding="utf-8"), Path(err.name).read_text(encoding="utf-8")

        yield run


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """Takes the right to write away from a folder and all that is in it."""
    paths = [folder, *folder.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path in paths:
        path.chmod(modes[path] & ~0o222)
    try:
        yield
    finally:
        for path in paths:
            path.chmod(modes[path])

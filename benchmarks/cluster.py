"""A Dask cluster on this machine: a scheduler and its workers, each a process of its own on 127.0.0.1."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

WORKERS = 2
WAIT_SECONDS = 120

QUIET = {
    "DASK_DISTRIBUTED__WORKER__PROFILE__ENABLED": "False",
    "DASK_DISTRIBUTED__ADMIN__TICK__INTERVAL": "1s",
    "DASK_DISTRIBUTED__ADMIN__SYSTEM_MONITOR__INTERVAL": "10s",
}
"""What docs/scale.md advises: a worker else looks at its own stack a hundred times a second."""


class Cluster:
    """Runs in the block of a `with`; `folder` must not be there yet. Raises RuntimeError when it does not start."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> "Cluster":
        try:
            self._start_all()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def address(self) -> str:
        address: str = json.loads((self.folder / "scheduler.json").read_text(encoding="utf-8"))["address"]
        return address

    @property
    def workers(self) -> "list[subprocess.Popen[bytes]]":
        return self.processes[1:]

    def _start_all(self) -> None:
        at = self.folder / "scheduler.json"
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(at))
        self._wait(self._has_address)
        for i in range(WORKERS):
            self._start("worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-nanny",
                        "--no-dashboard", "--local-directory", str(self.folder / f"worker{i}"))  # fmt: skip
        self._wait(lambda: self._registered() == WORKERS)

    def _has_address(self) -> bool:
        # The scheduler makes its file first and fills it a moment later.
        try:
            return bool(self.address)
        except (OSError, ValueError):
            return False

    def _stop(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()

    def _start(self, *arguments: str) -> None:
        with (self.folder / f"{arguments[0]}{len(self.processes)}.log").open("wb") as log:
            command = [sys.executable, "-m", "dask", *arguments]
            # So that workers find the modules of benchmarks and tests, as local processes do.
            root = Path(__file__).parents[1]
            environment = {**os.environ, **QUIET, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"}
            process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder, env=environment)
            self.processes.append(process)

    def _registered(self) -> int:
        return sum(b"Registered to" in log.read_bytes() for log in self.folder.glob("worker*.log"))

    def _wait(self, ready: Callable[[], object]) -> None:
        end = time.monotonic() + WAIT_SECONDS
        while not ready():
            if time.monotonic() > end or any(process.poll() is not None for process in self.processes):
                raise RuntimeError("".join(path.read_text(encoding="utf-8") for path in self.folder.glob("*.log")))
            time.sleep(0.05)

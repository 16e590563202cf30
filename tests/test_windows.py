"""What Windows lacks is asked for nowhere at import, and what leans on it later is safe without, or refused in a line.

That the same holds within functions is what `mypy --platform win32` says, in `make check`.
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]

NARROWED = """
import os, pkgutil, signal, socket, sys, time
import suffice

def every_module():
    names = [module.name for module in pkgutil.walk_packages(suffice.__path__, "suffice.")]
    return [name for name in names if ".migrations." not in name]

for name in every_module():
    __import__(name)
for name in [name for name in sys.modules if name.partition(".")[0] == "suffice"]:
    del sys.modules[name]
# The packages that we use are loaded: from here on only our own modules meet a system without these.
for name in ("fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"):
    sys.modules[name] = None
posix_only = {
    os: "chown fchmod fork forkpty getgid getloadavg getpgid getuid killpg mkfifo register_at_fork setsid uname wait4",
    signal: "SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGUSR1 SIGUSR2 alarm setitimer",
    socket: "AF_UNIX",
    time: "CLOCK_BOOTTIME clock_gettime",
}
for module, names in posix_only.items():
    for name in names.split():
        delattr(module, name)
"""

WITHOUT_FCNTL = """
import sys, warnings
sys.modules["fcntl"] = None
warnings.simplefilter("ignore")
from suffice.cli.main import run
"""


def in_a_process(program: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=False)


def test_every_module_is_imported_without_what_only_posix_has(tmp_path: Path) -> None:
    program = """
for line in ("import fcntl", "signal.SIGKILL", "os.register_at_fork(after_in_child=print)", "os.fork"):
    try:
        exec(line)
    except (ImportError, AttributeError):
        continue
    raise SystemExit(f"a module with this line would not be found: {line}")
sys.platform = "win32"
for name in every_module():
    __import__(name)
"""
    done = in_a_process(NARROWED + program, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_counters_are_refused_in_a_line_where_no_lock_ends_with_its_process(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}", encoding="utf-8")
    done = in_a_process(WITHOUT_FCNTL + "sys.exit(run(['resolve', '--source', 'codata']))", tmp_path)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    *_, line = done.stderr.splitlines()
    assert (
        line.startswith("suffice: ")
        and "metrics.json: cannot be locked: this system keeps no locks that end with their process" in line
    )


def test_a_verifier_without_such_locks_keeps_its_rows_in_memory_until_the_ledger_has_them(tmp_path: Path) -> None:
    program = """
import logging
from pathlib import Path
import suffice
from suffice.errors import OutputError
from suffice.store.database import open_store
from suffice.store.schema import decisions
from sqlalchemy import select

logging.basicConfig()
Path("config.json").write_text('{"verifier": {"rule": "proportion", "n_samples": 16}}')
verifier = suffice.Verifier.from_config("config.json")
case = suffice.Case(key="a", target="a", sampler=lambda rng, n: rng.random(n) < 0.9)
assert verifier.verify(case).n == 16
assert verifier.waiting == 1 and not list(Path("TemporaryQueue/spool").glob("*"))
try:
    verifier.close()
except OutputError as error:
    print(error)
with open_store(Path("TemporaryQueue/store.db")) as store, store.read() as connection:
    assert connection.execute(select(decisions.c.key)).scalars().all() == ["a"]
"""
    done = in_a_process(WITHOUT_FCNTL + program, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "ledger rows are kept in memory only: this system keeps no locks" in done.stderr
    assert "metrics.json: cannot be locked" in done.stdout

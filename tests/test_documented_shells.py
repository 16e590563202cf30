"""What the pages say for a shell is in its language: for `sh` by sh itself, for PowerShell by its parser where there is
one, else by our own parse of the little that the pages use."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])
POWERSHELL = shutil.which("pwsh") or shutil.which("powershell")

TOKEN = re.compile(
    r"""\s*(?:(?P<comment>\#.*)|(?P<string>"[^"`]*"|'[^']*')|(?P<variable>\$(?:env:)?[A-Za-z_]\w*|\$\?)
    |(?P<sign>[|;={}()])|(?P<word>[\w./:*-][\w./\\:*,@-]*))""",
    re.VERBOSE,
)
"""Strings without an escape, variables, words, and the signs that the pages use. `&&`, `||`, `>`, `\\` at the end of a
line and $(…) are something else in PowerShell, or nothing in the version that Windows brings."""

PIPELINE = r"w[w$]*(?:\|w[w$]*)*"
STATEMENT = rf"(?:\$=w|w\(\$\)\{{{PIPELINE}\}}|{PIPELINE})"
LINE = f"(?:{STATEMENT}(?:;{STATEMENT})*)?"
"""The kinds of a line's tokens, w for a word or a string: an assignment, `if ($?) { … }`, or commands with pipes."""

PARSER = (
    "$problems = $null; "
    "[void][System.Management.Automation.Language.Parser]::ParseInput([Console]::In.ReadToEnd(), [ref]$null, "
    "[ref]$problems); $problems | ForEach-Object { $_.Message }; exit $problems.Count"
)


def blocks(language: str) -> list[tuple[str, str]]:
    """The name of the page and the text of each block in this language."""
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(page.name, text) for page in PAGES for text in fence.findall(page.read_text(encoding="utf-8"))]


def tokens(line: str) -> list[tuple[str, str]]:
    """The tokens of a line. Raises ValueError at what is none."""
    found, at = [], 0
    while line[at:].strip():
        token = TOKEN.match(line, at)
        if token is None:
            raise ValueError(f"{line[at:].strip()!r} is no token")
        found.append((str(token.lastgroup), token.group(str(token.lastgroup))))
        at = token.end()
    return [token for token in found if token[0] != "comment"]


def problem(line: str) -> str:
    """What is wrong with a line as PowerShell, "" where nothing is."""
    try:
        kinds = "".join({"sign": value, "variable": "$"}.get(kind, "w") for kind, value in tokens(line))
    except ValueError as error:
        return str(error)
    return "" if re.fullmatch(LINE, kinds) else f"{line!r} is no statement"


def parsed_by_powershell(text: str) -> str:
    command = [str(POWERSHELL), "-NoProfile", "-NonInteractive", "-Command", PARSER]
    return subprocess.run(command, input=text, capture_output=True, text=True, check=False).stdout


def test_sh_takes_each_block_for_it() -> None:
    written = blocks("sh")
    assert len(written) > 10
    for page, text in written:
        done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, ""), page


def test_powershell_takes_each_block_for_it() -> None:
    written = blocks("powershell")
    assert len(written) > 4
    for page, text in written:
        problems = parsed_by_powershell(text) if POWERSHELL else "".join(map(problem, text.splitlines()))
        assert problems == "", page


@pytest.mark.parametrize(
    "line",
    [
        "python run_eval.py && python other.py",
        "python run_eval.py || exit",
        "python run_eval.py > run_eval.out",
        "export NAME=value",
        "python run_eval.py |",
        "python run_eval.py \\",
        "| Tee-Object run_eval.out",
        '$env:NAME = "value',
        "if ($?) { git pull",
        "echo $(date)",
        "$env:NAME =",
    ],
)
def test_what_is_no_powershell_would_be_found(line: str) -> None:
    assert problem(line)

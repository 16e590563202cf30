"""Triage items in an issue tracker, by a command of the operator's."""

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Formatter

from sqlalchemy import Connection

from suffice.errors import RolloutError
from suffice.store.chain import canonical
from suffice.store.database import insert_new
from suffice.store.outbox import Message
from suffice.store.schema import outbox
from suffice.store.triage import TriageItem, items

KIND = "triage command"
"""Of outbox messages that a command is for, not a webhook."""

PLACEHOLDERS = ("title", "body_file", "item", "stage", "reason", "bundle")

TIMEOUT_SECONDS = 60.0


def command_of(text: str) -> tuple[str, ...]:
    """The words of a command template, from a JSON list. Raises RolloutError, naming what is wrong in it."""
    allowed = 'a JSON list like ["gh", "issue", "create", "--title", "{title}", "--body-file", "{body_file}"]'
    try:
        words = json.loads(text)
    except ValueError:
        words = None
    if not (isinstance(words, list) and words and all(isinstance(word, str) and word for word in words)):
        raise RolloutError(f"--triage-command is {text!r}; allowed: {allowed}")
    for word in words:
        _check(word)
    return tuple(words)


def enqueue_items(connection: Connection, now: float) -> int:
    """Put every open triage item into the outbox that is not there yet; returns how many were new."""
    rows = [
        {
            "rollout": item.id,
            "kind": KIND,
            "payload": canonical(_values(item)),
            "idempotency_key": f"triage/{item.id}",
            "attempts": 0,
            "next_at": now,
            "done_at": None,
        }
        for item in items(connection)
    ]
    return insert_new(connection, outbox, ["idempotency_key"], rows)


def run_command(template: Sequence[str], message: Message, timeout: float = TIMEOUT_SECONDS) -> str | None:
    """Run the command about an item, without a shell; the sentence of what went wrong, None when it exits with 0.

    Its environment has SUFFICE_IDEMPOTENCY_KEY, the same in every attempt.
    """
    words = filled(template, message.payload)
    environment = {**os.environ, "SUFFICE_IDEMPOTENCY_KEY": message.idempotency_key}
    try:
        done = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"triage command {words[0]} did not end within {timeout:,.0f} s"
    except (OSError, ValueError) as error:
        return f"triage command {words[0]} cannot be run: {getattr(error, 'strerror', None) or error}"
    said = (done.stdout.strip().splitlines() or ["nothing"])[-1]
    return None if done.returncode == 0 else f"triage command {words[0]} ended with {done.returncode}: {said}"


def filled(template: Sequence[str], values: Mapping[str, str]) -> list[str]:
    """The words with their placeholders filled in; a value stays within its word, whatever it holds."""
    return [word.format_map(values) for word in template]


def _values(item: TriageItem) -> dict[str, str]:
    return {
        "title": f"Triage: {item.id} was rolled back in stage {item.stage}",
        "body_file": str(Path(item.bundle) / "TRIAGE.md"),
        "item": item.id,
        "stage": item.stage,
        "reason": item.reason,
        "bundle": item.bundle,
    }


def _check(word: str) -> None:
    allowed = f"{', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}, and {{{{ for a brace"
    try:
        fields = list(Formatter().parse(word))
    except ValueError as error:
        raise RolloutError(f"--triage-command: {word!r}: {error}; allowed: {allowed}") from None
    for _, name, spec, conversion in fields:
        if name is not None and (name not in PLACEHOLDERS or spec or conversion):
            raise RolloutError(f"--triage-command: {word!r} has no such placeholder; allowed: {allowed}")

"""Telling people what happened, from an outbox in the store until each message was taken.

Two sinks: a webhook, and a command that opens triage items in an issue tracker.
"""

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from string import Formatter
from typing import Protocol
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from sqlalchemy import Connection

from suffice.errors import RolloutError
from suffice.store.actions import Action
from suffice.store.chain import canonical
from suffice.store.database import Store, insert_new
from suffice.store.outbox import Message, due, enqueue_events, put_off, sent
from suffice.store.schema import outbox
from suffice.store.triage import TriageItem, items

ACTIONS = tuple(action for action in Action if action not in (Action.JUDGE, Action.OBSERVED, Action.CLOSE))
"""The journal events that people are told of; the pass of a cycle is not one."""

KIND = "triage command"
"""Of messages that the triage command is for, not the webhook."""

PLACEHOLDERS = ("title", "body_file", "item", "stage", "reason", "bundle")

FIRST_WAIT, LONGEST_WAIT = 5.0, 900.0
"""Seconds before the second attempt, doubled with each further one, and the longest pause between two."""

WEBHOOK_SECONDS, COMMAND_SECONDS = 10.0, 60.0
"""How long the answer of each is waited for."""


class Sink(Protocol):
    """Where messages go."""

    def takes(self, message: Message) -> bool:
        """Whether a message is for this sink."""
        ...

    def send(self, message: Message) -> str | None:
        """Try once; the sentence of what went wrong, None when the message was taken."""
        ...


@dataclass(frozen=True, slots=True)
class Webhook:
    """Messages are sent to an address by POST as JSON, with their idempotency key."""

    url: str

    @classmethod
    def of(cls, text: str) -> "Webhook":
        """The webhook at this address. Raises RolloutError when it is none."""
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise RolloutError(f"--webhook is {text!r}; allowed: an http or https address")
        return cls(text)

    def takes(self, message: Message) -> bool:
        return message.kind != KIND

    def send(self, message: Message) -> str | None:
        body = json.dumps({**message.payload, "idempotency_key": message.idempotency_key}).encode()
        headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": message.idempotency_key}
        request = Request(self.url, body, headers, method="POST")
        try:
            with build_opener(_NoRedirect).open(request, timeout=WEBHOOK_SECONDS) as answer:
                status = answer.status
        except HTTPError as error:
            with error:
                return f"{self._shown} answered {error.code}"
        except (URLError, OSError, ValueError) as error:
            return f"{self._shown} cannot be reached: {getattr(error, 'reason', error)}"
        return None if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else f"{self._shown} answered {status}"

    @property
    def _shown(self) -> str:
        """Without path and query, where secrets are kept."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")


@dataclass(frozen=True, slots=True)
class TriageCommand:
    """A command is run for each triage item, without a shell, its words filled in.

    Its environment has SUFFICE_IDEMPOTENCY_KEY, the same in every attempt.
    """

    words: tuple[str, ...]

    @classmethod
    def of(cls, text: str) -> "TriageCommand":
        """The command of a JSON list of words. Raises RolloutError, naming what is wrong in it."""
        allowed = 'a JSON list like ["gh", "issue", "create", "--title", "{title}", "--body-file", "{body_file}"]'
        try:
            words = json.loads(text)
        except ValueError:
            words = None
        if not (isinstance(words, list) and words and all(isinstance(word, str) and word for word in words)):
            raise RolloutError(f"--triage-command is {text!r}; allowed: {allowed}")
        for word in words:
            _check_placeholders(word)
        return cls(tuple(words))

    def takes(self, message: Message) -> bool:
        return message.kind == KIND

    def send(self, message: Message) -> str | None:
        # A value stays within its word, whatever it holds.
        words = [word.format_map(message.payload) for word in self.words]
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
                timeout=COMMAND_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"triage command {words[0]} did not end within {COMMAND_SECONDS:,.0f} s"
        except (OSError, ValueError) as error:
            return f"triage command {words[0]} cannot be run: {getattr(error, 'strerror', None) or error}"
        last_line = (done.stdout.strip().splitlines() or ["nothing"])[-1]
        return None if done.returncode == 0 else f"triage command {words[0]} ended with {done.returncode}: {last_line}"


def deliver(store: Store, clock: Callable[[], float], sinks: Sequence[Sink]) -> tuple[int, list[str]]:
    """Send what is due; returns how many were taken, and what went wrong with the others, which are tried again.

    A message without a sink waits in the outbox; open triage items are put there for a command only. Killed between
    the answer and the note of it, a message is sent, or the command run, twice, with the same key. Raises StoreError.
    """
    now = clock()
    with store.write() as connection:
        enqueue_events(connection, ACTIONS, now)
        if any(isinstance(sink, TriageCommand) for sink in sinks):
            _enqueue_items(connection, now)
        messages = due(connection, now, LONGEST_WAIT) if sinks else []
    taken, wrong = 0, []
    for message in messages:
        sink = next((sink for sink in sinks if sink.takes(message)), None)
        if sink is None:
            continue
        problem = sink.send(message)
        with store.write() as connection:
            if problem is None:
                sent(connection, message.id, clock())
            else:
                put_off(connection, message.id, clock() + wait(message.attempts))
        taken += problem is None
        wrong += [problem] if problem else []
    return taken, wrong


def wait(attempts: int) -> float:
    """Seconds to wait after this many earlier attempts and one more."""
    return float(min(FIRST_WAIT * 2.0 ** min(attempts, 30), LONGEST_WAIT))


class _NoRedirect(HTTPRedirectHandler):
    """A moved webhook is a wrong address, not a place to send evidence to."""

    def redirect_request(self, *_: object) -> None:
        return None


def _enqueue_items(connection: Connection, now: float) -> None:
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
    insert_new(connection, outbox, ["idempotency_key"], rows)


def _values(item: TriageItem) -> Mapping[str, str]:
    return {
        "title": f"Triage: {item.id} was rolled back in stage {item.stage}",
        "body_file": str(Path(item.bundle) / "TRIAGE.md"),
        "item": item.id,
        "stage": item.stage,
        "reason": item.reason,
        "bundle": item.bundle,
    }


def _check_placeholders(word: str) -> None:
    allowed = f"{', '.join(f'{{{name}}}' for name in PLACEHOLDERS)}, and {{{{ for a brace"
    try:
        fields = list(Formatter().parse(word))
    except ValueError as error:
        raise RolloutError(f"--triage-command: {word!r}: {error}; allowed: {allowed}") from None
    for _, name, spec, conversion in fields:
        if name is not None and (name not in PLACEHOLDERS or spec or conversion):
            raise RolloutError(f"--triage-command: {word!r} has no such placeholder; allowed: {allowed}")

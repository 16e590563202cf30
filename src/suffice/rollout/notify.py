"""Telling people: notifications by webhook, and triage items by a command, from an outbox in the store, until each was
taken."""

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from suffice.errors import RolloutError
from suffice.rollout.tracker import KIND, enqueue_items, run_command
from suffice.store.actions import Action
from suffice.store.database import Store
from suffice.store.outbox import Message, due, enqueue_events, put_off, sent, waiting

ACTIONS = tuple(action for action in Action if action not in (Action.JUDGE, Action.OBSERVED, Action.CLOSE))
"""The journal events that people are told of; the pass of a cycle is not one."""

FIRST_WAIT, LONGEST_WAIT = 5.0, 900.0
"""Seconds before the second attempt, doubled with each further one, and the longest pause between two."""

TIMEOUT_SECONDS = 10.0


class _NoRedirect(HTTPRedirectHandler):
    """A moved webhook is a wrong address, not a place to send evidence to."""

    def redirect_request(self, *_: object) -> None:
        return None


def send(url: str, message: Message, timeout: float = TIMEOUT_SECONDS) -> str | None:
    """POST a notification as JSON, with its idempotency key; the sentence of what went wrong, None when it was
    taken."""
    body = json.dumps({**message.payload, "idempotency_key": message.idempotency_key}).encode()
    headers = {"Content-Type": "application/json; charset=utf-8", "Idempotency-Key": message.idempotency_key}
    try:
        with build_opener(_NoRedirect).open(Request(url, body, headers, method="POST"), timeout=timeout) as answer:
            status = answer.status
    except HTTPError as error:
        with error:
            return f"{_place(url)} answered {error.code}"
    except (URLError, OSError, ValueError) as error:
        return f"{_place(url)} cannot be reached: {getattr(error, 'reason', error)}"
    return None if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES else f"{_place(url)} answered {status}"


def check_url(url: str) -> str:
    """The address, when a notification can be sent there. Raises RolloutError otherwise."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise RolloutError(f"--webhook is {url!r}; allowed: an http or https address")
    return url


def deliver(
    store: Store,
    url: str | None,
    clock: Callable[[], float],
    send: Callable[[str, Message], str | None] = send,
    command: Sequence[str] | None = None,
) -> tuple[int, list[str]]:
    """Send what is due; returns how many were taken, and what went wrong with the others, which are tried again.

    Without an address notifications wait in the outbox; open triage items are put there for a `command` only. Killed
    between the answer and the note of it, a notification is sent, or the command run, twice, with the same key.
    """
    now = clock()
    with store.write() as connection:
        enqueue_events(connection, ACTIONS, now)
        if command:
            enqueue_items(connection, now)
        messages = due(connection, now, LONGEST_WAIT) if url or command else []
    taken, wrong = 0, []
    for message in messages:
        if not (command if message.kind == KIND else url):
            continue
        problem = run_command(command or (), message) if message.kind == KIND else send(url or "", message)
        with store.write() as connection:
            if problem is None:
                sent(connection, message.id, clock())
            else:
                put_off(connection, message.id, clock() + wait(message.attempts))
        taken += problem is None
        wrong += [problem] if problem else []
    return taken, wrong


def undelivered(store: Store) -> int:
    """How many notifications wait."""
    with store.read() as connection:
        return waiting(connection)


def wait(attempts: int) -> float:
    """Seconds to wait after this many earlier attempts and one more."""
    return float(min(FIRST_WAIT * 2.0 ** min(attempts, 30), LONGEST_WAIT))


def _place(url: str) -> str:
    """Without path and query, where secrets are kept."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")

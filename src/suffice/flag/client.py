"""Asking the flag the way production does: through the OpenFeature client."""

from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Self

from openfeature import api
from openfeature.client import OpenFeatureClient
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import OpenFeatureError
from openfeature.flag_evaluation import FlagEvaluationDetails
from openfeature.provider import ProviderStatus
from openfeature.provider.no_op_provider import NoOpProvider

from suffice.flag.answer import FlagAnswer
from suffice.flag.document import FLAG, REGION
from suffice.flag.watched_file import WatchedFile
from suffice.verifier.arm import Arm

POLL_MS = 100
"""The time between two looks at the file, so the longest time until a client sees a publication."""

_NUMBERS = count(1)
_NOBODY = NoOpProvider()
_ARMS = frozenset(arm.value for arm in Arm)


class FlagClient:
    """Which arm a target is on.

    Guarantees FIXED whenever the answer is not known: no file, a file that broke or went after it had been read, a
    missing flag, a value that is no arm, an empty target, a provider that is not ready, a closed client, a forked
    process.
    `FlagClient(client)` asks the provider that your own OpenFeature client is bound to; that client stays yours.
    `FlagClient.from_file(path)` watches a flag file, and must be closed. Safe to share between threads.
    """

    def __init__(self, client: OpenFeatureClient) -> None:
        self._client = client
        self._file: WatchedFile | None = None
        self._closed = False

    @classmethod
    def from_file(cls, path: Path, *, poll_ms: int = POLL_MS) -> Self:
        """A client of the flag file, bound to an OpenFeature domain of its own. The file need not exist yet."""
        domain = f"suffice-flag-{next(_NUMBERS)}"
        file = WatchedFile(path, poll_ms)
        with suppress(OpenFeatureError):  # No file, or a broken one: it is watched all the same.
            api.set_provider_and_wait(file, domain)
        client = cls(api.get_client(domain))
        client._file = file
        return client

    def arm(self, target: str, region: str | None = None) -> Arm:
        """The arm of `target`, by itself; see `ask`."""
        return self.ask(target, region).arm

    def ask(self, target: str, region: str | None = None) -> FlagAnswer:
        """The arm of `target` in `region`, with the reason. Raises nothing of its own."""
        obstacle = self._obstacle(target)
        if obstacle:
            return FlagAnswer(Arm.FIXED, resolved=False, reason=obstacle)
        # The region is always given, so that one in a context of the host application cannot stand in for it.
        context = EvaluationContext(target, {REGION: region or ""})
        try:
            return _answer(self._client.get_string_details(FLAG, Arm.FIXED.value, context))
        except UnboundLocalError as error:
            # OpenFeature 0.10 hides an interrupt behind this error of its own; taken for a failure, it would be lost.
            hidden = error.__context__
            if hidden is None or isinstance(hidden, Exception):
                raise
            raise hidden from None

    def close(self) -> None:
        """Stop watching the file; no thread is left. From then on every answer is FIXED. Closing twice is allowed."""
        if self._closed:
            return
        self._closed = True
        if self._file is not None:
            # OpenFeature cannot forget a domain; giving it to nobody shuts the provider down.
            api.set_provider_and_wait(_NOBODY, self._client.domain)
            self._file.wait_until_released()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _obstacle(self, target: str) -> str | None:
        if self._closed:
            return "the flag client is closed"
        if not target:
            return "there is no target to choose by"
        if self._file is not None and not self._file.running:
            return (
                "the flag file is not watched (OpenFeature was shut down, or this process was forked after the start)"
            )
        # A provider in error goes on answering from its last state, which nobody can take back from it.
        status = self._client.get_provider_status()
        if status is not ProviderStatus.READY:
            return f"the flag's provider is not ready: {status.value}"
        return None


def _answer(details: FlagEvaluationDetails[str]) -> FlagAnswer:
    if details.error_code is not None:
        return FlagAnswer(Arm.FIXED, resolved=False, reason=f"{details.error_code.value}: {details.error_message}")
    if details.value not in _ARMS:
        return FlagAnswer(Arm.FIXED, resolved=False, reason=f"the flag's value {details.value!r} is no arm")
    # A provider that merely hands back our default names no variant, or one of its own.
    return FlagAnswer(Arm(details.value), resolved=details.variant == details.value, reason=str(details.reason))

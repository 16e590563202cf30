"""What a verifier of production runs beside its decisions."""

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock

from suffice import __version__
from suffice.flag.answer import Flag
from suffice.serving.agent import Agent
from suffice.serving.permission import Leased
from suffice.serving.spool import FOLDER, Spool, take_up
from suffice.serving.undecided import Undecided
from suffice.store.database import AGENT_SECONDS, Store, open_store
from suffice.store.ledger import Ledger
from suffice.store.signs import note_sign
from suffice.telemetry.counters import Counters
from suffice.telemetry.metrics_file import flush

FIRST_WORD_SECONDS = 2.0
"""How long a start waits for its first word at most, so that a short run begins on the right arm."""

SIGN_SECONDS = 10.0
"""The pause between two signs of life, and between two looks for what dead processes of this host left."""


class Background:
    """The agent with its duties, and the store of who works with it beside the decisions.

    The agent delivers `spool` to the ledger, `counters` to the metrics file of the folder `queue` and `undecided` to
    the store, gives signs of life, takes up what dead processes left, and has further `duties`. `permission` is the one
    that its word gives.
    `taken_over` is for the threads of a forked child: one of them opens what the child needs.
    """

    def __init__(
        self,
        where: str | Path,
        queue: Path,
        service: str,
        provider: Flag | None,
        *,
        plan_id: str,
        enabled: bool,
        spool: Spool,
        counters: Counters,
        undecided: Undecided,
        clock: Callable[[], float],
        duties: Mapping[str, Callable[[Store], object]],
        parent: "Background | None" = None,
    ) -> None:
        self.service, self.spool, self.counters, self.undecided = service, spool, counters, undecided
        self._where, self._queue, self._provider = where, queue, provider
        self._enabled, self._clock, self._duties = enabled, clock, duties
        # The parent's is kept: collected, it would close what the parent still uses.
        self._parent, self._store, self._looked_at = parent, list[Store](), float("-inf")
        self.taken_over = Lock()
        self.agent = Agent(
            where,
            service,
            plan_id=plan_id,
            enabled=enabled,
            version=__version__,
            folder=queue,
            duties={
                "rows": self._deliver,
                "counters": self._count,
                "cases without a decision": undecided.deliver,
                "left by others": self._take_up,
                **duties,
            },
            waiting=lambda: spool.rows,
            now=clock,
        )
        self.permission = Leased(
            self.agent, plan_id=plan_id, enabled=enabled, provider=provider, blocked=lambda: spool.is_full, clock=clock
        )

    def in_child(self) -> "Background":
        """The same in a forked child, which has none of its parent's threads: nothing of theirs is touched."""
        return Background(
            self._where,
            self._queue,
            self.service,
            self._provider,
            plan_id=self.permission.plan_id,
            enabled=self._enabled,
            spool=Spool(self._queue / FOLDER),
            counters=Counters(),
            undecided=Undecided(),
            clock=self._clock,
            duties=self._duties,
            parent=self,
        )

    def decide_by(self, plan_id: str) -> None:
        """From now on the process decides by this plan."""
        self.permission.plan_id = plan_id
        self.agent.decide_by(plan_id)

    def start(self, *, patience: float = FIRST_WORD_SECONDS) -> None:
        """Start the agent, and wait so long at most for the first word."""
        self.spool.prepare()
        self.agent.start()
        self.agent.wait_until_registered(patience)

    def open_store(self) -> Store:
        """The store for who works with it beside the decisions, opened once. Raises StoreError."""
        if not self._store:
            self._store.append(open_store(self._where))
        return self._store[0]

    def close(self) -> None:
        """Close the agent and the store."""
        self.agent.close()
        for store in self._store:
            store.close()

    def _deliver(self, store: Store) -> None:
        self.spool.deliver(Ledger(store))

    def _count(self, _: Store) -> None:
        flush(self.counters, self._queue / "metrics.json", patience=AGENT_SECONDS)

    def _take_up(self, store: Store) -> None:
        now = self.agent.boot()
        if now - self._looked_at < SIGN_SECONDS:
            return
        self._looked_at = now
        with store.write() as connection:
            note_sign(connection, self.service, self._clock())
        take_up(self._queue / FOLDER, Ledger(store))

"""The store's clock: a server's own, or the host's where the store is a file."""

import time
from collections.abc import Callable

from sqlalchemy import text

from suffice.store.database import Store

_NOW = "SELECT extract(epoch FROM clock_timestamp())::double precision"


def clock_of(store: Store) -> Callable[[], float]:
    """Seconds since the epoch by the store's clock: whoever asks, from whatever host. It raises StoreError."""
    with store.read() as connection:
        server = connection.dialect.name == "postgresql"

    def ask() -> float:
        with store.read() as connection:
            return float(connection.execute(text(_NOW)).scalar_one())

    return ask if server else time.time

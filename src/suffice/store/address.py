"""Where a store is: in a file, by SQLite, or in a database of PostgreSQL, by URL."""

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from suffice.errors import StoreAddressError, name_shown
from suffice.files import read_whole, write_atomically

STORE_URL = "SUFFICE_STORE_URL"
"""The environment variable that names the store's database where a caller does not."""

NOTE = "store.url"
"""The file that says where a queue folder's store is, when that is not in it."""

_URL = 2_000
"""Characters of a URL that is to be pasted: it is printed whole."""

_ALLOWED = "allowed: a database URL like postgresql://user@host/database, or sqlite:///file"
_DRIVERS = {"sqlite": ("", "pysqlite"), "postgresql": ("", "psycopg")}

_SHOWN = ("host", "port", "options", "service")
"""Parts of a URL's query that may be printed; others, like `password`, may not."""


@dataclass(frozen=True, slots=True)
class Address:
    """A database, with a name for messages that holds no password."""

    url: URL
    name: str

    @property
    def file(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @property
    def path(self) -> Path:
        """The file of a SQLite store."""
        return Path(self.url.database or "")


def store_of(queue: Path, url: str | None = None) -> str | Path:
    """Where the store of a queue folder is: at the URL if there is one, else in its `store.db`.

    Raises StoreAddressError for a URL that is none: a mistyped one must not become a file of that name. Raises it too
    when there is no URL and the folder notes that its store is elsewhere: a runner that saw no rollout there would end
    it.
    """
    if url and "://" in url:
        return url
    if url:
        raise _unreadable()
    note = queue / NOTE
    if note.exists():
        try:
            elsewhere = name_shown(read_whole(note).decode(errors="replace").strip(), most=_URL)
        except OSError as error:
            raise StoreAddressError(f"{note}: cannot be read: {error.strerror or error}") from error
        raise StoreAddressError(
            f"{queue}: its store is {elsewhere}; allowed: to name it by --store or ${STORE_URL}, or to remove {note}"
        )
    return queue / "store.db"


def note_store(queue: Path, url: str) -> None:
    """Note in a queue folder that its store is at this URL, without the password. Raises OutputError."""
    text = f"{address_of(url).name}\n".encode()
    note = queue / NOTE
    if not note.exists() or read_whole(note) != text:
        write_atomically(note, text)


def shown_url(url: str) -> str:
    """A database's URL as it may be printed, without the password. Raises StoreError."""
    address = address_of(url)
    return url if address.file else address.name


def address_of(where: str | Path) -> Address:
    """The address that a path or URL is. Raises StoreAddressError, without a word of what may be a password."""
    if not isinstance(where, str) or "://" not in where:
        return Address(URL.create("sqlite", database=str(where)), str(where))
    try:
        url = make_url(where)
    except (ArgumentError, ValueError):
        raise _unreadable() from None
    if "@" in (url.host or ""):
        raise StoreAddressError("the store's URL has a second @ before its host; allowed: a password with %40 for @")
    kind, _, driver = url.drivername.partition("+")
    if driver not in _DRIVERS.get(kind, ()):
        raise StoreAddressError(f"{url.drivername}://… is no store; {_ALLOWED}")
    if kind == "sqlite":
        return Address(url, url.database or "sqlite://")
    shown = {key: value for key, value in url.query.items() if key in _SHOWN}
    safe = URL.create(kind, url.username, None, url.host, url.port, url.database, shown)
    return Address(url.set(drivername="postgresql+psycopg"), safe.render_as_string())


def _unreadable() -> StoreAddressError:
    return StoreAddressError(f"the store's URL cannot be read (it is not printed, it may hold a password); {_ALLOWED}")

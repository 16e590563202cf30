"""Links between a machine and a server that can be cut and delayed.

A `Proxy` stands in the way of connections; a `Wire` is a pair of virtual interfaces between two network namespaces (a
`Space` is one), which needs root and iproute2.
"""

import ctypes
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Event, Thread
from typing import Protocol

CHUNK = 1 << 16
NETWORK = "10.213"
"""Of all wires; the server has address 1 of each, the machine address 2."""

_CLONE_NEWNET = 0x40000000
_numbers = count()


class Link(Protocol):
    """A machine's way to the server, and what starts a program on that machine, before its own words."""

    host: str
    port: int
    prefix: tuple[str, ...]

    def cut(self) -> None: ...

    def heal(self) -> None: ...

    def delay(self, seconds: float) -> None: ...

    def close(self) -> None: ...


class Space:
    """A network namespace: a machine of its own, as far as the network goes."""

    def __init__(self) -> None:
        self.name = f"suffice{os.getpid()}x{next(_numbers)}"
        self.prefix = ("ip", "netns", "exec", self.name)
        _ip("netns", "add", self.name)
        _ip("-n", self.name, "link", "set", "lo", "up")

    def close(self) -> None:
        _ip("netns", "del", self.name)


class Proxy:
    """A way from `near` to a server in `far` (None: the namespace of the tests). While it is cut it takes connections
    and says nothing, as a cut network does; each piece of data comes later by the delay. New connections lead to the
    `server_port` of their moment."""

    prefix: tuple[str, ...] = ()

    def __init__(
        self, server_port: int, host: str = "127.0.0.1", *, near: Space | None = None, far: Space | None = None
    ) -> None:
        self.server_port, self.host, self._far = server_port, host, far
        self._open, self._closed, self._delay = Event(), Event(), 0.0
        self._open.set()
        with _within(near):
            self._listener = socket.create_server((host, 0))
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    def delay(self, seconds: float) -> None:
        self._delay = seconds

    def close(self) -> None:
        self._closed.set()
        self._open.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def passing(self, data: bytes) -> bytes:
        """What of a piece of data goes on."""
        return data

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            Thread(target=self._join, args=(near,), daemon=True).start()

    def _join(self, near: socket.socket) -> None:
        self._open.wait()
        try:
            with _within(self._far):
                far = socket.create_connection(("127.0.0.1", self.server_port))
        except OSError:
            near.close()
            return
        there = Thread(target=self._carry, args=(near, far), daemon=True)
        there.start()
        self._carry(far, near)
        there.join()
        near.close()
        far.close()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(CHUNK):
                time.sleep(self._delay)
                self._open.wait()
                sink.sendall(self.passing(data))
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Wire:
    """A wire between the namespaces of the server and of a machine. With `delayed`, connections pass a proxy on the
    server's side, which can delay them; without, they are never slow. Cutting takes the server's end down."""

    def __init__(self, server: Space, server_port: int, machine: Space, *, delayed: bool = False) -> None:
        number = next(_numbers)
        self._server, self._near, far = server, f"sfx{os.getpid()}n{number}", f"sfx{os.getpid()}f{number}"
        self.host, self.prefix = f"{NETWORK}.{number}.1", machine.prefix
        _ip(
            *("link", "add", self._near, "netns", server.name),
            *("type", "veth", "peer", "name", far, "netns", machine.name),
        )
        for space, end, address in ((server, self._near, 1), (machine, far, 2)):
            _ip("-n", space.name, "addr", "add", f"{NETWORK}.{number}.{address}/24", "dev", end)
            _ip("-n", space.name, "link", "set", end, "up")
        self._proxy = Proxy(server_port, self.host, near=server, far=server) if delayed else None
        self.port = self._proxy.port if self._proxy else server_port

    def cut(self) -> None:
        _ip("-n", self._server.name, "link", "set", self._near, "down")

    def heal(self) -> None:
        _ip("-n", self._server.name, "link", "set", self._near, "up")

    def delay(self, seconds: float) -> None:
        if self._proxy:
            self._proxy.delay(seconds)

    def close(self) -> None:
        if self._proxy:
            self._proxy.close()
        _ip("-n", self._server.name, "link", "del", self._near)


@contextmanager
def _within(space: Space | None) -> Iterator[None]:
    """Sockets that this thread makes belong to that namespace."""
    if space is None:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/thread-self/ns/net").open("rb") as own, Path("/run/netns", space.name).open("rb") as other:
        if libc.setns(other.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter namespace {space.name}")
        try:
            yield
        finally:
            if libc.setns(own.fileno(), _CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "cannot come back to the own namespace")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)

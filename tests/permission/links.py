"""Links between a machine and a server that can be cut and delayed.

A `Link` is a proxy; a `Wire` is a network namespace behind it, which needs root and iproute2.
"""

import os
import socket
import subprocess
import time
from contextlib import suppress
from threading import Event, Thread

CHUNK = 1 << 16


class Link:
    """A way to a server on 127.0.0.1. While it is cut it takes connections and says nothing, as a cut network does."""

    prefix: tuple[str, ...] = ()
    """What starts a program on the machine, before its own words."""

    def __init__(self, server_port: int, host: str = "127.0.0.1") -> None:
        self._server_port, self.host = server_port, host
        self._open, self._closed, self.delay = Event(), Event(), 0.0
        self._open.set()
        self._listener = socket.create_server((host, 0))
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        self._open.clear()

    def heal(self) -> None:
        self._open.set()

    def close(self) -> None:
        self._closed.set()
        self._open.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

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
            far = socket.create_connection(("127.0.0.1", self._server_port))
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
                time.sleep(self.delay)
                self._open.wait()
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Wire(Link):
    """A network namespace, joined to the server's by a pair of virtual interfaces; cutting takes one of them down."""

    def __init__(self, server_port: int, number: int) -> None:
        self._space, self._near = f"sfx{os.getpid()}-{number}", f"sfx{os.getpid()}n{number}"
        far, network = f"sfx{os.getpid()}f{number}", f"10.213.{number}"
        self.prefix = ("ip", "netns", "exec", self._space)
        _ip("netns", "add", self._space)
        _ip("link", "add", self._near, "type", "veth", "peer", "name", far, "netns", self._space)
        _ip("addr", "add", f"{network}.1/24", "dev", self._near)
        _ip("link", "set", self._near, "up")
        _ip("-n", self._space, "addr", "add", f"{network}.2/24", "dev", far)
        _ip("-n", self._space, "link", "set", far, "up")
        super().__init__(server_port, f"{network}.1")

    def cut(self) -> None:
        _ip("link", "set", self._near, "down")

    def heal(self) -> None:
        _ip("link", "set", self._near, "up")

    def close(self) -> None:
        super().close()
        _ip("netns", "del", self._space)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)

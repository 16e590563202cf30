"""Links between a machine and a server that can be cut and delayed: a proxy of the campaign's own."""

import socket
import time
from contextlib import suppress
from threading import Event, Thread

CHUNK = 1 << 16


class Link:
    """A way to a server on 127.0.0.1. While it is cut it takes connections and says nothing, as a cut network does."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._open, self._closed, self.delay = Event(), Event(), 0.0
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
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

"""A network between a worker's host and the database: a TCP port that leads to the server's socket, and can be cut."""

import contextlib
import socket
from pathlib import Path
from threading import Event, Thread


class Proxy:
    """Leads connections on a free port of this machine to a unix socket.

    While it is cut nothing gets through in either direction, and nobody is told: that is what a host that is cut off sees.
    What was under way arrives when it is mended.
    """

    def __init__(self, target: Path) -> None:
        self._target = str(target)
        self._open = Event()
        self._open.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = []
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """From now on nothing gets through."""
        self._open.clear()

    def mend(self) -> None:
        """It works again, and what was held up arrives."""
        self._open.set()

    def close(self) -> None:
        """Ends every connection."""
        self.mend()
        for one in [self._listener, *self._sockets]:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                self._sockets += [client, server]
                server.connect(self._target)
                for source, sink in ((client, server), (server, client)):
                    Thread(target=self._lead, args=(source, sink), daemon=True).start()

    def _lead(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while piece := source.recv(65536):
                self._open.wait()
                sink.sendall(piece)
        self._open.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)

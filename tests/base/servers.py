"""Real servers of a test, to be called from the product: each on a port of its own, each saying just what it is told."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import TracebackType

Talk = Callable[[socket.socket, bytes], None]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def says(*parts: bytes) -> Talk:
    """Answers every request with these bytes."""

    def talk(line: socket.socket, _request: bytes) -> None:
        for part in parts:
            line.sendall(part)

    return talk


def never(line: socket.socket, _request: bytes) -> None:
    """Says nothing."""


def drips(head: bytes) -> Talk:
    def talk(line: socket.socket, _request: bytes) -> None:
        line.sendall(head)
        while True:
            line.sendall(b"x")
            time.sleep(0.02)

    return talk


def endless(line: socket.socket, _request: bytes) -> None:
    line.sendall(b"HTTP/1.1 302 Go\r\nLocation: http://[broken\r\n\r\n")
    while True:
        line.sendall(b"x" * 65536)


class Server:
    """Accepts connections until the test ends; ``requests`` has what each of them sent.

    ``talk`` may leave its connection open or write forever: it ends with the server, or when the caller hangs up.
    """

    def __init__(
        self,
        talk: Talk | None = None,
        address: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        greeting: bytes = b"",
    ) -> None:
        self._talk = talk or says(OK)
        self._greeting = greeting
        self._tls = tls
        self.requests: list[bytes] = []
        self.accepted = 0
        self.stopped = threading.Event()
        self._door = socket.create_server((address, port))
        self.address, self.port = self._door.getsockname()[:2]
        self._lines: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        """Its address, as http."""
        return f"http://{self.address}:{self.port}/"

    def __enter__(self) -> "Server":
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stopped.set()
        for line in (self._door, *self._lines):
            try:
                line.shutdown(socket.SHUT_RDWR)  # wakes whoever waits for it
            except OSError:
                pass
            line.close()
        for thread in self._threads:
            thread.join(5)

    def _accept(self) -> None:
        while True:
            try:
                line, _peer = self._door.accept()
            except OSError:
                return
            self.accepted += 1
            self._lines.append(line)
            thread = threading.Thread(target=self._serve, args=(line,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, line: socket.socket) -> None:
        try:
            if self._tls is not None:
                line = self._tls.wrap_socket(line, server_side=True)
                self._lines.append(line)
            line.sendall(self._greeting)
            request = read(line)
            self.requests.append(request)
            self._talk(line, request)
            line.recv(1)  # the caller hangs up, not we: connections are kept alive
        except OSError:
            pass  # the caller has hung up, or does not trust us
        finally:
            line.close()


def read(line: socket.socket) -> bytes:
    """One request: its head, and as much body as it announces."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += line.recv(65536) or b"\r\n\r\n"
    head, _, _body = request.partition(b"\r\n\r\n")
    length = next((int(row[15:]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length:")), 0)
    while len(request) < len(head) + 4 + length and (more := line.recv(65536)):
        request += more
    return request

"""An extension's end of the wire: a real server on a port of its own, that keeps what it gets and answers as it is told."""

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks.webhooks import Webhook


@dataclass(frozen=True)
class Got:
    """One request as it came."""

    path: str
    headers: Mapping[str, str]
    body: bytes
    at: float
    """time.time() of its arrival."""

    @property
    def id(self) -> str:
        """webhook-id."""
        return self.headers["webhook-id"]

    @property
    def message(self) -> Any:
        """The body, parsed."""
        return json.loads(self.body)

    def verify(self, secret: str) -> None:
        """Raises WebhookVerificationError unless a signature is right."""
        Webhook(secret).verify(self.body, dict(self.headers))


@dataclass(frozen=True)
class Answer:
    """What to answer. ``hang``: never, until the receiver is closed. ``drop``: hang up without a word."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0.0
    hang: bool = False
    drop: bool = False


OK = Answer()
HANG = Answer(hang=True)
DROP = Answer(drop=True)
Script = Callable[[Got], Answer]


class Receiver:
    """Use it as a context manager. ``answers`` are given one after another, the last of them again and again; or a
    function that makes one of each request, while which the sender waits."""

    def __init__(self, *answers: Answer | int, script: Script | None = None) -> None:
        self.got: list[Got] = []
        self._script = script
        self._came = threading.Condition()
        self._over = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.receiver = self
        self.answer(*answers or (OK,))

    def __enter__(self) -> "Receiver":
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where to send."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def answer(self, *answers: Answer | int) -> None:
        """From now on answer these, one after another, the last of them again and again."""
        made = [Answer(one) if isinstance(one, int) else one for one in answers]
        with self._came:
            self._answers: Sequence[Answer] = made
            self._next = 0

    def wait(self, count: int, seconds: float = 10.0) -> list[Got]:
        """The requests, once there are so many."""
        with self._came:
            in_time = self._came.wait_for(lambda: len(self.got) >= count, seconds)
            assert in_time, f"{len(self.got)} of {count} requests came within {seconds} s"
            return list(self.got)

    def take(self, got: Got) -> Answer:
        """Keep a request; what to answer."""
        with self._came:
            self.got.append(got)
            self._came.notify_all()
            answer = self._answers[min(self._next, len(self._answers) - 1)]
            self._next += 1
        return self._script(got) if self._script else answer

    def sleep(self, seconds: float | None) -> None:
        """As long as the receiver is open."""
        self._over.wait(seconds)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    receiver: Receiver

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The sender went away; that is its right."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.receiver.take(Got(self.path, headers, body, time.time()))
        if answer.delay or answer.hang:
            self.server.receiver.sleep(None if answer.hang else answer.delay)
        if answer.drop or answer.hang:
            return
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

"""Checks by extensions: from a verdict to the applied operation, on an idle system."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from bench.figures import Figure, percentile
from tests.processes.freezing import Callers, Trial, say
from tests.processes.lab import Lab
from tests.stack import Stack

FREEZES = 300
MOST_MS = 200
AT_ONCE = 2000


class Clerk(ThreadingHTTPServer):
    """An extension that hands each message to the benchmark."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/"
        self.arrived = threading.Event()
        self.at = 0.0
        self.data: dict[str, Any] = {}
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Clerk

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()
        self.server.at, self.server.data = time.perf_counter(), json.loads(body)["data"]
        self.server.arrived.set()

    def log_message(self, *_: object) -> None:
        pass


def verdicts(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Freezes one after another: request to message, and verdict to applied (the answer comes after the commit)."""
    clerk = Clerk()
    known = lab.ask("guarded", str(FREEZES), clerk.url, "2")
    callers = Callers(stack, known)
    told, applied = [], []
    for number in known["tasks"]:
        clerk.arrived.clear()
        callers.freeze(number)
        asked = time.perf_counter()
        assert clerk.arrived.wait(20), "no message came"
        told.append(max(0.0, clerk.at - asked) * 1000)
        began = time.perf_counter()
        assert say(clerk.data, "OK") == 200
        applied.append((time.perf_counter() - began) * 1000)
    fates = lab.ask("fates", str(known["workspace"]))
    assert all(fate["frozen"] for fate in fates.values())
    clerk.shutdown()
    yield Figure("answered freeze to message at the extension p50", percentile(told, 0.5), "ms")
    yield Figure("verdict to applied p50", percentile(applied, 0.5), "ms")
    yield Figure("verdict to applied p99", percentile(applied, 0.99), "ms", most=MOST_MS)


def freezes(stack: Stack, lab: Lab) -> Iterator[Figure]:
    """Freezes all at once while courier and web are killed; asserts that each ended as its verdict says, exactly once."""
    trial = Trial(stack, lab)
    began = time.monotonic()
    trial.run(AT_ONCE)
    trial.check()
    yield Figure(f"{AT_ONCE} freezes at once, all as their verdicts say", time.monotonic() - began, "s")

"""Example programs as processes, and messages to them as the courier sends them."""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path

from extensions.envelope import body_for
from extensions.models import Check
from extensions.signing import headers_for
from opscenter.base import clock
from tests.stack import ROOT

EXAMPLES = ROOT / "examples"


class Program:
    """A program that listens on a port of its own; its output is kept. Use it as a context manager."""

    def __init__(self, port: int, *command: str, env: Mapping[str, str] | None = None) -> None:
        self.port = port
        self._command = command
        self._env = dict(env) if env is not None else {"PATH": "/usr/bin:/bin"}
        self._said: list[str] = []

    def __enter__(self) -> "Program":
        self._process = subprocess.Popen(
            self._command, env=self._env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        give_up = time.monotonic() + 30
        while not self._listens():
            assert self._process.poll() is None and time.monotonic() < give_up, self.output()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(5)
        self._reader.join(5)
        for thread in threading.enumerate():  # of the live server: their connections would outlive the test's database
            if "process_request_thread" in thread.name:
                thread.join(5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            self._said.extend(stream)

    def _listens(self) -> bool:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)) as asked:
                asked.request("GET", "/")
                return bool(asked.getresponse().status)
        except OSError:
            return False

    def output(self) -> str:
        """Everything it printed so far."""
        return "".join(self._said)

    def says(self, text: str) -> bool:
        """Whether it prints this, within a moment: what it printed comes through a pipe."""
        give_up = time.monotonic() + 10
        while text not in self.output():
            if time.monotonic() > give_up:
                return False
            time.sleep(0.02)
        return True

    def post(self, headers: Mapping[str, str], body: bytes) -> int:
        """The status of its answer."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)) as asked:
            asked.request("POST", "/", body, dict(headers))
            return asked.getresponse().status

    def deliver(self, check: Check, secrets: Sequence[str], at: datetime | None = None) -> int:
        """Send the message of a check, signed with these secrets."""
        body = body_for(check)
        return self.post(headers_for(str(check.event_id), at or clock.now(), body, secrets), body)


def guard(config: Path, port: int) -> Program:
    """The freeze guard."""
    program = EXAMPLES / "guard_extension" / "guard.py"
    return Program(port, sys.executable, str(program), "--config", str(config))

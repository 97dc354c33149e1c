"""A whole product of its own, for tests of real processes: data folder, port, database and all."""

import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import psutil

from opscenter.base.procs import is_running, kill_tree, wait_gone
from opscenter.processes.placement import CLOSED_HOME

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN = 90.0
STOP_WITHIN = 10.0
_PORTS = range(15_000, 32_000)
_DICE = random.SystemRandom()  # the others are seeded, alike in all processes of a test run
_NOT_INHERITED = ("OPSCENTER_", "DATABASE_URL", "DJANGO_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "PYTEST_")


class Stack:
    """``manage.py up`` as a subprocess. Use it as a context manager: started on entry, gone on exit.

    Args:
        env: variables beside those that every stack has.
        demo: False leaves the database empty, which is much faster.

    Attributes:
        env: the environment of its processes.
        url: its address, without a slash at the end.
        data: its data folder.
    """

    def __init__(self, env: Mapping[str, str] | None = None, *, demo: bool = True) -> None:
        self._arguments = ["up"] if demo else ["up", "--no-demo"]
        self.data = Path(tempfile.mkdtemp(prefix="opscenter-stack-"))
        self.data.chmod(0o711)  # the database's user passes through
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith(_NOT_INHERITED)}
        self.env = {
            **inherited,
            "OPSCENTER_DATA": str(self.data),
            "OPSCENTER_PORT": str(self.port),
            "NO_PROXY": "*",
            **(env or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Stack":
        try:
            self.start()
        except BaseException:  # nobody leaves a block that was not entered
            self.destroy()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.destroy()

    @property
    def up(self) -> psutil.Process:
        """The process of ``manage.py up``."""
        assert self._process is not None
        return psutil.Process(self._process.pid)

    def start(self, *, wait: bool = True) -> None:
        """Start it and, unless told otherwise, wait until /readyz answers 200."""
        with (self.data / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), *self._arguments],
                env=self.env,
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, seconds: float = READY_WITHIN) -> None:
        """Wait until everything works."""
        give_up = time.monotonic() + seconds
        while not self.is_ready():
            assert self._process is not None
            if self._process.poll() is not None:
                raise AssertionError(f"up ended with {self._process.returncode}:\n{self.log()[-4000:]}")
            if time.monotonic() > give_up:
                raise AssertionError(f"not ready after {seconds} s:\n{self.log()[-4000:]}")
            time.sleep(0.1)

    def is_ready(self) -> bool:
        """Whether /readyz answers 200 now."""
        try:
            return self.get("/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON body of a GET."""
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as asked:
            asked.request("GET", path)
            answer = asked.getresponse()
            return answer.status, json.loads(answer.read())

    def log(self) -> str:
        """Everything it said so far."""
        return (self.data / "up.log").read_text(errors="replace")

    def pids(self, kind: str) -> list[int]:
        """The running main processes of a kind: web, scheduler, worker, courier or postgres; no forked ones."""
        return [child.pid for child in self.up.children() if _kind(child) == kind and is_running(child)]

    def tree(self) -> list[psutil.Process]:
        """Every process of this stack, ``up`` included."""
        return [self.up, *self.up.children(recursive=True)]

    def manage(self, *args: str, timeout: float = 60.0) -> str:
        """What ``manage.py <args>`` prints, run beside the stack; fails if that fails."""
        done = subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *args],
            env=self.env, cwd=ROOT, capture_output=True, text=True, timeout=timeout, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self, number: signal.Signals = signal.SIGINT) -> tuple[int, float]:
        """Stop it as Ctrl-C does; its exit code and the seconds it took."""
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(number)
        code = self._process.wait(STOP_WITHIN + 5)
        return code, time.monotonic() - began

    def destroy(self) -> None:
        """Remove every trace, whatever state it is in."""
        try:
            if self._process is not None and self._process.poll() is None:
                self._end(self._process)
        finally:
            self._remove_files()

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        tree = self.tree()
        process.send_signal(signal.SIGTERM)
        left = wait_gone(tree, STOP_WITHIN + 2)
        kill_tree(process.pid)
        for one in left:  # what is no longer below it
            with suppress(psutil.NoSuchProcess):
                one.kill()
        process.wait(30)

    def _remove_files(self) -> None:
        record = self.data / "postgres.json"
        if record.exists():
            home = Path(json.loads(record.read_text())["home"])
            if home.parent == CLOSED_HOME:
                shutil.rmtree(home, ignore_errors=True)
        shutil.rmtree(self.data, ignore_errors=True)


def free_port() -> int:
    """A port that nobody uses now, and that nobody gets by chance until it is used: the system gives connections higher
    ones, and tests that run at the same time draw theirs from the same many."""
    while True:
        port = _DICE.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _kind(process: psutil.Process) -> str:
    try:
        return process.name().removeprefix("ops-")
    except psutil.NoSuchProcess:
        return ""

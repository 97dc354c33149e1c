"""The children of ``up``: started, read line by line, started again when they die."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from opscenter.base.procs import die_with_parent

_FIRST_BACK_OFF = 0.5
_LONGEST_BACK_OFF = 10.0
_LIVED_LONG = 30.0
"""Seconds after which an earlier death is forgotten."""
_MOST_UNENDED = 64 * 1024


class Child:
    """One process of the product, and its successors."""

    def __init__(self, kind: str, arguments: Sequence[str], environment: Mapping[str, str], folder: Path) -> None:
        self.kind = kind
        self._command = [sys.executable, str(folder / "manage.py"), *arguments]
        self._environment = dict(environment)
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._again_at = 0.0
        self._back_off = _FIRST_BACK_OFF
        self._unended = b""

    @property
    def pid(self) -> int | None:
        """Of the running process; None between two."""
        return self._process.pid if self._process else None

    @property
    def descriptor(self) -> int | None:
        """Where its lines come from; None when nothing runs."""
        return self._process.stdout.fileno() if self._process and self._process.stdout else None

    def start(self) -> None:
        """Start it; it ends with us, however we end."""
        self._process = subprocess.Popen(
            self._command,
            env=self._environment,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches us alone: the order of stopping is ours
            preexec_fn=partial(die_with_parent, signal.SIGTERM, os.getpid()),
        )
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._started = time.monotonic()

    def due_again(self) -> bool:
        """Whether nothing runs and it is time to start it again."""
        return self._process is None and time.monotonic() >= self._again_at

    def ended(self) -> int | None:
        """The exit code, once, if it has ended since we last asked; the next start waits longer each time."""
        if self._process is None or (code := self._process.poll()) is None:
            return None
        if time.monotonic() - self._started > _LIVED_LONG:
            self._back_off = _FIRST_BACK_OFF
        self._again_at = time.monotonic() + self._back_off
        self._back_off = min(_LONGEST_BACK_OFF, self._back_off * 2)
        return code

    def forget(self) -> None:
        """Let go of a process that has ended."""
        if self._process is not None and self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process is not None and self._process.poll() is None

    def lines(self) -> list[str]:
        """Whole lines written since the last call; after its end also an unfinished one."""
        descriptor = self.descriptor
        if descriptor is None:
            return []
        while True:
            try:
                piece = os.read(descriptor, _MOST_UNENDED)
            except BlockingIOError:
                break
            self._unended += piece
            if not piece:
                self._unended += b"\n" if self._unended else b""
                break
        *whole, self._unended = self._unended.split(b"\n")
        if len(self._unended) > _MOST_UNENDED:
            whole, self._unended = [*whole, self._unended], b""
        return [line.decode(errors="replace") for line in whole]

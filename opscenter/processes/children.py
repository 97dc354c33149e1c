"""The children of ``up``: forked, read line by line, forked again when they die.

Forked, not started anew: what they import is loaded once, so that all of it is up a moment after the first.
"""

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable

from django.core.management import CommandError

from opscenter.base.procs import die_with_parent, set_name

_FIRST_BACK_OFF = 0.5
_LONGEST_BACK_OFF = 10.0
_LIVED_LONG = 30.0
"""Seconds after which an earlier death is forgotten."""
_MOST_UNENDED = 64 * 1024
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}
_context = multiprocessing.get_context("fork")


class Child:
    """One process of the product, and its successors.

    Args:
        kind: its name, in the process list and before each of its lines.
        body: what it does; it ends when that returns.
        let_go: called in the child first, to close what belongs to the parent alone.
        longest_back_off: seconds between a death and the next start when it dies again and again.
    """

    def __init__(
        self,
        kind: str,
        body: Callable[[], None],
        let_go: Callable[[], None],
        *,
        longest_back_off: float = _LONGEST_BACK_OFF,
    ) -> None:
        self.kind = kind
        self._body = body
        self._let_go = let_go
        self._process: multiprocessing.process.BaseProcess | None = None
        self._output: int | None = None
        self._started = 0.0
        self._again_at = 0.0
        self._back_off = _FIRST_BACK_OFF
        self._longest_back_off = longest_back_off
        self._unended = b""

    @property
    def pid(self) -> int | None:
        """Of the running process; None between two."""
        return self._process.pid if self._process else None

    @property
    def descriptor(self) -> int | None:
        """Where its lines come from; None when nothing runs."""
        return self._output

    def start(self) -> None:
        """Start it; it ends with us, however we end. Call it from the main thread of a process with no other."""
        self._output, writer = os.pipe()
        os.set_blocking(self._output, False)
        self._process = _context.Process(name=self.kind, target=self._run, args=(writer, os.getpid()))
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # the child must not take them for its parent
        try:
            self._process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
            os.close(writer)
        self._started = time.monotonic()

    def _run(self, writer: int, parent: int) -> None:
        """The child's life."""
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        os.setsid()  # Ctrl-C reaches our parent alone: the order of stopping is its
        die_with_parent(signal.SIGTERM, parent)
        set_name(f"ops-{self.kind}")
        self._let_go()
        for standard in (1, 2):
            os.dup2(writer, standard)
        os.close(writer)
        try:
            self._body()
        except CommandError as error:
            print(error, file=sys.stderr)
            sys.exit(1)

    def close_output(self) -> None:
        """Let go of the reading end."""
        if self._output is not None:
            os.close(self._output)
            self._output = None

    def due_again(self) -> bool:
        """Whether nothing runs and it is time to start it again."""
        return self._process is None and time.monotonic() >= self._again_at

    def ended(self) -> int | None:
        """The exit code if it has ended; the next start waits longer each time."""
        if self._process is None or (code := self._process.exitcode) is None:
            return None
        if time.monotonic() - self._started > _LIVED_LONG:
            self._back_off = _FIRST_BACK_OFF
        self._again_at = time.monotonic() + self._back_off
        self._back_off = min(self._longest_back_off, self._back_off * 2)
        return code

    def forget(self) -> None:
        """Let go of a process that has ended."""
        self.close_output()
        self._process = None

    def ask_to_stop(self) -> None:
        """Send SIGTERM, if it runs."""
        if self._process is not None:
            self._process.terminate()

    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process is not None and self._process.is_alive()

    def lines(self) -> list[str]:
        """Whole lines written since the last call; after its end also an unfinished one."""
        if self._output is None:
            return []
        while True:
            try:
                piece = os.read(self._output, _MOST_UNENDED)
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

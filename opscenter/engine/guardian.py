"""A guardian beside each worker child: when the child dies, however it dies, the guardian kills the process group that
the child was running, so that a run never outlives its lease and no two attempts of one instance overlap."""

import contextlib
import os
import signal
import struct

from opscenter.base.procs import outlive_parent

_MESSAGE = struct.Struct("=q")


class Guardian:
    """Forked once per worker child, on first use. It holds the read end of a pipe whose only writer is the child: end of
    file means that the child is gone."""

    def __init__(self) -> None:
        self._owner: int | None = None
        self._pid = self._pipe = -1

    def watch(self, group: int) -> None:
        """From now on this process group dies with us; 0: none. A guardian that was killed is replaced."""
        if self._owner != os.getpid():
            self._begin()
        try:
            self._tell(group)
        except BrokenPipeError:
            os.close(self._pipe)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self._pid, 0)
            self._begin()
            self._tell(group)

    def _tell(self, group: int) -> None:
        os.write(self._pipe, _MESSAGE.pack(group))

    def _begin(self) -> None:
        self._pid, self._pipe = _fork()
        self._owner = os.getpid()


def _fork() -> tuple[int, int]:
    """The guardian's process id, and our end of the pipe."""
    reader, writer = os.pipe()
    os.set_inheritable(writer, False)
    pid = os.fork()
    if pid == 0:
        _guard(reader, writer)
    os.close(reader)
    return pid, writer


def _guard(reader: int, writer: int) -> None:
    """The guardian's whole life; leaves by os._exit so that nothing inherited is run or flushed twice."""
    try:
        os.close(writer)
        os.setsid()  # not killed together with the child's group
        outlive_parent()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, signal.SIG_IGN)
        _close_others(reader)
        group = 0
        while message := os.read(reader, _MESSAGE.size):
            (group,) = _MESSAGE.unpack(message)
        if group:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
    finally:
        os._exit(0)


def _close_others(keep: int) -> None:
    """Drop every inherited descriptor: a held database socket or pipe would look like a living child."""
    os.closerange(0, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX") if os.sysconf("SC_OPEN_MAX") < 65536 else 65536)

"""What all nodes that run a program share: an empty folder, a clean environment, a process group of its own, the log."""

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from opscenter.base import blobs
from opscenter.engine.attempts import Outcome
from opscenter.engine.gate import Gate
from opscenter.engine.guardian import Guardian
from opscenter.engine.runners import folders
from opscenter.engine.runners.base import Run
from opscenter.production.models import Attempt

SHELL = "/bin/bash"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SCRIPT = ".opscenter-node"
"""Name of the node's code in its folder."""

_READ = 65536
_PIPE = 1024 * 1024  # as large as a pipe gets by default limits
_guardian = Guardian()


@contextlib.contextmanager
def folder_of(job: Run) -> Iterator[Path]:
    """A folder for one run, with the resources that the code names; gone afterwards."""
    folder = folders.make()
    try:
        for name, sha256 in job.files.items():
            (folder / name).write_bytes(blobs.get(sha256))
        yield folder
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Mostly there is nothing but our script in it."""
    try:
        os.unlink(folder / SCRIPT)  # noqa: PTH108  ten times as fast as a walk, and this is every run's cost
        os.rmdir(folder)  # noqa: PTH106
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def execute(
    job: Run, folder: Path, command: Sequence[str], gate: Gate, *, told: bytes = b"\n", grace: float = 0.0
) -> Outcome:
    """Run a command that waits at the gate; exit code 0 is success. Output and errors go to the log in the order they come.

    Args:
        told: what it reads at the gate; a line for bash.
        grace: seconds that it has to end by itself after a SIGTERM; by default it is killed at once.
    """
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=_environment(job, folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        process_group=0,
        pass_fds=[gate.descriptor],
    )
    try:
        gate.passed()
        _guardian.watch(process.pid)
        job.stop.guard(process.pid, grace=grace)
        gate.open(told)
        timed_out = _pump(process, job)
        return _outcome(process.wait(), timed_out, job)
    finally:
        job.stop.finish()  # whatever the program left behind in its group
        _guardian.watch(0)


def _environment(job: Run, folder: Path) -> dict[str, str]:
    """Nothing of the worker's own environment: no secret reaches a child that way."""
    return {
        "PATH": PATH,
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
        "TZ": job.time_zone,
        "SHELL": SHELL,
        "USER": "opscenter",
        "PYTHONUNBUFFERED": "1",
    }


def _pump(process: "subprocess.Popen[bytes]", job: Run) -> bool:
    """Move output to the log until the program has ended; True when it ran into its timeout.

    What the program left running in the background may hold the pipe open: the program's own end counts.
    """
    assert process.stdout is not None
    fd = process.stdout.fileno()
    os.set_blocking(fd, False)
    ended = os.pidfd_open(process.pid)
    poll = select.poll()
    poll.register(fd, select.POLLIN | select.POLLHUP)
    poll.register(ended, select.POLLIN)
    deadline = time.monotonic() + job.timeout if job.timeout else None
    timed_out = False
    try:
        while True:
            wait = 300.0 if deadline is None else min(300.0, max(0.0, deadline - time.monotonic()) * 1000 + 1)
            ready = dict(poll.poll(wait))
            if fd in ready and not _read(fd, job):
                poll.unregister(fd)
            if ended in ready:
                _drain(fd, job)
                return timed_out
            job.log.flush_if_old()
            job.stop.look()
            if deadline is not None and not timed_out and time.monotonic() >= deadline:
                timed_out = True
                deadline = None
                job.stop.kill()
    finally:
        os.close(ended)
        process.stdout.close()


def _drain(fd: int, job: Run) -> None:
    """What is in the pipe; no more than a pipe holds, since something in the background may write for ever."""
    for _ in range(_PIPE // _READ):
        if not _read(fd, job):
            return


def _read(fd: int, job: Run) -> bool:
    """Take one piece of output; False when there is none now, or no more will come."""
    try:
        output = os.read(fd, _READ)
    except BlockingIOError:
        return False
    if output:
        job.log.write(output)
    return bool(output)


def _outcome(code: int, timed_out: bool, job: Run) -> Outcome:
    if code == 0:  # ended by itself, whoever wanted to stop it at the same moment
        return Outcome(Attempt.State.SUCCESS, 0)
    if timed_out:
        reason = {"code": "attempt.timeout", "params": {"seconds": job.timeout}}
        return Outcome(Attempt.State.FAILURE, code, reason, rerun=False)
    if job.stop.pulled:
        return Outcome(Attempt.State.FAILURE, code, {"code": "attempt.stopped", "params": {}}, rerun=False)
    if code < 0:
        reason = {"code": "attempt.signal", "params": {"signal": _signal_name(-code)}}
        return Outcome(Attempt.State.FAILURE, code, reason)
    return Outcome(Attempt.State.FAILURE, code, {"code": "attempt.exit_code", "params": {"exit_code": code}})


def _signal_name(number: int) -> str:
    """Real-time signals have a number only."""
    return signal.Signals(number).name if number in set(signal.Signals) else str(number)

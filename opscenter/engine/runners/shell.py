"""The shell node: bash on the script, in an empty folder, with a clean environment and a process group of its own."""

import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from opscenter.base import blobs
from opscenter.engine.attempts import Outcome
from opscenter.engine.guardian import Guardian
from opscenter.engine.runners import folders
from opscenter.engine.runners.base import Run
from opscenter.production.models import Attempt

SHELL = "/bin/bash"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_READ = 65536
_PIPE = 1024 * 1024  # as large as a pipe gets by default limits
_SCRIPT = ".opscenter-node.sh"
_guardian = Guardian()


def run(job: Run) -> Outcome:
    """Run the script; exit code 0 is success. Output and errors go to the log in the order they come."""
    folder = folders.make()
    try:
        for name, sha256 in job.files.items():
            (folder / name).write_bytes(blobs.get(sha256))
        code, timed_out = _execute(job, folder)
    finally:
        _remove(folder)
    return _outcome(code, timed_out, job)


def _remove(folder: Path) -> None:
    """Mostly there is nothing but our script in it."""
    try:
        os.unlink(folder / _SCRIPT)  # noqa: PTH108  ten times as fast as a walk, and this is every run's cost
        os.rmdir(folder)  # noqa: PTH106
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)


def _execute(job: Run, folder: Path) -> tuple[int, bool]:
    """Exit code, and whether it ran into its timeout.

    The shell waits at a gate until the guardian knows its process group: a child killed in between leaves a shell that
    ends without having run a line of the node. The gate stands before the script on its first line, so that the line
    numbers in bash's messages stay those of the node.
    """
    closed, opened = os.pipe()
    gate = f"read -r _ <&{closed} || exit 125; exec {closed}<&-; "
    script = folder / _SCRIPT
    content = job.content.replace("\r\n", "\n")  # to bash a carriage return is part of the command
    script.write_text(gate + content, encoding="utf-8")
    try:
        process = subprocess.Popen(
            [SHELL, str(script), *job.positional],
            cwd=folder,
            env=_environment(job, folder),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            process_group=0,
            pass_fds=[closed],
        )
        try:
            os.close(closed)
            _guardian.watch(process.pid)
            job.stop.guard(process.pid)
            os.write(opened, b"\n")
            timed_out = _pump(process, job)
            return process.wait(), timed_out
        finally:
            job.stop.kill()  # whatever the script left behind in its group
            job.stop.release()
            _guardian.watch(0)
    finally:
        os.close(opened)


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
    """Move output to the log until the script has ended; True when it ran into its timeout.

    What the script left running in the background may hold the pipe open: the script's own end counts.
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

"""Processes of the operating system: children that die with their parent, and whole trees that end."""

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterable

import psutil

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent(number: signal.Signals = signal.SIGTERM, parent: int | None = None) -> None:
    """From now on the kernel sends this process ``number`` when the thread that started it ends, however it ends.

    Args:
        parent: who the parent should be; if it is gone already, this process ends here.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def forks_die_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """From now on ``die_with_parent`` holds for all that this process forks, and for what that forks."""
    parent = 0

    def before() -> None:
        nonlocal parent
        parent = os.getpid()

    os.register_at_fork(before=before, after_in_child=lambda: die_with_parent(number, parent))


def outlive_parent() -> None:
    """Undo ``die_with_parent``."""
    if _libc.prctl(_PR_SET_PDEATHSIG, 0, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def set_name(name: str) -> None:
    """What the system's process list calls this process: up to 15 bytes."""
    if _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def adopt_orphans() -> None:
    """Descendants whose parent dies become our children (not init's), so that they can still be found and ended."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")


def descendants(root: int | None = None, without: Iterable[int] = ()) -> list[psutil.Process]:
    """All processes below ``root`` (default: this one), except those below or at ``without``."""
    try:
        below = psutil.Process(root).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
    spared = set(without)
    for pid in without:
        with contextlib.suppress(psutil.NoSuchProcess):
            spared.update(child.pid for child in psutil.Process(pid).children(recursive=True))
    return [process for process in below if process.pid not in spared]


def kill_tree(root: int | None = None, without: Iterable[int] = ()) -> None:
    """SIGKILL everything below ``root`` and what it starts meanwhile; ``root`` too unless it is this process."""
    without = tuple(without)
    for _ in range(5):  # a process may fork between the look and the blow
        victims = [process for process in descendants(root, without) if is_running(process)]
        if root is not None and root != os.getpid():
            with contextlib.suppress(psutil.NoSuchProcess):
                victims.append(psutil.Process(root))
        if not victims:
            return
        for process in victims:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                process.kill()
        psutil.wait_procs(victims, timeout=0.2)


def is_running(process: psutil.Process) -> bool:
    """Whether it still does something: a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def wait_gone(processes: Iterable[psutil.Process], seconds: float) -> list[psutil.Process]:
    """Wait until none of them runs; returns those that still do after ``seconds``."""
    give_up = time.monotonic() + seconds
    left = [process for process in processes if is_running(process)]
    while left and time.monotonic() < give_up:
        time.sleep(0.05)
        left = [process for process in left if is_running(process)]
    return left


def reap_adopted(own: Iterable[int]) -> None:
    """Collect adopted children that have ended; not ``own``, whose exit codes somebody waits for."""
    kept = set(own)
    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process().children():
            if child.pid not in kept and not is_running(child):
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(child.pid, os.WNOHANG)

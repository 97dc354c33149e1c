"""Processes that end with their parent, and trees that end as a whole."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import psutil

from opscenter.base import procs

STUBBORN = "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); os.setsid(); time.sleep(60)"


def in_child(body: Callable[[int], None]) -> tuple[int, int]:
    """Run ``body`` in a forked child with the writing end of a pipe; its pid and the reading end."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            body(writer)
        os._exit(0)
    os.close(writer)
    return pid, reader


def tell(writer: int, *pids: int) -> None:
    os.write(writer, b" ".join(b"%d" % pid for pid in pids) + b"\n")


def told(reader: int) -> list[psutil.Process]:
    return [psutil.Process(int(pid)) for pid in os.read(reader, 100).split()]


def test_a_child_ends_with_a_parent_that_is_killed() -> None:
    def parent(writer: int) -> None:
        me = os.getpid()
        child = os.fork()
        if child == 0:
            procs.die_with_parent(signal.SIGKILL, me)
            tell(writer, os.getpid())
        time.sleep(60)

    pid, reader = in_child(parent)
    (child,) = told(reader)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert procs.wait_gone([child], 5) == []
    os.close(reader)


def test_a_child_whose_parent_is_gone_already_ends_at_once() -> None:
    pid, reader = in_child(lambda writer: procs.die_with_parent(signal.SIGTERM, parent=1_000_000))
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 1
    os.close(reader)


def test_a_fork_that_comes_to_life_after_its_parent_does_nothing() -> None:
    """A parent that is killed just after it forked has no time to be noticed."""

    def parent(writer: int) -> None:
        me = os.getpid()

        def sleep_late() -> None:
            while os.getppid() == me:
                time.sleep(0.01)

        os.register_at_fork(after_in_child=sleep_late)
        procs.forks_die_with_parent()
        if os.fork() == 0:
            tell(writer, os.getpid())
        os.kill(me, signal.SIGKILL)

    pid, reader = in_child(parent)
    os.waitpid(pid, 0)
    assert os.read(reader, 100) == b"", "it went on as if it had a parent"
    os.close(reader)


def test_a_tree_ends_although_parts_of_it_ran_away_or_do_not_listen() -> None:
    """A grandchild in a session of its own, deaf to SIGTERM, whose parent is dead: adopted, found and killed."""

    def root(writer: int) -> None:
        procs.adopt_orphans()
        middle = subprocess.Popen(
            [
                sys.executable,
                "-c",
                f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]).pid)",
            ],
            stdout=subprocess.PIPE,
        )
        assert middle.stdout is not None
        orphan = int(middle.stdout.readline())
        middle.wait()
        time.sleep(0.3)  # until it is deaf
        assert os.getpid() == psutil.Process(orphan).ppid()
        tell(writer, orphan)
        procs.kill_tree()
        procs.reap_adopted([])
        tell(writer, os.getpid())
        time.sleep(60)

    pid, reader = in_child(root)
    (orphan,) = told(reader)
    (survivor,) = told(reader)
    assert procs.wait_gone([orphan], 5) == []
    assert survivor.pid == pid
    assert procs.is_running(survivor)
    assert survivor.children() == []
    procs.kill_tree(pid)  # collects what is ours, too
    os.close(reader)


def test_what_is_spared_lives_with_all_below_it() -> None:
    def root(writer: int) -> None:
        spared, other = (subprocess.Popen(["sh", "-c", "sleep 60 & wait"]).pid for _ in range(2))
        time.sleep(0.3)
        tell(writer, spared, other)
        procs.kill_tree(without=[spared])
        tell(writer, os.getpid())
        time.sleep(60)

    pid, reader = in_child(root)
    spared, other = told(reader)
    below = spared.children()
    assert len(below) == 1
    told(reader)
    assert procs.wait_gone([other], 5) == []
    assert all(procs.is_running(process) for process in (spared, *below))
    procs.kill_tree(pid)  # collects what is ours, too
    assert procs.wait_gone([spared, *below], 5) == []
    os.close(reader)

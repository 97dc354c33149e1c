"""The web server when its first process is killed: what serves for it lets the port go, so that a successor can listen."""

import http.client
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from opscenter.base.procs import wait_gone
from opscenter.processes.web import FINISH_WITHIN
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.processes
BACK_WITHIN = 15.0
"""Seconds; most of them are the pause before a part is started again that has just died more than once."""

FIRST = """
import os, signal, sys, time
import django
django.setup()
from opscenter.processes import web

signal.signal(signal.SIGTERM, lambda *_: None)  # as the server's first process does, which notes the wish
load = web.loader()
if os.fork() == 0:
    load()
    if sys.argv[1] == "with a request that hangs":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    "state, seconds", [("while it starts", 2), ("with a request that hangs", FINISH_WITHIN + 2)], ids=str
)
def test_what_serves_ends_with_the_first_process(tmp_path: Path, state: str, seconds: float) -> None:
    """The database is away all the time."""
    env = {"PATH": os.environ["PATH"], "OPSCENTER_DATA": str(tmp_path), "DJANGO_SETTINGS_MODULE": "opscenter.settings"}
    env |= {"DATABASE_URL": "postgres://opscenter@127.0.0.1:1/opscenter"}
    with subprocess.Popen(
        [sys.executable, "-c", FIRST, state], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as first:
        assert first.stdout is not None
        serving = psutil.Process(int(first.stdout.readline()))
        try:
            first.kill()
            assert wait_gone([serving], seconds) == []
        finally:
            if serving.is_running():
                serving.kill()


def test_web_answers_again_after_kills_while_the_database_is_dead() -> None:
    """Killed together with it, and again as soon as its successor begins to serve."""
    with Stack(demo=False) as stack:
        for victim in (*stack.pids("postgres"), *stack.pids("web")):
            os.kill(victim, signal.SIGKILL)
        old = serving(stack)
        os.kill(stack.pids("web")[0], signal.SIGKILL)
        killed = time.monotonic()
        while not is_alive(stack):
            assert time.monotonic() - killed < BACK_WITHIN, stack.log()[-3000:]
            time.sleep(0.05)
        assert wait_gone(old, FINISH_WITHIN + 1) == []
        assert "Cannot listen" not in stack.log()
        stack.wait_ready(30)


def serving(stack: Stack) -> list[psutil.Process]:
    """What serves for the web server, once there is something."""
    give_up = time.monotonic() + BACK_WITHIN
    while True:
        for pid in stack.pids("web"):
            if found := psutil.Process(pid).children():
                return found
        assert time.monotonic() < give_up, stack.log()[-3000:]


def is_alive(stack: Stack) -> bool:
    try:
        return stack.get("/healthz")[0] == 200
    except (OSError, http.client.HTTPException):
        return False

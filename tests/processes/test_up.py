"""The whole product as real processes: started, hurt, stopped."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing

import psutil
import pytest

from opscenter.base.procs import is_running, wait_gone
from tests.stack import ROOT, STOP_WITHIN, Stack, free_port

pytestmark = pytest.mark.processes
KINDS = ("web", "scheduler", "worker", "courier")


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with Stack(demo=False) as running:
        yield running


def eventually(check: Callable[[], bool], seconds: float = 15.0) -> None:
    give_up = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < give_up, "still not so"
        time.sleep(0.1)


def test_everything_runs_once_and_the_address_is_told(stack: Stack) -> None:
    assert [len(stack.pids(kind)) for kind in (*KINDS, "postgres")] == [1, 1, 1, 1, 1]
    eventually(lambda: f"Opscenter is ready: {stack.url}/" in stack.log())
    status, body = stack.get("/readyz")
    assert status == 200
    assert {name: part["status"] for name, part in body["parts"].items()} == dict.fromkeys(
        ("database", "scheduler", "worker", "courier"), "ok"
    )


def test_the_files_that_hold_keys_are_ours_alone(stack: Stack) -> None:
    for name in ("secret_key", "encryption_keys"):
        assert (stack.data / name).stat().st_mode & 0o777 == 0o600


def test_static_files_are_served_from_the_first_start_on(stack: Stack) -> None:
    collected = json.loads((stack.data / "static" / "staticfiles.json").read_text())["paths"]
    assert collected
    with closing(http.client.HTTPConnection("127.0.0.1", stack.port, timeout=10)) as asked:
        for hashed in collected.values():
            asked.request("GET", f"/static/{hashed}")
            answer = asked.getresponse()
            assert (answer.status, len(answer.read()) > 0) == (200, True), hashed
            assert "immutable" in (answer.headers["Cache-Control"] or "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_part_is_started_again(stack: Stack, kind: str) -> None:
    (before,) = stack.pids(kind)
    os.kill(before, signal.SIGKILL)
    eventually(lambda: stack.pids(kind) not in ([], [before]))
    stack.wait_ready(30)


def test_a_killed_database_is_back_within_seconds(stack: Stack) -> None:
    (before,) = stack.pids("postgres")
    os.kill(before, signal.SIGKILL)
    eventually(lambda: stack.pids("postgres") not in ([], [before]), 5)
    stack.wait_ready(20)
    assert all(len(stack.pids(kind)) == 1 for kind in KINDS)


def test_a_second_start_with_the_same_data_says_so(stack: Stack) -> None:
    second = _up(stack.env | {"OPSCENTER_PORT": str(free_port())})
    assert second.returncode == 1
    assert "Opscenter already runs with this data folder" in second.stderr
    assert "Traceback" not in second.stderr


def test_a_port_in_use_is_one_clear_sentence(stack: Stack) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = _up(stack.env | {"OPSCENTER_PORT": str(port)})
    assert refused.returncode == 1
    assert f"Cannot listen on port {port} of 127.0.0.1: Address already in use" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_ctrl_c_leaves_no_process_and_the_next_start_is_quick() -> None:
    with Stack(demo=False) as stack:
        tree = stack.tree()
        code, seconds = stack.stop(signal.SIGINT)
        assert code == 0
        assert seconds < STOP_WITHIN
        assert [process for process in tree if is_running(process)] == []
        began = time.monotonic()
        stack.start()
        assert time.monotonic() - began < 20  # half of it at most when nothing else runs on the machine
        assert "Traceback" not in stack.log()


def test_a_killed_up_leaves_no_process() -> None:
    with Stack(demo=False) as stack:
        tree = stack.tree()
        assert len(tree) > 10
        os.kill(stack.up.pid, signal.SIGKILL)
        assert wait_gone(tree, STOP_WITHIN) == []
        stack.stop(signal.SIGTERM)
        stack.start()  # whatever it left in the files stands in nobody's way


def test_a_stopped_child_that_does_not_react_is_killed() -> None:
    """Without a time of grace, so that a slow machine has it for its own slowness."""
    with Stack({"OPSCENTER_STOP_GRACE": "0"}, demo=False) as stack:
        tree = stack.tree()
        psutil.Process(stack.pids("courier")[0]).suspend()
        _, seconds = stack.stop(signal.SIGTERM)
        assert seconds < STOP_WITHIN
        assert [process for process in tree if is_running(process)] == []


def _up(env: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, str(ROOT / "manage.py"), "up"],
        env=env, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

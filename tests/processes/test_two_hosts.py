"""Two worker hosts on one database over TCP; one of them is cut off in the middle of its work, and comes back."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from opscenter.base.procs import is_running, kill_tree
from tests.processes.lab import Lab
from tests.processes.proxy import Proxy
from tests.processes.test_crashes import Work
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.processes


@pytest.fixture
def stack():
    with Stack(demo=False) as started:
        yield started


@pytest.fixture
def lab(stack):
    with Lab(stack.env) as opened:
        yield opened


@pytest.fixture
def hosts(stack, tmp_path):
    """Two workers of two children each, each behind a network of its own; the stack's own worker is gone."""
    record = json.loads((stack.data / "postgres.json").read_text())
    target = next(path for path in Path(record["socket"]).glob(".s.PGSQL.*") if path.is_socket())
    made = [Host(stack, Proxy(target), tmp_path / name) for name in ("one", "other")]
    stack.up.suspend()  # it would start its worker again
    os.kill(stack.pids("worker")[0], signal.SIGKILL)
    yield made
    for host in made:
        host.close()
    stack.up.resume()


class Host:
    """A worker with a data folder of its own that reaches the database through its proxy alone."""

    def __init__(self, stack: Stack, proxy: Proxy, data: Path) -> None:
        self.proxy, self.log = proxy, data.with_suffix(".log")
        url = f"postgres://opscenter@127.0.0.1:{proxy.port}/opscenter"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "manage.py"), "worker", "--processes", "2"],
                env={**stack.env, "OPSCENTER_DATA": str(data), "DATABASE_URL": url}, cwd=ROOT, stdout=log, stderr=log,
            )  # fmt: skip

    def running(self, pids: list[int]) -> list[int]:
        """Those of these children that are ours."""
        return [pid for pid in pids if pid in self.pids()]

    def pids(self) -> set[int]:
        return {child.pid for child in psutil.Process(self.process.pid).children(recursive=True)}

    def runs_shells(self) -> bool:
        """Whether a shell does anything; one that was killed and waits to be reaped does not."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return any(child.name() == "bash" and is_running(child) for child in below)

    def close(self) -> None:
        self.proxy.close()
        kill_tree(self.process.pid)
        self.process.wait(5)


@pytest.mark.timeout(240)
def test_a_host_that_is_cut_off_ends_its_work_before_another_starts_it_again(stack, lab, hosts, tmp_path):
    tmp_path.chmod(0o777)
    one, other = hosts
    give_up = time.monotonic() + 30
    while lab.ask("live_workers") < 3:  # the killed one's row stays for a while
        assert time.monotonic() < give_up
        time.sleep(0.1)
    work = Work(stack, lab, tmp_path / "beats")
    work.start(6, 1200, says=True)  # a minute each, if nothing ends them
    while len(one.running(found := lab.ask("running", *work.span))) < 2 or len(other.running(found)) < 2:
        assert time.monotonic() < give_up, found
        time.sleep(0.1)
    one.proxy.cut()
    cut = time.monotonic()
    while one.runs_shells():
        assert time.monotonic() - cut < 30, "it outlives its lease"
        time.sleep(0.1)
    ended = time.time()
    while lab.ask("attempts", *work.span).get("lost", 0) < 2:
        assert time.monotonic() - cut < 60
        time.sleep(0.2)
    assert lab.ask("lost_at", *work.span) > ended, "it was ended before its lease was over"
    one.proxy.mend()
    give_up = time.monotonic() + 20
    while not one.running(lab.ask("running", *work.span)):  # it works again
        assert time.monotonic() < give_up, one.log.read_text()[-3000:]
        time.sleep(0.2)
    assert lab.ask("attempts", *work.span)["lost"] == 2, "its late answers changed nothing"
    work.assert_runs_apart()

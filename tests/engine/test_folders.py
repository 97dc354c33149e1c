"""Folders of runs: removed by the run, or swept when the child that made them was killed."""

import multiprocessing
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import pytest

from opscenter.engine.runners import folders
from opscenter.processes import worker


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path


def _make_and_wait(made: "multiprocessing.Queue[str]") -> None:
    folder = folders.make()
    (folder / "sub").mkdir()
    (folder / "sub" / "output").write_text("x")
    made.put(str(folder))
    time.sleep(60)


def _child() -> tuple[BaseProcess, Path]:
    """A process that works in a folder of its own."""
    context = multiprocessing.get_context("fork")
    made: multiprocessing.Queue[str] = context.Queue()
    child = context.Process(target=_make_and_wait, args=(made,))
    child.start()
    return child, Path(made.get(timeout=20))


def test_a_folder_lasts_as_long_as_its_process() -> None:
    child, folder = _child()
    folders.sweep()
    assert (folder / "sub" / "output").exists()
    child.kill()
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:  # nobody has waited for the killed child yet
        folders.sweep()
        time.sleep(0.02)
    assert not folder.exists()
    child.join()


def test_a_number_that_came_again_is_another_process(place: Path) -> None:
    mine = folders.make()
    pid, began = re.findall("[0-9]+", mine.name)[:2]
    assert int(pid) == os.getpid()
    before = place / mine.name.replace(f"-{began}-", f"-{int(began) - 1}-")
    before.mkdir()
    folders.sweep()
    assert (mine.exists(), before.exists()) == (True, False)


def test_what_is_of_another_host_or_none_of_ours_stays(place: Path) -> None:
    gone = folders.make()
    pid = re.findall("[0-9]+", gone.name)[0]
    names = [gone.name.replace(folders._HOST, "other-host"), "opscenter-run-notes", f"opscenter-tests-{pid}"]
    for name in names:
        (place / name.replace(f"-{pid}-", "-999999999-")).mkdir()
    shutil.rmtree(gone)
    before = set(place.iterdir())
    folders.sweep()
    assert set(place.iterdir()) == before


def test_the_worker_sweeps_at_its_start_and_once_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    swept: list[float] = []
    clock = SimpleNamespace(now=0.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(worker.folders, "sweep", lambda: swept.append(clock.now))
    monkeypatch.setattr(worker, "time", clock)
    supervisor = worker.Supervisor.__new__(worker.Supervisor)
    supervisor._swept = -worker.SWEEP_EVERY
    for moment in (0.0, 1.0, 59.0, 60.0, 61.0, 121.0):
        clock.now = moment
        supervisor._sweep()
    assert swept == [0.0, 60.0, 121.0]

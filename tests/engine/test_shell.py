"""The shell runner: what a script gets, what is kept of what it says, and how it ends."""

import os
import threading
import time
from pathlib import Path

import psutil
import pytest
from django.db import connection

from opscenter.base import blobs
from opscenter.base.procs import is_running
from opscenter.engine import joblog
from opscenter.production.models import Attempt, LogChunk, Resource, ResourceVersion
from opscenter.production.rules.states import State
from opscenter.production.selectors import log_text
from tests.engine.graphs import Scene
from tests.engine.runs import code_of, execute, output, shell

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return Scene()


def gone(pid: int, seconds: float = 2.0) -> bool:
    """Whether the process is dead, or is so within the time."""
    give_up = time.monotonic() + seconds
    while psutil.pid_exists(pid) and is_running(psutil.Process(pid)):
        if time.monotonic() > give_up:
            return False
        time.sleep(0.02)
    return True


# how it ends

ENDS = [
    ("true", 0, None),
    ("", 0, None),
    ("exit 3", 3, {"code": "attempt.exit_code", "params": {"exit_code": 3}}),
    ("exit 255", 255, {"code": "attempt.exit_code", "params": {"exit_code": 255}}),
    ("no-such-program", 127, {"code": "attempt.exit_code", "params": {"exit_code": 127}}),
    ("true\nif then", 2, {"code": "attempt.exit_code", "params": {"exit_code": 2}}),
    ("false\ntrue", 0, None),
    ("set -e\nfalse\ntrue", 1, {"code": "attempt.exit_code", "params": {"exit_code": 1}}),
    ("kill -KILL $$", -9, {"code": "attempt.signal", "params": {"signal": "SIGKILL"}}),
    ("kill -SEGV $$", -11, {"code": "attempt.signal", "params": {"signal": "SIGSEGV"}}),
    ("kill -TERM 0; sleep 9", -15, {"code": "attempt.signal", "params": {"signal": "SIGTERM"}}),
    ("kill -40 $$", -40, {"code": "attempt.signal", "params": {"signal": "40"}}),
]


@pytest.mark.parametrize(("script", "code", "reason"), ENDS, ids=[end[0] for end in ENDS])
def test_the_exit_code_decides(scene: Scene, script: str, code: int, reason: dict[str, object] | None) -> None:
    instance = shell(scene, script)
    attempt = execute(instance)
    assert (attempt.exit_code, attempt.reason) == (code, reason)
    ended = (Attempt.State.SUCCESS, State.SUCCESS) if code == 0 else (Attempt.State.FAILURE, State.FAILURE)
    assert (attempt.state, instance.state) == ended
    assert instance.reason == reason
    assert attempt.started_at is not None and attempt.finished_at is not None
    assert attempt.started_at <= attempt.finished_at


def test_a_timeout_kills_the_whole_group_and_is_not_rerun(scene: Scene) -> None:
    instance = shell(scene, "sleep 300 & echo $!\nsleep 300 | sleep 300", timeout=1, rerun_times=3)
    began = time.monotonic()
    attempt = execute(instance)
    assert 1 <= time.monotonic() - began < 3
    assert attempt.reason == {"code": "attempt.timeout", "params": {"seconds": 1}}
    assert (instance.state, instance.due_at, instance.reruns_left) == (State.FAILURE, None, 3)
    assert gone(int(log_text(attempt)))


def test_what_it_leaves_in_the_background_is_killed_and_does_not_hold_up_the_end(scene: Scene) -> None:
    began = time.monotonic()
    pid = int(output(scene, "sleep 300 & echo $!"))
    assert time.monotonic() - began < 2
    assert gone(pid)


@pytest.mark.parametrize("start", ["", "setsid "], ids=["in the group", "in a session of its own"])
def test_endless_output_of_the_background_ends_with_the_script(scene: Scene, start: str) -> None:
    began = time.monotonic()
    execute(shell(scene, f"{start}yes & sleep 0.1"))
    assert time.monotonic() - began < 5


def test_it_runs_in_a_process_group_of_its_own(scene: Scene) -> None:
    pid, group = output(scene, "read -a stat < /proc/$$/stat; echo ${stat[0]} ${stat[4]}").split()
    assert pid == group
    assert int(group) != os.getpgrp()


# what it says


def test_output_and_errors_are_kept_in_their_order(scene: Scene) -> None:
    assert output(scene, "echo a; echo b >&2; echo c; ls /no-such >&2 || echo d >&2; printf e").splitlines() == [
        "a",
        "b",
        "c",
        "ls: cannot access '/no-such': No such file or directory",
        "d",
        "e",
    ]


def test_bytes_that_are_no_text_are_shown_not_lost(scene: Scene) -> None:
    assert output(scene, r"printf 'a\xff\xfeb\0c\xc3'; printf '\xa9\n'") == "a��b␀cé\n"


def test_what_is_over_the_cap_is_counted_and_the_end_still_told(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(joblog, "CAP", 100)
    text = output(scene, "for n in {1..50}; do echo é23456789; done")
    kept, note = text[:100], text[100:]
    assert kept == "é23456789\n" * 10
    assert note == "\n[opscenter] Output is capped at 100 characters; 400 more were not kept.\n"


def test_much_output_is_kept_whole(scene: Scene) -> None:
    text = output(scene, "seq 100000")
    assert text == "".join(f"{n}\n" for n in range(1, 100_001))
    sequence = list(LogChunk.objects.order_by("seq").values_list("seq", flat=True))
    assert sequence == list(range(len(sequence))) and len(sequence) > 1


def test_messages_of_bash_name_the_lines_of_the_node(scene: Scene) -> None:
    assert "line 3: no-such-program: command not found" in output(scene, "\n\nno-such-program || true")


@pytest.mark.django_db(transaction=True)
def test_the_log_can_be_read_while_it_runs(scene: Scene, tmp_path: Path) -> None:
    """The script goes on only when its first line was seen in the database."""
    go = tmp_path / "go"
    instance = shell(scene, f"echo first\nuntil [ -e {go} ]; do sleep 0.02; done\necho last", timeout=20)

    def watch() -> None:
        give_up = time.monotonic() + 15
        while not LogChunk.objects.filter(text="first\n").exists() and time.monotonic() < give_up:
            time.sleep(0.02)
        if LogChunk.objects.filter(attempt__state=Attempt.State.RUNNING).exists():
            go.touch()
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    attempt = execute(instance)
    watcher.join()
    assert attempt.reason is None
    assert log_text(attempt) == "first\nlast\n"


# what it gets


def test_its_environment_is_the_documented_one_and_nothing_else(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPSCENTER_SECRET_KEY", "DATABASE_URL", "ALIBABA_CLOUD_ACCESS_KEY_SECRET", "PYTHONPATH", "BASH_ENV"):
        monkeypatch.setenv(name, "not-for-children")
    monkeypatch.setenv("TZ", "America/New_York")
    found = dict(line.split("=", 1) for line in output(scene, "env").splitlines())
    by_bash = {"PWD", "SHLVL", "_"}
    assert found.keys() - by_bash == {
        "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "SHELL", "USER", "PYTHONUNBUFFERED"
    }  # fmt: skip
    assert found["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    assert found["HOME"] == found["TMPDIR"] == found["PWD"]
    assert (found["LANG"], found["TZ"], found["USER"]) == ("C.UTF-8", "UTC", "opscenter")
    assert "not-for-children" not in found.values()


def test_it_inherits_no_open_file(scene: Scene) -> None:
    assert set(output(scene, "ls /proc/$$/fd").split()) == {"0", "1", "2", "255"}  # 255: bash's own script


@pytest.mark.parametrize(("zone", "name"), [("Asia/Shanghai", "CST +0800"), ("Asia/Kathmandu", "+0545 +0545")])
def test_its_clock_shows_the_tenants_zone(scene: Scene, zone: str, name: str) -> None:
    scene.tenant.time_zone = zone
    scene.tenant.save()
    assert output(scene, "date '+%Z %z'").strip() == name


def test_it_has_no_input(scene: Scene) -> None:
    assert output(scene, "cat; read -r line || echo nothing") == "nothing\n"


def test_its_folder_is_empty_private_and_gone_afterwards(scene: Scene) -> None:
    text = output(scene, "ls; pwd; stat -c %a .; mkdir -p deep/er; touch deep/er/file; chmod 500 deep")
    folder, rights = text.split()
    assert rights == "700"
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo one\r\nif true; then\r\n  echo two\r\nfi\r\n", "one\ntwo\n"),
        ("cat <<END\r\ntext\r\nEND\r\necho after\r\n", "text\nafter\n"),
        ("printf 'a\\r\\n'", "a\r\n"),
    ],
)
def test_windows_line_ends_are_read_as_line_ends(scene: Scene, script: str, said: str) -> None:
    assert output(scene, script) == said


def test_a_script_may_be_long_and_in_any_language(scene: Scene) -> None:
    filler = "# " + "x" * 997 + "\n"
    assert output(scene, "#!/bin/bash\n" + filler * 300 + "echo 数据 ñ 🎉") == "数据 ñ 🎉\n"


PARAMETERS = [
    ("echo $bizdate", "", "20261120"),
    ("echo $cyctime", "", "20261121000000"),
    ("echo ${yyyymmdd-1}", "", "20261119"),
    ("echo $[yyyymmddhh24miss]", "", "20261121000000"),
    ("echo $[yyyymmddhh24-1/24]", "", "2026112023"),
    ("echo ${day} ${hour}", "day=${yyyymmdd} hour='$[hh24mi]'", "20261120 0000"),
    ("echo ${month}", "month=${yyyymm}01", "20261101"),
    ("echo $1/$2/$#", "1=$bizdate 2=two", "20261120/two/2"),
    ("echo $# $1", "2=two", "0"),
    ("echo \\$bizdate '\\${yyyymmdd}'", "", "$bizdate \\${yyyymmdd}"),
    ("own=mine; echo ${own} $HOME_NOT_SET.", "", "mine ."),
]


@pytest.mark.parametrize(("script", "assignments", "said"), PARAMETERS, ids=[row[0] for row in PARAMETERS])
def test_scheduling_parameters_have_the_values_of_the_instance(
    scene: Scene, script: str, assignments: str, said: str
) -> None:
    assert output(scene, script, parameters=assignments).strip() == said


def test_parameters_follow_the_tenants_zone_and_are_kept_with_the_attempt(scene: Scene) -> None:
    scene.tenant.time_zone = "Asia/Shanghai"
    scene.tenant.save()
    instance = shell(scene, "echo ${at} ${me} ${node}", parameters="at=$[yyyymmddhh24] me=$taskid node=$nodeid")
    attempt = execute(instance)
    assert log_text(attempt) == f"2026112108 {instance.pk} {instance.task.number}\n"
    assert attempt.parameters == {"at": "2026112108", "me": str(instance.pk), "node": str(instance.task.number)}


def test_a_parameter_without_a_value_fails_before_anything_runs(scene: Scene) -> None:
    instance = shell(scene, "echo ran", parameters="x=$nonsense", rerun_times=2)
    attempt = execute(instance)
    assert (attempt.state, code_of(attempt)) == (Attempt.State.FAILURE, "attempt.parameters")
    assert "$nonsense" in log_text(attempt) and "ran" not in log_text(attempt).split()
    assert instance.due_at is None


def upload(scene: Scene, name: str, *contents: bytes) -> Resource:
    resource = Resource.objects.create(workspace=scene.workspace, name=name)
    for number, content in enumerate(contents, 1):
        ResourceVersion.objects.create(
            resource=resource, number=number, blob=blobs.put(content), uploaded_by=scene.user
        )
    return resource


def test_resources_that_it_names_lie_in_its_folder(scene: Scene) -> None:
    upload(scene, "lib.sh", b"echo old", b"echo from $1")
    upload(scene, "data ü.bin", bytes(range(256)))
    upload(scene, "unnamed", b"")
    script = '##@resource_reference{"lib.sh"}\n##@resource_reference{"data ü.bin"}\nls\n. ./lib.sh lib\nwc -c < data*'
    attempt = execute(shell(scene, script))
    assert log_text(attempt).split("\n") == ["data ü.bin", "lib.sh", "from lib", "256", ""]
    assert attempt.resources == {"lib.sh": 2, "data ü.bin": 1}


def test_a_missing_resource_fails_with_its_name_before_anything_runs(scene: Scene) -> None:
    upload(scene, "gone.csv", b"x")
    Resource.objects.update(deleted_at="2026-01-01T00:00Z")
    elsewhere = Scene("elsewhere")
    upload(elsewhere, "theirs.csv", b"x")
    script = '##@resource_reference{"gone.csv"}\n##@resource_reference{"theirs.csv"}\necho ran'
    attempt = execute(shell(scene, script))
    assert attempt.reason == {
        "code": "attempt.resource_missing",
        "params": {"names": ["gone.csv", "theirs.csv"]},
    }
    assert log_text(attempt) == "[opscenter] Missing resources: gone.csv, theirs.csv\n"

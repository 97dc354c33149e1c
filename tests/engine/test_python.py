"""The python runner: which interpreter, what a script gets, how it ends. What it shares with the shell is in test_shell."""

import sys
import textwrap
import time
from pathlib import Path

import pytest
from django.conf import settings

from opscenter.base import blobs
from opscenter.production.models import Attempt, Resource, ResourceVersion, TaskInstance
from opscenter.production.rules.states import State
from opscenter.production.selectors import log_text
from tests.engine.graphs import Scene
from tests.engine.runs import execute, ready

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return Scene()


def python(scene: Scene, content: str, **version: object) -> TaskInstance:
    return ready(scene, "python", content, **version)


def output(scene: Scene, content: str, **version: object) -> str:
    """What a script that succeeds prints."""
    attempt = execute(python(scene, content, **version))
    assert attempt.state == Attempt.State.SUCCESS, (attempt.reason, log_text(attempt))
    return log_text(attempt)


ENDS = [
    ("", 0, None),
    ("x = 1", 0, None),
    ("import sys; sys.exit(3)", 3, {"code": "attempt.exit_code", "params": {"exit_code": 3}}),
    ("exit(0)", 0, None),
    ("quit('no')", 1, {"code": "attempt.exit_code", "params": {"exit_code": 1}}),
    ("raise ValueError('bad')", 1, {"code": "attempt.exit_code", "params": {"exit_code": 1}}),
    ("if:", 1, {"code": "attempt.exit_code", "params": {"exit_code": 1}}),
    ("import os; os.kill(os.getpid(), 9)", -9, {"code": "attempt.signal", "params": {"signal": "SIGKILL"}}),
]


@pytest.mark.parametrize(("script", "code", "reason"), ENDS, ids=[end[0] for end in ENDS])
def test_the_exit_code_decides(scene: Scene, script: str, code: int, reason: dict[str, object] | None) -> None:
    instance = python(scene, script)
    attempt = execute(instance)
    assert (attempt.exit_code, attempt.reason) == (code, reason), log_text(attempt)
    assert instance.state == (State.SUCCESS if code == 0 else State.FAILURE)


def test_a_traceback_begins_with_the_script_and_has_its_lines(scene: Scene) -> None:
    text = log_text(execute(python(scene, "def fail():\n    raise ValueError('bad')\n\nfail()\n")))
    assert "python_start" not in text
    first, place, *_rest, last = text.splitlines()
    assert first == "Traceback (most recent call last):"
    assert ", line 4, in <module>" in place
    assert last == "ValueError: bad"


def test_an_error_of_syntax_names_its_line(scene: Scene) -> None:
    text = log_text(execute(python(scene, "x = 1\nif x\n    pass\n")))
    assert "line 2" in text and "SyntaxError" in text and "python_start" not in text


def test_a_timeout_kills_the_whole_group(scene: Scene) -> None:
    script = "import subprocess, time\nsubprocess.Popen(['sleep', '300'])\ntime.sleep(300)"
    began = time.monotonic()
    attempt = execute(python(scene, script, timeout=1))
    assert 1 <= time.monotonic() - began < 5
    assert attempt.reason == {"code": "attempt.timeout", "params": {"seconds": 1}}


ARGUMENTS = [
    ("", "[]", "{}"),
    ("bizdate=$bizdate", "['bizdate=20261120']", "{'bizdate': '20261120'}"),
    ("day=${yyyymmdd} at='$[hh24mi]'", "['day=20261120', 'at=0000']", "{'day': '20261120', 'at': '0000'}"),
    ("who='a b' 1=$bizdate 2=two", "['20261120', 'two', 'who=a b']", "{'1': '20261120', '2': 'two', 'who': 'a b'}"),
    ("x='a=b c=d'", "['x=a=b c=d']", "{'x': 'a=b c=d'}"),
    ("2=two", "['2=two']", "{'2': 'two'}"),
    ("x='`id` \\n'", "['x=`id` \\\\n']", "{'x': '`id` \\\\n'}"),
]


@pytest.mark.parametrize(("assignments", "argv", "args"), ARGUMENTS, ids=[row[0] or "none" for row in ARGUMENTS])
def test_scheduling_parameters_are_its_arguments(scene: Scene, assignments: str, argv: str, args: str) -> None:
    text = output(scene, "import sys\nprint(sys.argv[1:])\nprint(args)", parameters=assignments)
    assert text.splitlines() == [argv, args]


def test_parameters_are_put_into_the_code_too(scene: Scene) -> None:
    assert output(scene, "print('${day} ${yyyymmdd-1} $bizdate')", parameters="day=${yyyymmdd}") == (
        "20261120 20261119 20261120\n"
    )


def test_it_has_the_standard_library_and_no_package_of_ours(scene: Scene) -> None:
    script = """
        import importlib.util, json, sqlite3, sys
        for name in ("django", "psycopg", "opscenter", "requests", "pip"):
            assert importlib.util.find_spec(name) is None, name
        assert not [path for path in sys.path if "site-packages" in path or "opscenter/engine" in path], sys.path
        print(sys.version_info[:2])
    """
    assert output(scene, textwrap.dedent(script)).strip() == str(sys.version_info[:2])


def test_its_names_are_those_of_a_script(scene: Scene) -> None:
    script = """
from __future__ import annotations
'''not a docstring any more'''
names = sorted(name for name in globals())
print(names)
import __main__
assert __main__.names is names and __name__ == "__main__"
assert __file__ == __import__("sys").argv[0]
"""
    assert output(scene, script).strip() == str(
        ["__builtins__", "__file__", "__name__", "__spec__", "annotations", "args"]
    )


def test_it_gets_the_clean_environment_of_a_shell(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPSCENTER_SECRET_KEY", "DATABASE_URL", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"):
        monkeypatch.setenv(name, "not-for-children")
    text = output(scene, "import os\nfor name, value in os.environ.items(): print(name, value)")
    assert "not-for-children" not in text
    assert {line.split()[0] for line in text.splitlines()} - {"PWD", "SHLVL", "_", "OLDPWD"} == {
        "PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "TZ", "SHELL", "USER", "PYTHONUNBUFFERED"
    }  # fmt: skip


def test_it_inherits_no_open_file(scene: Scene) -> None:
    assert output(scene, "import os\nprint(sorted(os.listdir('/proc/self/fd'))[:-1])").strip() == "['0', '1', '2']"


def test_modules_among_its_resources_can_be_imported(scene: Scene) -> None:
    resource = Resource.objects.create(workspace=scene.workspace, name="helpers.py")
    ResourceVersion.objects.create(
        resource=resource, number=1, blob=blobs.put(b"def hello():\n    return 'hello'\n"), uploaded_by=scene.user
    )
    script = (
        '##@resource_reference{"helpers.py"}\nimport helpers\nprint(helpers.hello(), open("helpers.py").readline())'
    )
    assert output(scene, script).startswith("hello def hello():")


def test_a_script_may_be_in_any_language_and_with_any_line_ends(scene: Scene) -> None:
    assert output(scene, "\ufeff# -*- coding: gbk -*-\r\nif True:\r\n    print('数据 ñ 🎉')\r\n") == "数据 ñ 🎉\n"


def test_a_configured_interpreter_is_used_as_it_is(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "NODE_PYTHON", sys.executable)
    assert output(scene, "import sys, psycopg\nprint(sys.executable)").strip() == sys.executable


def test_a_configured_interpreter_that_is_not_there_is_told(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = str(tmp_path / "python9")
    monkeypatch.setattr(settings, "NODE_PYTHON", path)
    attempt = execute(python(scene, "print(1)"))
    assert attempt.reason == {"code": "attempt.no_python", "params": {"path": path}}
    assert path in log_text(attempt)

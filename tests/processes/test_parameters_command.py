"""manage.py parameters: as text with the place of an error, and as JSON."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.cast import Cast

pytestmark = pytest.mark.django_db


def run(*args, **options):
    out = StringIO()
    wrong = None
    try:
        call_command("parameters", *args, stdout=out, **options)
    except CommandError as error:
        wrong = str(error)
    return out.getvalue(), wrong


def test_expressions_as_text():
    said, wrong = run("${yyyymmdd-1}", "a=$bizdate b=$[hh24]", "--date", "2025-10-31", "--at", "02:30:45")
    assert wrong is None
    assert said.splitlines() == [
        "Business date 2025-10-31, scheduled 2025-11-01 02:30:45",
        "${yyyymmdd-1}  ->  20251030",
        "a=$bizdate  ->  20251031",
        "b=$[hh24]  ->  02",
    ]


def test_an_error_points_at_its_place_and_says_what_is_allowed():
    said, wrong = run("x=$bizdate y=$[foo]", "--date", "2025-10-31")
    line, pointer = said.splitlines()[-2:]
    at = line.index("$[foo]")
    assert pointer.startswith(" " * at + "^^^^^^ ") and "is no date" in pointer
    assert wrong == "Not every expression has a value."


def test_a_task_as_json():
    cast = Cast()
    task = cast.task(cron="00 15 03 * * ?", version={"parameters": "dt=$cyctime bad=$nothing"})
    said, wrong = run("$nodeid", "--task", str(task.number), "--date", "2025-10-31", "--json")
    found = json.loads(said)
    assert wrong is not None
    assert (found["bizdate"], found["scheduled"]) == ("2025-10-31", "2025-11-01 03:15:00")
    assert found["expressions"] == [{"line": 1, "name": "", "expression": "$nodeid", "value": str(task.number)}]
    assert found["task"][0] == {
        "name": "dt",
        "expression": "$cyctime",
        "value": "20251101031500",
        "level": "node",
        "hides": [],
    }
    assert found["task"][1]["error"]["code"] == "parameters.unknown_name"
    assert found["built_ins"]["$gmtdate"] == "20251101"


@pytest.mark.parametrize(
    "args",
    [(), ("x", "--date", "31.10.2025"), ("x", "--at", "noon"), ("--task", "5"), ("x", "--date", "9999-12-31")],
)
def test_what_cannot_be_is_refused(args):
    _said, wrong = run(*args)
    assert wrong

"""Every complaint about a cron or about scheduling parameters is a sentence that names what is wrong."""

import ast
import inspect
import re
from datetime import date, datetime
from types import ModuleType

import pytest
from django.utils import translation

from opscenter.base.reasons import Invalid
from opscenter.production.rules import cron, parameters
from opscenter.production.schedule_sentences import SHOWN
from workflows.flowspec import BadDocument, read

CONTEXT = parameters.Context(date(2026, 11, 20), datetime(2026, 11, 21), date(2026, 11, 21), 1, 2, 3)
CRONS = {
    "0 0": ("cron.fields", ["0 0", "has 2"]),
    "0 0 x * * ?": ("cron.syntax", ["“X”", "“hour”"]),
    "0 0 0 LW * ?": ("cron.unsupported", ["“LW”", "“day of the month”"]),
    "0 60 0 * * ?": ("cron.out_of_range", ["“60”", "“minute”", "from 0 to 59"]),
    "0 0 0 ? * FRI-MON": ("cron.range_wraps", ["“FRI-MON”", "“day of the week”"]),
    "0 0/60 0 * * ?": ("cron.step", ["“0/60”", "“minute”", "from 1 to 59"]),
    "0 0 0 1 * MON": ("cron.both_days", ["“1 MON”"]),
    "*/5 0 0 * * ?": ("cron.too_often", ["“*/5”", "“second”"]),
    "0 0 0 30 2 ?": ("cron.never", ["0 0 0 30 2 ?"]),
    "0 0 0 * 13 ?": ("cron.out_of_range", ["“month”", "from 1 to 12"]),
    "0 0 0 * * ? 1066": ("cron.out_of_range", ["“year”", "from 1970 to 2199"]),
}
ASSIGNMENTS = {
    "a-b=1": ("parameters.name", ["“a-b=1”", "character 1"]),
    "x=1 y": ("parameters.no_value", ["“y”", "character 5"]),
    "x=1 x=2": ("parameters.duplicate", ["“x”", "character 5"]),
    "x='open": ("parameters.quote", ["'open", "character 3"]),
    "x=a=b": ("parameters.equals_sign", ["“x”", "“a=b”", "character 4"]),
    "x=$nothing": ("parameters.unknown_name", ["“$nothing”", "$bizdate, ", "$gmtdate"]),
    "x=${yyyy": ("parameters.unclosed", ["“${yyyy”"]),
    "x=${week}": ("parameters.format", ["“${week}”"]),
    "x=${yyyymmdd-9999999}": ("parameters.out_of_range", ["“${yyyymmdd-9999999}”"]),
}


def _complaint_about_cron(text: str) -> Invalid:
    with pytest.raises(cron.CronError) as caught:
        cron.parse(text)
    return caught.value


def _complaint_about_parameters(text: str) -> Invalid:
    with pytest.raises(parameters.ParameterError) as caught:
        parameters.resolve(parameters.parse_assignments(text), CONTEXT)
    return caught.value


COMPLAINTS = [(_complaint_about_cron, text, *told) for text, told in CRONS.items()] + [
    (_complaint_about_parameters, text, *told) for text, told in ASSIGNMENTS.items()
]


@pytest.mark.parametrize(("provoke", "text", "code", "parts"), COMPLAINTS, ids=[one[1] for one in COMPLAINTS])
def test_a_complaint_says_what_is_wrong_and_what_to_write(provoke, text, code, parts) -> None:
    error = provoke(text)
    assert error.reason.code == code
    told = str(error)
    assert all(part in told for part in parts), told
    assert not re.search(r"(cron|parameters)\.[a-z_]+|%\(", told), told
    with translation.override("zh-hans"):
        assert re.search("[一-鿿]", str(error)), str(error)


def _codes(rules: ModuleType) -> set[str]:
    """The codes that a module's source has, its docstring left out."""
    named = re.compile(rf"{rules.__name__.rpartition('.')[2]}\.[a-z_]+")
    tree = ast.parse(inspect.getsource(rules))
    texts = (one.value for one in ast.walk(tree) if isinstance(one, ast.Constant) and isinstance(one.value, str))
    return {text for text in texts if named.fullmatch(text)}


@pytest.mark.parametrize(("rules", "examples"), [(cron, CRONS), (parameters, ASSIGNMENTS)], ids=["cron", "parameters"])
def test_every_code_of_the_source_has_an_example_here(
    rules: ModuleType, examples: dict[str, tuple[str, list[str]]]
) -> None:
    assert _codes(rules) == {code for code, _ in examples.values()}


def test_a_long_text_is_cut() -> None:
    told = str(_complaint_about_parameters("x='" + "very long " * 100))
    assert "very long very" in told
    assert len(told) < 2 * SHOWN + 120


def test_a_document_is_refused_with_the_sentence() -> None:
    node = """{"version": "1.1.0", "kind": "CycleWorkflow", "spec": {"nodes": [{"id": "1", "name": "n",
        "script": {"runtime": {"command": "DIDE_SHELL"}, "content": "", "parameters": "x=a=b"},
        "trigger": {"type": "Scheduler", "cron": "0 0 0 1 * MON"}}]}}"""
    with pytest.raises(BadDocument) as caught:
        read(node)
    told = " ".join(str(problem) for problem in caught.value.problems)
    assert "“1 MON” limits both the day of the month and the day of the week" in told
    assert "The value “a=b” of the parameter “x” has an equals sign" in told

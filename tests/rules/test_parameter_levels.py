"""Levels of scheduling parameters: the narrower wins, what it hides is told, and what nobody asked for stays away."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.production.rules.levels import Effective, Level, Sources, effective, from_json, resolve
from opscenter.production.rules.parameters import ParameterError
from tests.rules.test_parameters import A

ALL = Sources(
    shared=[(False, "x", "global"), (True, "x", "workspace")],
    workflow="x=workflow",
    node="x=node",
    overrides={"workflow": {"x": "run"}, "tasks": {"7": {"x": "run of 7"}}},
    task=7,
)


def of(sources, name="x"):
    return next((one for one in effective(sources) if one.name == name), None)


NARROWER = [
    (ALL, Level.RUN_TASK, "run of 7"),
    (replace(ALL, task=8), Level.RUN_WORKFLOW, "run"),
    (replace(ALL, run_wins=True), Level.RUN_WORKFLOW, "run"),
    (replace(ALL, overrides={}), Level.NODE, "node"),
    (replace(ALL, overrides=None, node="", code="${x}"), Level.WORKFLOW, "workflow"),
    (replace(ALL, overrides=None, node="", workflow="", code="${x}"), Level.WORKSPACE, "workspace"),
    (Sources(shared=[(False, "x", "global")], code="${x}"), Level.GLOBAL, "global"),
]


@pytest.mark.parametrize(("sources", "level", "expression"), NARROWER)
def test_the_narrower_level_wins(sources, level, expression):
    found = of(sources)
    assert (found.level, found.expression) == (level, expression)
    strengths = [list(Level).index(one) for one, _expression in found.hides]
    if not sources.run_wins:
        assert strengths == sorted(strengths, reverse=True)
        assert all(strength < list(Level).index(level) for strength in strengths)


def test_what_is_hidden_is_told_the_nearest_first():
    assert of(ALL).hides == (
        (Level.RUN_WORKFLOW, "run"),
        (Level.NODE, "node"),
        (Level.WORKFLOW, "workflow"),
        (Level.WORKSPACE, "workspace"),
        (Level.GLOBAL, "global"),
    )


@pytest.mark.parametrize(
    ("code", "is_used"),
    [
        ("echo ${x}", True),
        ("print(args['x'])", True),
        ('{"url": "https://h/${x}"}', True),
        ("echo ${xy} x1 _x", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("shared", [[(False, "x", "$nothing")], [(True, "x", "$nothing")]])
def test_what_many_share_goes_to_the_code_that_names_it(shared, code, is_used):
    sources = Sources(shared=shared, node="own=1", code=code)
    assert (of(sources) is not None) == is_used
    if not is_used:
        assert resolve(sources, A).values == {"own": "1"}, "it cannot fail a run that does not use it"


def test_a_tasks_own_parameters_come_first_and_as_written():
    sources = replace(ALL, node="b=1 a=2 1=first", overrides={"tasks": {"7": {"c": "3", "a": "9"}}}, code="x")
    assert [one.name for one in effective(sources)] == ["b", "a", "1", "c", "x"]
    assert resolve(sources, A).values == {"b": "1", "a": "9", "1": "first", "c": "3", "x": "workflow"}


def test_expressions_of_every_level_are_evaluated():
    sources = Sources(
        shared=[(False, "g", "$bizdate"), (True, "w", "$[hh24]")],
        workflow="f=${yyyymm-1}",
        node="n=$nodeid",
        overrides={"tasks": {"7": {"t": "$[yyyymmdd-1]"}}},
        task=7,
        code="g w f",
    )
    found = resolve(sources, A)
    assert found.values == {"n": "700000001", "t": "20251031", "f": "202509", "w": "02", "g": "20251031"}
    assert found.sources["f"] == {"level": "workflow", "expression": "${yyyymm-1}"}


BAD_OVERRIDES = [
    ({"nodes": {}}, ""),
    ({"workflow": []}, "workflow"),
    ({"workflow": {"a": 1}}, "workflow"),
    ({"tasks": {"x": {}}}, "tasks.x"),
    ({"tasks": {"7": "a=1"}}, "tasks.7"),
    ({"tasks": []}, "tasks"),
]


@pytest.mark.parametrize(("given_", "path"), BAD_OVERRIDES)
def test_overrides_of_another_shape_are_refused_with_their_place(given_, path):
    with pytest.raises(ParameterError) as caught:
        effective(replace(ALL, overrides=given_))
    assert (caught.value.reason.code, caught.value.reason.params["path"]) == ("parameters.overrides", path)


NAMES = st.sampled_from(["a", "b", "c"])
TEXTS = st.dictionaries(NAMES, st.sampled_from(["1", "2", "$bizdate"]))


def _text(found):
    return " ".join(f"{name}={value}" for name, value in found.items())


@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_each_name_has_the_value_of_the_narrowest_level_that_gives_it(tenant, workspace, workflow, node, run, task):
    sources = Sources(
        shared=[*((False, *one) for one in tenant.items()), *((True, *one) for one in workspace.items())],
        workflow=_text(workflow),
        node=_text(node),
        overrides={"workflow": run, "tasks": {"7": task}},
        task=7,
        code="a b c",
    )
    expected = tenant | workspace | workflow | node | run | task
    found = effective(sources)
    assert {one.name: one.expression for one in found} == expected
    for one in found:
        assert from_json(one.name, resolve(sources, A).sources[one.name]) == one
        assert isinstance(one, Effective)

"""The FlowSpec reader: what others wrote is read or refused; nothing crashes it."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opscenter.production.rules.parameters import parse_assignments
from workflows import flowspec
from workflows.definitions import Dependency, NodeDefinition
from workflows.flowspec import BadDocument

SAMPLES = Path(__file__).parent.parent / "flowspec"

TABLE: dict[str, tuple[str | None, dict[str, str], dict[str, int]]] = {
    # document: (workflow, node types by source id, warnings by code)
    "assign": (None, {"param_1": "UNKNOWN"}, {"type_missing": 1, "no_schedule": 1, "context_parameters": 1}),
    "branch": (
        None,
        {"branch": "CONTROLLER_BRANCH", "branch_1": "UNKNOWN", "branch_2": "UNKNOWN"},
        {"type_missing": 2, "type_not_run": 1, "no_schedule": 3},
    ),
    "dide_shell": (None, {"c6a3bbe198fd4031bbe71ad3e66ceb91": "shell"}, {"context_parameters": 2}),
    "dowhile": ("flow240514_01", {"8745734768222459575": "CONTROLLER_CYCLE"}, {"type_not_run": 1}),
    "example": (None, {"node_1": "ODPS_SQL", "node_2": "PY_ODPS"}, {"type_not_run": 2}),
    "http_workflow": ("HTTP_Workflow", {"7429810016123250001": "http_trigger", "5951821373034080001": "shell"}, {}),
    "join": (
        None,
        {f"join_branch_{n}": "UNKNOWN" for n in range(1, 5)} | {"join_1": "CONTROLLER_JOIN"},
        {"type_missing": 4, "type_not_run": 1, "no_schedule": 5},
    ),
    "param_hub": (None, {"param_1": "PARAM_HUB"}, {"type_not_run": 1, "no_schedule": 1}),
    "parameter_node": (None, {"param_1": "UNKNOWN"}, {"type_missing": 1, "no_schedule": 1, "context_parameters": 2}),
    "real-case-single-python-spec": (
        None,
        {"8153491408712090431": "PYODPS3"},
        {"workflow_unnamed": 1, "type_not_run": 1},
    ),
    "real_case": (
        None,
        {
            "sls_full_access_log": "DI",
            "dw_open_api_invoke_log_details_analyse": "ODPS_SQL",
            "dw_open_api_invoke_log_details_business": "ODPS_SQL",
        },
        {"type_not_run": 3},
    ),
    "shell-node-spec": ("单shell节点", {"14076072320609": "shell"}, {"priority": 1}),
    "simple": (
        None,
        {"start": "UNKNOWN", "datax": "DI", "sql": "UNKNOWN"},
        {"type_missing": 2, "type_not_run": 1, "no_schedule": 3},
    ),
    "single-sql-node-spec": (
        "单SQL流程",
        {
            "13821670806241": "ODPS_SQL",
            "13821670806241-pre-0": "ODPS_SQL",
            "13821670806241-post-0": "ODPS_SQL",
        },
        {"type_not_run": 3, "delay": 3, "priority": 3},
    ),
}
REFUSED = {"table": "no_nodes", "function": "no_nodes", "file_resource": "no_nodes"}


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.json").read_text(encoding="utf-8")


def document(*nodes: dict[str, Any], **spec: Any) -> str:
    """A flat document of these nodes."""
    return json.dumps({"version": "1.1.0", "kind": "CycleWorkflow", "spec": {"nodes": list(nodes), **spec}})


def shell(key: str = "a", **fields: Any) -> dict[str, Any]:
    """A shell node that nothing can be said against."""
    script = {"content": "true", "runtime": {"command": "DIDE_SHELL"}}
    return {
        "id": key,
        "name": key,
        "script": script,
        "trigger": {"type": "Scheduler", "cron": "00 30 00 * * ?"},
    } | fields


def only(text: str) -> NodeDefinition:
    (node,) = flowspec.read(text).nodes
    return node


def refusal(text: str) -> list[tuple[str, str]]:
    with pytest.raises(BadDocument) as caught:
        flowspec.read(text)
    assert all(str(problem) for problem in caught.value.problems)
    return [(problem.path, problem.code.removeprefix("flowspec.")) for problem in caught.value.problems]


def warnings(text: str) -> list[tuple[str, str]]:
    return [(problem.path, problem.code.removeprefix("flowspec.")) for problem in flowspec.read(text).warnings]


def test_the_table_has_every_sample() -> None:
    assert {path.stem for path in SAMPLES.glob("*.json")} == TABLE.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", TABLE)
def test_samples_are_read(name: str) -> None:
    workflow, types, codes = TABLE[name]
    read = flowspec.read(sample(name))
    assert (read.workflow.name if read.workflow else None) == workflow
    assert {node.source_id: node.type for node in read.nodes} == types
    assert Counter(problem.code.removeprefix("flowspec.") for problem in read.warnings) == codes
    assert all(str(problem).startswith(problem.path) and problem.code not in str(problem) for problem in read.warnings)


@pytest.mark.parametrize("name", REFUSED)
def test_samples_without_nodes_are_refused(name: str) -> None:
    assert refusal(sample(name)) == [("spec", REFUSED[name])]


def test_a_reference_to_a_node_outside_becomes_a_dependency_on_its_output() -> None:
    *_, last = flowspec.read(sample("real_case")).nodes
    assert last.dependencies == (
        Dependency(node="dw_open_api_invoke_log_details_analyse"),
        Dependency(output="dataworks_analyze.8674738_out"),
    )
    assert last.name == "cn_shanghai_api_access_detail"
    assert parse_assignments(last.parameters) == {"bizdate": "$bizdate", "ds": "$[yyyymmddhh24mi-30/24/60]"}


def test_a_shell_node_of_a_workflow_is_read_whole() -> None:
    read = flowspec.read(sample("http_workflow"))
    gate, node = read.nodes
    assert gate.type == "http_trigger" and gate.dependencies == () and gate.content == ""
    assert node == NodeDefinition(
        source_id="5951821373034080001",
        name="shell_1",
        type="shell",
        content='echo "DataWorks";',
        cron="00 30 00 * * ?",
        instance_mode="Immediately",
        rerun_times=3,
        rerun_interval=180,
        resource_group="S_res_group_default",
        outputs=("5951821373034080001",),
        dependencies=(Dependency(output="7429810016123250001"),),
    )
    assert read.resource_groups == {"S_res_group_default": "spec.workflows[0].nodes[1].runtimeResource.resourceGroup"}
    assert read.time_zones == {"Asia/Shanghai": "spec.workflows[0].trigger.timezone"}


def test_seven_fields_and_effective_period() -> None:
    (node,) = flowspec.read(sample("shell-node-spec")).nodes
    assert (node.cron, node.start, node.end) == ("00 00 04 * * ?", "2024-06-26 00:00:00", "2124-06-26 00:00:00")


def test_a_node_without_trigger_takes_the_workflows() -> None:
    bare = shell()
    del bare["trigger"]
    workflow = {"id": "w", "name": "W", "trigger": {"type": "Scheduler", "cron": "0 5 1 * * ?"}, "nodes": [bare]}
    workflow["strategy"] = {"priority": 7, "timeout": 2, "timeoutUnit": "HOURS", "rerunMode": "Denied"}
    node = only(json.dumps({"version": "1.2.0", "kind": "CycleWorkflow", "spec": {"workflows": [workflow]}}))
    assert (node.cron, node.priority, node.timeout, node.rerun_mode) == ("00 05 01 * * ?", 7, 7200, "AllDenied")


def test_the_first_nodes_of_a_workflow_wait_for_what_the_workflow_waits_for() -> None:
    workflow = {
        "id": "w",
        "name": "W",
        "nodes": [shell("a"), shell("b")],
        "inputs": {"nodeOutputs": [{"data": "elsewhere"}]},
        "dependencies": [{"nodeId": "b", "depends": [{"nodeId": "a"}]}],
    }
    spec = {"workflows": [workflow], "flow": [{"nodeId": "w", "depends": [{"output": "other"}]}]}
    first, second = flowspec.read(json.dumps({"version": "1.2.0", "kind": "CycleWorkflow", "spec": spec})).nodes
    assert {item.output for item in first.dependencies} == {"elsewhere", "other"}
    assert second.dependencies == (Dependency(node="a"),)


def test_version_1_0_0_has_its_sections_at_the_top() -> None:
    node = shell(script="{{file1}}", outputs={"outputs": ["{{artifacts.out}}", "plain"]})
    text = json.dumps(
        {
            "version": "1.0.0",
            "kind": "CycleWorkflow",
            "nodes": [node],
            "scripts": [{"id": "file1", "code": "date", "language": "sh"}],
            "artifacts": [{"id": "out", "data": "ws.out"}],
        }
    )
    read = only(text)
    assert (read.type, read.content, read.outputs) == ("shell", "date", ("ws.out", "plain"))


@pytest.mark.parametrize("reference", ["{{scripts.x.sh}}", "{{x.sh}}", "{{ x.sh }}", "x.sh"])
def test_references_are_read_in_every_spelling(reference: str) -> None:
    scripts = [{"id": "x.sh", "content": "date", "runtime": {"command": "dide_shell"}}]
    assert only(document(shell(script=reference), scripts=scripts)).content == "date"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("Allowed", "AllAllowed"),
        ("ALL_ALLOWED", "AllAllowed"),
        ("FailureAllowed", "FailureAllowed"),
        ("FAILURE_ALLOWED", "FailureAllowed"),
        ("Denied", "AllDenied"),
        (None, "AllAllowed"),
    ],
)
def test_rerun_modes(written: str | None, read: str) -> None:
    assert only(document(shell(rerunMode=written))).rerun_mode == read


def test_reruns_are_kept_within_their_limits() -> None:
    text = document(shell(rerunTimes="12", rerunInterval=7_200_000))
    assert (only(text).rerun_times, only(text).rerun_interval) == (10, 1800)
    assert warnings(text) == [
        ("spec.nodes[0].rerunTimes", "rerun_times"),
        ("spec.nodes[0].rerunInterval", "rerun_interval"),
    ]


@pytest.mark.parametrize(
    ("fields", "read"),
    [
        ({}, (0, "All")),
        ({"maxParallelInstances": 3, "misfirePolicy": "Latest"}, (3, "Latest")),
        ({"maxParallelInstances": "10000", "misfirePolicy": "NONE"}, (10_000, "None")),
        ({"maxParallelInstances": 0, "misfirePolicy": "all"}, (0, "All")),
    ],
)
def test_parallel_runs_and_misfires(fields: dict[str, Any], read: tuple[int, str]) -> None:
    node = only(document(shell(**fields)))
    assert (node.max_parallel, node.misfire_policy) == read


def test_the_most_parallel_instances_are_ten_thousand() -> None:
    text = document(shell(maxParallelInstances=10_001))
    assert only(text).max_parallel == 10_000
    assert warnings(text) == [("spec.nodes[0].maxParallelInstances", "max_parallel")]


def test_parameters_come_as_text_that_the_engine_reads_back() -> None:
    values = {"a": "$[yyyymmdd hh24:mi:ss]", "b": "x=1", "c": 'say "hi"', "d": "it's", "e": "", "f": "$bizdate"}
    listed = [{"name": name, "type": "System", "value": value} for name, value in values.items()]
    node = only(document(shell(script={"runtime": {"command": "DIDE_SHELL"}, "parameters": listed})))
    assert parse_assignments(node.parameters) == values


def test_parameters_without_names_are_positional() -> None:
    listed = [{"name": "-", "type": "NoKvVariableExpression", "value": "$bizdate $cyctime"}]
    node = only(document(shell(script={"runtime": {"command": "DIDE_SHELL"}, "parameters": listed})))
    assert parse_assignments(node.parameters) == {"1": "$bizdate", "2": "$cyctime"}


def test_a_parameter_from_another_node_is_left_out_and_told() -> None:
    listed = [{"name": "x", "type": "NodeOutput", "value": "${outputs}"}]
    text = document(shell(script={"runtime": {"command": "DIDE_SHELL"}, "parameters": listed}))
    assert only(text).parameters == ""
    assert warnings(text) == [("spec.nodes[0].script.parameters[0]", "parameter_type")]


def test_the_settings_of_a_branch_are_kept() -> None:
    branch, *_ = flowspec.read(sample("branch")).nodes
    assert [item["when"] for item in branch.settings["branch"]["branches"]] == ["a == 1", "a == 2"]
    assert branch.outputs == ("autotest.branch_1",)


def test_inputs_and_flow_that_say_the_same_are_one_dependency() -> None:
    pre, node = shell("pre", outputs={"nodeOutputs": [{"data": "pre-out"}]}), shell("node")
    node["inputs"] = {"nodeOutputs": [{"data": "pre-out"}]}
    flow = [{"nodeId": "node", "depends": [{"nodeId": "{{nodes.pre}}", "type": "normal"}]}]
    read = flowspec.read(document(pre, node, flow=flow))
    assert read.nodes[1].dependencies == (Dependency(output="pre-out"),)


def test_nodes_that_wait_for_each_other_are_told() -> None:
    flow = [{"nodeId": "a", "depends": [{"nodeId": "b"}]}, {"nodeId": "b", "depends": [{"nodeId": "a"}]}]
    read = flowspec.read(document(shell("a"), shell("b"), flow=flow))
    (cycle,) = read.warnings
    assert cycle.code == "flowspec.cycle" and set(cycle.params["nodes"]) == {"a", "b"}


def test_other_kinds_are_told() -> None:
    text = json.dumps({"version": "1.1.0", "kind": "TriggerWorkflow", "spec": {"nodes": [shell()]}})
    assert warnings(text) == [("kind", "kind_not_run")]


NODE = "spec.nodes[0]"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [("", "empty")]),
        ('{"spec": ', [("", "json")]),
        ("[" * 5000 + "]" * 5000, [("", "too_deep")]),
        ("9" * 5000, [("", "number")]),
        ("[]", [("", "shape")]),
        ("null", [("", "no_nodes")]),
        ('{"spec": 1e999}', [("spec", "number")]),
        ('{"spec": {"name": "a\\u0000"}}', [("spec.name", "nul")]),
        ('{"spec": {"a b": "\\ud800"}}', [('spec["a b"]', "surrogate")]),
        ('{"kind": "Table", "spec": {"nodes": []}}', [("kind", "kind")]),
        ('{"spec": []}', [("spec", "shape")]),
        ('{"spec": {"nodes": {}}}', [("spec.nodes", "shape")]),
        ('{"spec": {"nodes": ["a"]}}', [("spec.nodes[0]", "shape")]),
        ('{"spec": {"workflows": [{}, {}]}}', [("spec.workflows[1]", "many_workflows")]),
        (document({"script": {}}), [(NODE, "no_id")]),
        (document(shell(), shell()), [("spec.nodes[1]", "id_twice")]),
        (document(shell(id="x" * 129)), [(f"{NODE}.id", "too_long")]),
        (document(shell(name="x" * 256)), [(f"{NODE}.name", "too_long")]),
        (document(shell(trigger={"cron": "0 99 0 * * ?"})), [(f"{NODE}.trigger.cron", "cron")]),
        (document(shell(trigger={"cron": ["0"]})), [(f"{NODE}.trigger.cron", "shape")]),
        (document(shell(trigger="{{triggers.daily}}")), [(f"{NODE}.trigger", "reference_unknown")]),
        (document(shell(script="nowhere")), [(f"{NODE}.script", "reference_unknown")]),
        (document(shell(trigger={"startTime": "soon"})), [(f"{NODE}.trigger.startTime", "time")]),
        (document(shell(rerunMode="Perhaps")), [(f"{NODE}.rerunMode", "choice")]),
        (document(shell(recurrence="Sometimes")), [(f"{NODE}.recurrence", "choice")]),
        (document(shell(rerunTimes=-1)), [(f"{NODE}.rerunTimes", "out_of_range")]),
        (document(shell(maxParallelInstances=-1)), [(f"{NODE}.maxParallelInstances", "out_of_range")]),
        (document(shell(maxParallelInstances="many")), [(f"{NODE}.maxParallelInstances", "not_a_number")]),
        (document(shell(misfirePolicy="Some")), [(f"{NODE}.misfirePolicy", "choice")]),
        (document(shell(priority="high")), [(f"{NODE}.priority", "not_a_number")]),
        (document(shell(timeout=True)), [(f"{NODE}.timeout", "not_a_number")]),
        (document(shell(timeout=2**31 - 1, timeoutUnit="HOURS")), [(f"{NODE}.timeout", "out_of_range")]),
        (document(shell(outputs={"nodeOutputs": [{}]})), [(f"{NODE}.outputs.nodeOutputs[0]", "output_name")]),
        (document(shell(), {"id": "r", "reference": {}}), [("spec.nodes[1].reference", "output_name")]),
        (document(shell(), flow=[{"nodeId": "b"}]), [("spec.flow[0].nodeId", "node_unknown")]),
        (
            document(shell(), flow=[{"nodeId": "a", "depends": [{}]}]),
            [("spec.flow[0].depends[0]", "depends_on_nothing")],
        ),
        (
            document(shell(), flow=[{"nodeId": "a", "depends": [{"nodeId": "{{b}}"}]}]),
            [("spec.flow[0].depends[0].nodeId", "node_unknown")],
        ),
        (
            document(shell(), flow=[{"nodeId": "a", "depends": [{"type": "Maybe", "nodeId": "a"}]}]),
            [("spec.flow[0].depends[0].type", "choice")],
        ),
        (document(shell(script={"parameters": "a=1 a=2"})), [(f"{NODE}.script.parameters", "parameters")]),
        (
            document(shell(script={"parameters": [{"name": "a b", "value": "1"}]})),
            [(f"{NODE}.script.parameters[0].name", "parameter_name")],
        ),
        (document(shell(), scripts=[{"id": "s"}, {"id": "s"}]), [("spec.scripts[1]", "id_twice")]),
    ],
)
def test_refusals_name_place_and_reason(text: str, expected: list[tuple[str, str]]) -> None:
    assert refusal(text) == expected


def test_all_errors_are_told_at_once() -> None:
    text = document(shell("a", priority="x"), shell("b", trigger={"cron": "never"}))
    assert refusal(text) == [("spec.nodes[0].priority", "not_a_number"), ("spec.nodes[1].trigger.cron", "cron")]


def test_json_errors_have_line_and_column() -> None:
    with pytest.raises(BadDocument) as caught:
        flowspec.read('{\n  "spec": {,}\n}')
    assert caught.value.problems[0].params["line"] == 2
    assert caught.value.problems[0].params["column"] == 12
    assert "line 2, column 12" in str(caught.value)


def test_a_huge_document_is_refused_unread() -> None:
    assert refusal(" " * (5 * 1024 * 1024) + "{}") == [("", "too_large")]


def test_a_byte_order_mark_is_no_error() -> None:
    assert only("\ufeff" + document(shell())).source_id == "a"


_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["{{start}}", "{{x.y}}", "0 0 0 * * ?", "Normal", "2024-01-01", "DIDE_SHELL", "{{"]),
)
_values = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)


def _places(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _places(item, (*path, key))
    return found


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_mutation_of_a_sample_crashes_the_reader(data: st.DataObject) -> None:
    root = json.loads(sample(data.draw(st.sampled_from(sorted(TABLE)))))
    for _ in range(data.draw(st.integers(1, 4))):
        *way, last = data.draw(st.sampled_from(_places(root) or [("spec",)]))
        owner = root
        for key in way:
            owner = owner[key]
        if data.draw(st.booleans()) or not isinstance(owner, dict):
            owner[last] = data.draw(_values)
        else:
            owner[data.draw(st.sampled_from(["id", "trigger", "script", "flow", "nodes", "inputs"]))] = owner.pop(last)
    try:
        read = flowspec.read(json.dumps(root))
    except BadDocument as error:
        assert error.problems and str(error)
    else:
        for node in read.nodes:
            form = json.loads(json.dumps(node.as_json(), allow_nan=False))
            assert NodeDefinition.from_json(form) == node
            parse_assignments(node.parameters)
        assert all(str(problem) for problem in read.warnings)


@settings(max_examples=200, deadline=None)
@given(text=st.text() | _values.map(json.dumps))
def test_no_text_crashes_the_reader(text: str) -> None:
    try:
        flowspec.read(text)
    except BadDocument as error:
        assert error.problems

"""The demo's workflows as FlowSpec documents, imported and published like anybody's."""

import json
import shlex
from collections.abc import Iterable, Sequence
from datetime import time
from typing import Any

from opscenter.processes.demo import audit_export
from opscenter.processes.demo.retail import STEPS, WORKFLOW, Step

TRIGGER_WORKFLOW = "HTTP_Workflow"
TRIGGER = "http_trigger"
PROGRAM = "trigger_http_node.py"
"""The resource with the program that tenant A triggers tenant B with; the node that runs it has its name without .py."""
_STRATEGY = {"timeout": 0, "instanceMode": "Immediately", "rerunMode": "Allowed", "failureStrategy": "Break"}


def http_workflow(at: time) -> str:
    """Tenant B's workflow: an HTTP trigger node, and the shell node that it opens, both scheduled at the same time."""
    cron = f"00 {at:%M %H} * * ?"
    trigger = _node("7429810016123250001", TRIGGER, "SCHEDULER_TRIGGER", cron)
    shell = _node("5951821373034080001", "shell_1", "DIDE_SHELL", cron, content='echo "DataWorks";')
    waits = [(str(shell["id"]), [str(trigger["id"])])]
    return _document("6326476912390090001", TRIGGER_WORKFLOW, [trigger, shell], waits)


def retail_workflow(owner: str) -> str:
    """Tenant B's daily pipeline."""
    return _document(
        "6326476912390090101",
        WORKFLOW,
        [_retail_node(step, owner) for step in STEPS],
        [(_source_id(step.name), [_source_id(name) for name in step.after]) for step in STEPS if step.after],
    )


def audit_workflow(owner: str) -> str:
    """Tenant B's workflow that runs when somebody runs it."""
    return _document(
        "6326476912390090301",
        audit_export.WORKFLOW,
        [_retail_node(step, owner, "audit") | {"trigger": {"type": "Manual"}} for step in audit_export.STEPS],
        [
            (_source_id(step.name, "audit"), [_source_id(name, "audit") for name in step.after])
            for step in audit_export.STEPS
            if step.after
        ],
        kind="ManualWorkflow",
        parameters=audit_export.PARAMETERS,
    )


def calling_workflow(task_number: int, at: time, python: str) -> str:
    """Tenant A's workflow: a shell node that triggers tenant B's task of that number and time.

    Its scheduled runs are dry runs: it is there to be run by hand.

    Args:
        python: the interpreter that has the SDK.
    """
    content = (
        f'##@resource_reference{{"{PROGRAM}"}}\n'
        f'{shlex.quote(python)} {PROGRAM} {task_number} Prod "${{day}} {at:%H:%M:%S}"\n'
    )
    node = _node(
        "7429810016123250201",
        PROGRAM.removesuffix(".py"),
        "DIDE_SHELL",
        "00 00 01 * * ?",
        content=content,
        parameters=(("day", "$[yyyy-mm-dd]"),),
    )
    node |= {"recurrence": "Skip", "description": "Opens tenant B's HTTP trigger node; run it by hand (Run now)"}
    return _document("6326476912390090201", "cross_tenant", [node], [])


def _source_id(name: str, group: str = "retail") -> str:
    return f"{group}.{name}"


def _retail_node(step: Step, owner: str, group: str = "retail") -> dict[str, Any]:
    command = "VIRTUAL" if step.is_virtual else "DIDE_SHELL"
    node = _node(
        _source_id(step.name, group), step.name, command, step.at, content=step.script, parameters=step.parameters
    )
    return node | {"owner": owner, "description": step.description}


def _node(
    source_id: str,
    name: str,
    command: str,
    cron: str,
    *,
    content: str = "",
    parameters: Iterable[tuple[str, str]] = (),
) -> dict[str, Any]:
    script: dict[str, Any] = {"path": f"demo/{name}", "runtime": {"command": command}}
    if content:
        script["content"] = content
    variables = [
        {"name": key, "scope": "NodeParameter", "type": "System", "value": expression} for key, expression in parameters
    ]
    if variables:
        script["parameters"] = variables
    return {
        "id": source_id,
        "name": name,
        "recurrence": "Normal",
        "instanceMode": "Immediately",
        "rerunMode": "Allowed",
        "script": script,
        "trigger": {"type": "Scheduler", "cron": cron},
        "outputs": {"nodeOutputs": [{"data": source_id, "artifactType": "NodeOutput", "refTableName": name}]},
    }


def _document(
    source_id: str,
    name: str,
    nodes: Sequence[dict[str, Any]],
    waits: Iterable[tuple[str, Sequence[str]]],
    *,
    kind: str = "CycleWorkflow",
    parameters: str = "",
) -> str:
    workflow = {
        "id": source_id,
        "name": name,
        "script": {"path": f"demo/{name}", "runtime": {"command": "WORKFLOW"}, "parameters": parameters},
        "strategy": _STRATEGY,
        "nodes": list(nodes),
        "dependencies": [
            {"nodeId": node, "depends": [{"type": "Normal", "output": output} for output in upstream]}
            for node, upstream in waits
        ],
    }
    spec = {"name": name, "type": kind, "workflows": [workflow]}
    return json.dumps({"version": "1.1.0", "kind": kind, "spec": spec}, indent=2)

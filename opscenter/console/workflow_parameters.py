"""A draft workflow's parameters as its page shows them: values, what they hide, and which of the nodes use them."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import time
from typing import Any

from opscenter.base import clock
from opscenter.base.reasons import say
from opscenter.console.access import ConsoleRequest
from opscenter.console.drafts import Draft
from opscenter.console.filters import latest_bizdate
from opscenter.production.models import Environment
from opscenter.production.names import LEVELS
from opscenter.production.parameter_values import planned, shared_rows
from opscenter.production.rules import levels
from opscenter.production.rules.levels import Effective, Level, Sources
from opscenter.production.rules.parameters import Context, ParameterError, evaluate, parse_assignments
from workflows.models import Workflow


def of_workflow(request: ConsoleRequest, workflow: Workflow, drafts: Sequence[Draft]) -> dict[str, Any]:
    """Its parameters for the latest business date, as production would have them after publishing the drafts as they are."""
    shared = shared_rows(request.workspace, Environment.PROD)
    context = replace(
        planned(None, latest_bizdate(clock.now(), request.workspace.tenant.time_zone), time()),
        workflow_id=workflow.number or 0,
    )
    found = {one.node.name: _effective(shared, workflow, one) for one in drafts}
    hidden = {name: Level.WORKSPACE if is_own else Level.GLOBAL for is_own, name, _ in sorted(shared)}
    rows = [
        {
            "name": name,
            "expression": expression,
            **_value(expression, context),
            "hides": LEVELS[hidden[name]] if name in hidden else "",
            "users": _nodes(found, name, Level.WORKFLOW),
            "others": _nodes(found, name, Level.NODE),
        }
        for name, expression in parse_assignments(workflow.parameters).items()
    ]
    return {"rows": rows, "bizdate": context.bizdate}


def _effective(shared: Sequence[tuple[bool, str, str]], workflow: Workflow, draft: Draft) -> list[Effective]:
    definition = draft.definition
    try:
        return levels.effective(
            Sources(shared=shared, workflow=workflow.parameters, node=definition.parameters, code=definition.content)
        )
    except ParameterError:
        return []  # told where the draft's problems are


def _nodes(found: dict[str, list[Effective]], name: str, level: Level) -> list[str]:
    """The nodes that have the parameter from this level."""
    return [node for node, given in found.items() if any(one.name == name and one.level is level for one in given)]


def _value(expression: str, context: Context) -> dict[str, str]:
    try:
        return {"value": evaluate(expression, context), "error": ""}
    except ParameterError as error:
        return {"value": "", "error": say(error.reason.code, error.reason.params)}

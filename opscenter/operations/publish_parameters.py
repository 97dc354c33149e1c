"""Parameters of workflows on their way to production: they go with the publication of any of the workflow's nodes."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, Reason, say, sentence
from opscenter.operations.publish_candidates import PublishProblem
from opscenter.operations.publish_checks import SOME_DAY
from opscenter.production.models import Environment, ProductionWorkflow
from opscenter.production.rules import parameters
from workflows.models import Node, Workflow


def workflow_problems(nodes: Sequence[Node]) -> list[PublishProblem]:
    """Parameters of the nodes' workflows that have no value; each is told of the first node of its workflow."""
    found = []
    firsts = {node.workflow: node for node in reversed(nodes) if node.workflow is not None}
    for workflow, node in firsts.items():
        try:
            parameters.resolve(parameters.parse_assignments(workflow.parameters), SOME_DAY)
        except Invalid as error:
            reason = Reason("publish.workflow_parameter", {"reason": error.reason.as_json()})
            found.append(PublishProblem(node.pk, workflow.name, "parameters", reason))
    return found


def with_new_parameters(workflows: Iterable[Workflow]) -> list[Workflow]:
    """The published ones among these workflows whose parameters are not in production as they are."""
    by_number = {workflow.number: workflow for workflow in workflows if workflow.number is not None}
    rows = ProductionWorkflow.objects.filter(number__in=by_number, environment=Environment.PROD)
    return [
        by_number[number]
        for number, text in rows.values_list("number", "parameters")
        if by_number[number].parameters != text
    ]


@sentence("publish.workflow_parameter")
def _say_workflow_parameter(params: Mapping[str, Any]) -> str:
    reason = params["reason"]
    return _("A parameter of the workflow has no value: %(reason)s") % {"reason": say(reason["code"], reason["params"])}

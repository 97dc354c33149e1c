"""Parameters of a draft workflow, for all of its nodes: written by hand, where no document says them."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base import clock
from opscenter.base.reasons import Invalid, NotFound, Refused, sentence
from opscenter.operations import run_parameters
from opscenter.operations.actor import Actor
from opscenter.operations.parameters import MOST
from opscenter.operations.permits import require
from opscenter.production.rules import parameters
from opscenter.workspaces import audit
from opscenter.workspaces.models import Workspace
from opscenter.workspaces.roles import Permission
from workflows.models import Workflow


@transaction.atomic
def save(actor: Actor, workspace: Workspace, pk: int, given: Mapping[str, str], *, before: str) -> Workflow:
    """Give a draft workflow these parameters instead of those it has. Production stays as it is until a node of the workflow
    is published.

    Args:
        given: expressions by name, in their order.
        before: the workflow's parameters as they were when the writing began.

    Raises:
        NotFound, Forbidden: the actor may not develop in the workspace, or it has no such workflow.
        Refused: somebody else has changed the parameters since.
        Invalid: a name that is no name or a date, an expression without a value, too many; ``field`` is ``parameters``.
    """
    member = require(actor, workspace, Permission.DEVELOP)
    text = _checked(given)
    found = Workflow.objects.select_for_update(no_key=True).filter(workspace=member.workspace, pk=pk).first()
    if found is None:
        raise NotFound("workflow.unknown")
    if found.parameters == text:
        return found
    if found.parameters != before:
        raise Refused("workflow.parameters_changed_since", name=found.name)
    found.parameters, found.modified_at, found.modified_by = text, clock.now(), actor.user
    found.save(update_fields=["parameters", "modified_at", "modified_by"])
    audit.record(
        actor.user,
        actor.face,
        "workflow.parameters",
        workspace=member.workspace,
        obj=("workflow", found.pk, found.name),
        params={"before": before, "parameters": text},
        address=actor.address,
    )
    return found


def _checked(given: Mapping[str, str]) -> str:
    """The assignments as they are kept."""
    if len(given) > MOST:
        raise Invalid("parameter.too_many", field="parameters", most=MOST)
    for name in given:
        if not parameters.is_name(name) or parameters.is_date(name):
            raise Invalid("parameter.name", field="parameters", name=name, most=parameters.LONGEST_NAME)
    run_parameters.checked({"workflow": dict(given)})
    texts = {name: parameters.written(name, expression) for name, expression in given.items()}
    for name, text in texts.items():
        if text is None:
            raise Invalid("flowspec.parameter_quotes", field="parameters", name=name)
    return " ".join(text for text in texts.values() if text)


@sentence("workflow.parameters_changed_since")
def _changed_since(params: Mapping[str, Any]) -> str:
    return (
        _("Somebody else has changed the parameters of “%(name)s” since. Open them again to see what is there now.")
        % params
    )

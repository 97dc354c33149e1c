"""Operations on all objects that match a filter, and on all that an earlier operation left: as one job (jobs.py)."""

from collections.abc import Mapping
from typing import Any

from django.db import connection
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, sentence
from opscenter.engine.locks import repeated
from opscenter.operations import door, jobs
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.reach import MOST_ASKED
from opscenter.operations.registry import OPERATIONS, OperationSpec
from opscenter.operations.results import own_targets
from opscenter.workspaces.models import Member, Workspace

LARGEST = 100_000
"""Objects of one operation."""
LARGEST_CHECKED = MOST_ASKED
"""The same, where extensions are asked."""


def apply_to_all(
    code: str,
    actor: Actor,
    workspace: Workspace,
    environment: str,
    chosen: "QuerySet[Any]",
    asked: Mapping[str, Any],
    *,
    arguments: Mapping[str, Any] | None = None,
    comment: str = "",
    client_token: str | None = None,
) -> Operation:
    """Do an operation to all objects that a query finds now; a worker does it, so it is not done yet when this returns.

    Where extensions listen they are asked about all objects that allow it, with one event, as ``door.apply`` does.

    Args:
        chosen: instances or tasks, as the operation's ``object_type`` says, of this workspace and environment.
        asked: how they were chosen (JSON), kept with the operation; a client token stands for it too.

    Raises:
        NotFound, Forbidden: as ``door.apply``.
        Invalid: nothing or too much matches, wrong arguments, too long a comment, or a client token of another request.
    """
    spec = OPERATIONS[code]
    member, values = door.admit(spec, actor, workspace, arguments, comment, client_token)
    params = {"matching": dict(asked)} | ({"arguments": values} if values else {})
    return door.once(
        client_token,
        (spec, actor, member, environment, params),
        lambda: _apply(spec, actor, member, environment, chosen, params, comment, client_token),
    )


def left_by(operation: Operation) -> "QuerySet[OperationTarget]":
    """What an operation did not do, of what it was asked for. Of one that reaches further it may be anything that was left:
    all of it is asked for again."""
    own = own_targets(operation)
    return own.filter(done=False) if OPERATIONS[operation.code].reach is None else own


@repeated
def _apply(
    spec: OperationSpec,
    actor: Actor,
    member: Member,
    environment: str,
    chosen: "QuerySet[Any]",
    params: Mapping[str, Any],
    comment: str,
    client_token: str | None,
) -> Operation:
    found = chosen.filter(workspace=member.workspace, environment=environment).order_by()
    types = found.values_list("node_type", flat=True).distinct()
    is_checked = bool(door.listening_to(spec, member.workspace, environment, lambda: set(types), hold=True))
    most = LARGEST_CHECKED if is_checked else LARGEST
    count = found.values("pk")[: most + 1].count()
    if not 0 < count <= most:
        raise Invalid("operation.matching", most=most, is_too_many=count > most)
    if is_checked:
        ids = list(found.values_list("pk", flat=True))
        return door.submit(spec, actor, member, environment, ids, params, comment, client_token)
    operation = Operation.objects.create(
        code=spec.code,
        workspace=member.workspace,
        environment=environment,
        actor=actor.user,
        face=actor.face,
        comment=comment,
        client_token=client_token or None,
        params=params,
        status=Operation.Status.RUNNING,
    )
    query, values = found.values("pk").query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(
            f"""INSERT INTO operations_operationtarget (operation_id, object_type, object_id)
                SELECT %s, %s, chosen.id FROM ({query}) chosen(id) ORDER BY chosen.id""",
            [operation.pk, spec.object_type, *values],
        )
    jobs.go_on(operation, actor.address)
    return operation


@sentence("operation.matching")
def _matching(params: Mapping[str, Any]) -> str:
    if params["is_too_many"]:
        return (
            _("More than %(most)s objects match. Narrow the filters, and do the rest in a second operation.") % params
        )
    return _("Nothing matches any more. Look at the list again.")

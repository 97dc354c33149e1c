"""The one door for what is done to production: permit, check by extensions, apply, audit. Every face comes through here."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import IntegrityError
from django.utils.translation import gettext as _

from extensions import lifecycle
from opscenter.base.reasons import Forbidden, Invalid, Refused, sentence
from opscenter.engine.locks import repeated
from opscenter.operations.actor import Actor
from opscenter.operations.asking import ask
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.permits import member_of, missing
from opscenter.operations.registry import OPERATIONS, OperationSpec
from opscenter.operations.results import KINDS, carry_out, check_comment, ids_of, judge
from opscenter.production.models import Environment
from opscenter.workspaces.models import Member, Workspace

MOST = 1000
"""Objects in one call; more at a time is a job of its own, which comes with bulk operations."""
_LONGEST_TOKEN = 64

Status = Operation.Status


def apply(
    code: str,
    actor: Actor,
    workspace: Workspace,
    environment: str,
    ids: Sequence[int],
    *,
    comment: str = "",
    client_token: str | None = None,
) -> Operation:
    """Do an operation to objects of one workspace and environment, or ask the extensions that guard it first.

    Every object is judged by itself: the operation's targets tell which were done, and why others were not. With the
    status CHECKING nothing is done yet; ``operations.checked`` goes on when the verdicts are there. The same client
    token again answers with the operation it named before.

    Args:
        ids: primary keys of task instances or of tasks, as the operation's ``object_type`` says.

    Raises:
        NotFound: the actor is a stranger to the workspace.
        Forbidden: none of the objects may be operated by the actor at all.
        Invalid: no objects, too many, too long a comment, or a client token of another request.
    """
    spec = OPERATIONS[code]
    ids = list(dict.fromkeys(ids))
    if not ids or len(ids) > MOST:
        raise Invalid(f"operation.count_{spec.object_type}", most=MOST, given=len(ids))
    check_comment(comment)
    if client_token and len(client_token) > _LONGEST_TOKEN:
        raise Invalid("operation.long_token", most=_LONGEST_TOKEN)
    member = member_of(actor.user, workspace.pk)
    if not (member.may(spec.permission) or member.may(spec.permission, own=True)):
        raise Forbidden("permission.missing", **missing(spec.permission))
    if client_token and (earlier := Operation.objects.filter(client_token=client_token).first()):
        return _same(earlier, spec, actor, member, environment, ids)
    try:
        return _apply(spec, actor, member, environment, ids, comment, client_token)
    except IntegrityError:
        earlier = Operation.objects.filter(client_token=client_token).first() if client_token else None
        if earlier is None:
            raise
        return _same(earlier, spec, actor, member, environment, ids)


def raise_if_refused(operation: Operation) -> None:
    """For callers with one target: its refusal as an error."""
    target = operation.targets.first()
    if target is not None and target.reason is not None:
        raise Refused(target.reason["code"], **target.reason["params"])


def asked_first(spec: OperationSpec, workspace: Workspace, environment: str, *, is_mandatory: bool = True) -> list[str]:
    """Names of the extensions that will be asked before such an operation takes effect; or of those that only advise."""
    listeners = _listeners(spec, workspace, environment)
    return [listener.extension.name for listener in listeners if listener.is_mandatory is is_mandatory]


def _listeners(spec: OperationSpec, workspace: Workspace, environment: str, *, hold: bool = False) -> list[Any]:
    if not spec.point or environment != Environment.PROD:
        return []
    find = lifecycle.held_listeners if hold else lifecycle.listeners
    return find(workspace, spec.point)


def _same(
    earlier: Operation, spec: OperationSpec, actor: Actor, member: Member, environment: str, ids: list[int]
) -> Operation:
    """The operation that the client token named before, if it is this one."""
    asked = (spec.code, actor.user.pk, member.workspace_id, environment, ids)
    named = (earlier.code, earlier.actor_id, earlier.workspace_id, earlier.environment, ids_of(earlier, spec))
    if asked != named:
        raise Invalid("operation.client_token")
    return earlier


@repeated
def _apply(
    spec: OperationSpec,
    actor: Actor,
    member: Member,
    environment: str,
    ids: list[int],
    comment: str,
    client_token: str | None,
) -> Operation:
    workspace = member.workspace
    listening = _listeners(spec, workspace, environment, hold=True)  # extensions are locked before what they guard
    objects = KINDS[spec.object_type].read(ids, workspace, environment)
    refusals = judge(spec, objects, ids, member)
    todo = [pk for pk in ids if refusals[pk] is None]
    listeners = listening if todo else []
    operation = Operation.objects.create(
        code=spec.code,
        workspace=workspace,
        environment=environment,
        actor=actor.user,
        face=actor.face,
        comment=comment,
        client_token=client_token or None,
        params={f"{spec.object_type}s": ids},
        status=Status.CHECKING if listeners else Status.REFUSED,
    )
    OperationTarget.objects.bulk_create(
        OperationTarget(
            operation=operation,
            object_type=spec.object_type,
            object_id=pk,
            done=None if refusal is None else False,
            reason=None if refusal is None else refusal.as_json(),
            open_code=spec.code if listeners and refusal is None else None,
        )
        for pk, refusal in refusals.items()
    )
    if listeners:
        kind, asked = KINDS[spec.object_type], [objects[pk] for pk in todo]
        names = [kind.name(one) for one in asked]
        ask(operation, spec.point, listeners, kind.message(asked), names, address=actor.address)
    else:
        carry_out(operation, member, actor.address, judged=(objects, refusals))
    return operation


@sentence("operation.count_instance")
def _count_instances(params: Mapping[str, Any]) -> str:
    return _("Choose between 1 and %(most)s instances; %(given)s were given.") % params


@sentence("operation.count_task")
def _count_tasks(params: Mapping[str, Any]) -> str:
    return _("Choose between 1 and %(most)s tasks; %(given)s were given.") % params


@sentence("operation.count_backfill")
def _count_backfills(params: Mapping[str, Any]) -> str:
    return _("Choose between 1 and %(most)s backfills; %(given)s were given.") % params


@sentence("operation.long_token")
def _long_token(params: Mapping[str, Any]) -> str:
    return _("The client token is too long; %(most)s characters are the most.") % params


@sentence("operation.client_token")
def _client_token(params: Mapping[str, Any]) -> str:
    return _("This client token was used for another request. Use a new one for each request.")

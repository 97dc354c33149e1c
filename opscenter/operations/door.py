"""The one door for what is done to production: permit, check by extensions, apply, audit. Every face comes through here."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import IntegrityError
from django.utils.translation import gettext as _

from extensions import lifecycle
from opscenter.base.reasons import Forbidden, Invalid, Refused, sentence
from opscenter.engine.locks import repeated
from opscenter.operations import jobs
from opscenter.operations.actor import Actor
from opscenter.operations.arguments import read_arguments
from opscenter.operations.asking import ask
from opscenter.operations.jobs import MOST
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.permits import member_of, missing
from opscenter.operations.registry import OPERATIONS, OperationSpec
from opscenter.operations.results import KINDS, carry_out, check_comment, check_token, judge, read
from opscenter.production.models import Environment
from opscenter.workspaces.models import Member, Workspace

Status = Operation.Status


def apply(
    code: str,
    actor: Actor,
    workspace: Workspace,
    environment: str,
    ids: Sequence[int],
    *,
    arguments: Mapping[str, Any] | None = None,
    comment: str = "",
    client_token: str | None = None,
) -> Operation:
    """Do an operation to objects of one workspace and environment, or ask the extensions that guard it first.

    Every object is judged by itself: the operation's targets tell which were done, and why others were not. With the
    status CHECKING nothing is done yet; ``operations.checked`` goes on when the verdicts are there. The same client
    token again answers with the operation it named before.

    Args:
        ids: primary keys of task instances or of tasks, as the operation's ``object_type`` says.
        arguments: what the operation is told beside its objects, as its spec's ``arguments`` reads it.

    Raises:
        NotFound: the actor is a stranger to the workspace.
        Forbidden: none of the objects may be operated by the actor at all.
        Invalid: no objects, too many, wrong arguments, too long a comment, or a client token of another request.
    """
    spec = OPERATIONS[code]
    ids = list(dict.fromkeys(ids))
    if not ids or len(ids) > MOST:
        raise Invalid(f"operation.count_{spec.object_type}", most=MOST, given=len(ids))
    member, values = admit(spec, actor, workspace, arguments, comment, client_token)
    params = {f"{spec.object_type}s": ids} | ({"arguments": values} if values else {})
    return once(
        client_token,
        (spec, actor, member, environment, params),
        lambda: submit(spec, actor, member, environment, ids, params, comment, client_token),
    )


def admit(
    spec: OperationSpec,
    actor: Actor,
    workspace: Workspace,
    arguments: Mapping[str, Any] | None,
    comment: str,
    client_token: str | None,
) -> tuple[Member, dict[str, Any]]:
    """Who asks, and the arguments as they are stored, when everything about the request but its objects is in order.

    Raises:
        NotFound, Forbidden, Invalid: as ``apply``.
    """
    check_comment(comment)
    check_token(client_token)
    member = member_of(actor.user, workspace.pk)
    if not (member.may(spec.permission) or member.may(spec.permission, own=True)):
        raise Forbidden("permission.missing", **missing(spec.permission, member))
    return member, read_arguments(spec.arguments, arguments, member.workspace)


Request = tuple[OperationSpec, Actor, Member, str, Mapping[str, Any]]
"""Spec, actor, member, environment and params: what a client token stands for."""


def once(client_token: str | None, asked: Request, do: Callable[[], Operation]) -> Operation:
    """What ``do`` makes; or the operation that the client token named before, if it is the same request.

    Raises:
        Invalid: the client token named another request.
    """
    if earlier := _named(client_token):
        return _same(earlier, asked)
    try:
        return do()
    except IntegrityError:
        if earlier := _named(client_token):
            return _same(earlier, asked)
        raise


def _named(client_token: str | None) -> Operation | None:
    return Operation.objects.filter(client_token=client_token).first() if client_token else None


def _same(earlier: Operation, asked: Request) -> Operation:
    spec, actor, member, environment, params = asked
    named = (earlier.code, earlier.actor_id, earlier.workspace_id, earlier.environment, earlier.params)
    if named != (spec.code, actor.user.pk, member.workspace_id, environment, params):
        raise Invalid("operation.client_token")
    return earlier


def raise_if_refused(operation: Operation) -> None:
    """For callers with one target: its refusal as an error."""
    target = operation.targets.first()
    if target is not None and target.reason is not None:
        raise Refused(target.reason["code"], **target.reason["params"])


def asked_first(
    spec: OperationSpec,
    workspace: Workspace,
    environment: str,
    *,
    is_mandatory: bool = True,
    ids: Sequence[int] | None = None,
) -> list[str]:
    """Names of the extensions that will be asked before such an operation takes effect; or of those that only advise.

    Args:
        ids: what it will be done to, where that is known: extensions may be interested in some node types alone.
    """
    listeners = listeners_to(spec, workspace, environment, ids)
    return [listener.extension.name for listener in listeners if listener.is_mandatory is is_mandatory]


def listeners_to(
    spec: OperationSpec, workspace: Workspace, environment: str, ids: Sequence[int] | None, *, hold: bool = False
) -> list[Any]:
    """The extensions that are asked, or only told, before such an operation; ``hold``: with their rows locked."""
    if not spec.point or environment != Environment.PROD:
        return []
    find = lifecycle.held_listeners if hold else lifecycle.listeners
    return find(workspace, spec.point, None if ids is None else lambda: KINDS[spec.object_type].types(ids))


@repeated
def submit(
    spec: OperationSpec,
    actor: Actor,
    member: Member,
    environment: str,
    ids: Sequence[int],
    params: Mapping[str, Any],
    comment: str,
    client_token: str | None,
) -> Operation:
    """Judge the objects and do the operation, or ask the extensions; what ``admit`` admitted, in one transaction."""
    workspace = member.workspace
    # extensions are locked before what they guard
    listening = listeners_to(spec, workspace, environment, ids, hold=True)
    objects = read(spec, ids, workspace, environment)
    refusals = judge(spec, objects, ids, member, params.get("arguments", {}))
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
        params=params,
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
    elif len(todo) > MOST:
        jobs.go_on(operation)
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


@sentence("operation.client_token")
def _client_token(params: Mapping[str, Any]) -> str:
    return _("This client token was used for another request. Use a new one for each request.")

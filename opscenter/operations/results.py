"""What operations are done to, and what comes of them: every target judged, changed, and its result written."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from extensions import envelope
from opscenter.base import clock
from opscenter.base.reasons import Invalid, Reason, Refused, sentence
from opscenter.engine import backfill_watch
from opscenter.operations import backfill_jobs, backfill_steps, instances, outcomes, tasks, telling
from opscenter.operations.arguments import arguments_of
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.registry import OPERATIONS, OperationSpec, refusal
from opscenter.production.models import Task, TaskInstance
from opscenter.workspaces import audit
from opscenter.workspaces.models import Member, Tenant, Workspace

Status = Operation.Status
_LONGEST_COMMENT, _LONGEST_TOKEN = 1000, 64


@dataclass(frozen=True)
class _Kind:
    """One type of object that operations are done to.

    Attributes:
        read: the objects of a workspace and environment among these ids, locked in the order of ids.
        effects: what each operation does to those that allow it.
        types: the node types of the objects with these ids.
        message: what a message to extensions says of these.
        unknown: the reason when there is no such object.
        also: what else may speak against an operation that waited for extensions, beside the registry's table.
        after: what follows when some of them were changed.
        leave: puts right what waits for objects that the operation was expected to change and did not.
    """

    read: Callable[[Sequence[int], Workspace, str], Mapping[int, Any]]
    effects: Mapping[str, Callable[[Any, Operation], None]]
    name: Callable[[Any], str]
    types: Callable[[Sequence[int]], set[str]]
    message: Callable[[Sequence[Any]], dict[str, Any]]
    unknown: str
    after: Callable[[Sequence[int]], None] = lambda ids: None
    leave: Callable[[Operation, Sequence[int]], None] = lambda operation, ids: None
    also: Callable[[str, Any, Member], Reason | None] = lambda code, one, member: None


KINDS = {
    "instance": _Kind(
        instances.read,
        instances.EFFECTS,
        lambda one: str(one.task.name),
        lambda ids: set(TaskInstance.objects.filter(pk__in=ids).values_list("node_type", flat=True)),
        lambda some: envelope.instances([one.pk for one in some]),
        "instance.unknown",
        backfill_watch.look_again,
        instances.leave,
    ),
    "task": _Kind(
        tasks.read,
        tasks.EFFECTS,
        lambda one: str(one.name),
        lambda ids: set(Task.objects.filter(pk__in=ids).values_list("node_type", flat=True)),
        lambda some: envelope.nodes([one.number for one in some]),
        "task.unknown",
    ),
    "backfill": _Kind(
        backfill_jobs.read,
        backfill_jobs.EFFECTS,
        lambda one: str(one.name),
        lambda ids: set(),
        lambda some: {},  # it is asked for at a door of its own: backfills.ask
        "backfill.unknown",
        leave=backfill_steps.leave,
        also=backfill_jobs.look_again,
    ),
}


def check_comment(comment: str) -> None:
    """Raise Invalid if the comment cannot be kept: it is too long, or PostgreSQL does not take it."""
    if len(comment) > _LONGEST_COMMENT:
        raise Invalid("operation.comment", most=_LONGEST_COMMENT)
    if "\0" in comment:
        raise Invalid("operation.comment_nul")


def check_token(client_token: str | None) -> None:
    """The same of a client token."""
    if client_token and (len(client_token) > _LONGEST_TOKEN or "\0" in client_token):
        raise Invalid("operation.long_token", most=_LONGEST_TOKEN)


def ids_of(operation: Operation, spec: OperationSpec) -> list[int]:
    """The objects that an operation was asked for."""
    ids: list[int] | None = operation.params.get(f"{spec.object_type}s")
    if ids is None:  # those that matched a filter
        targets = operation.targets.filter(object_type=spec.object_type).order_by("pk")
        ids = list(targets.values_list("object_id", flat=True))
    return ids


def read(spec: OperationSpec, ids: Sequence[int], workspace: Workspace, environment: str) -> Mapping[int, Any]:
    """The objects of an operation, locked, with the tenant first where it needs that."""
    if spec.holds_tenant:
        Tenant.objects.select_for_update(no_key=True).get(pk=workspace.tenant_id)
    return KINDS[spec.object_type].read(ids, workspace, environment)


def open_operations(object_type: str, ids: Sequence[int]) -> dict[tuple[int, str], int]:
    """The operations that are open on these objects, by object and code. Index: one_open_operation."""
    targets = OperationTarget.objects.filter(object_type=object_type, object_id__in=ids, open_code__isnull=False)
    rows = targets.values_list("object_id", "open_code", "operation")
    return {(pk, code): operation for pk, code, operation in rows if code}


def judge(
    spec: OperationSpec,
    objects: Mapping[int, Any],
    ids: Sequence[int],
    member: Member,
    values: Mapping[str, Any] | None = None,
    opened: Mapping[tuple[int, str], int] | None = None,
) -> dict[int, Reason | None]:
    """Why each object cannot be operated on; None where it can. The objects must be locked.

    Args:
        values: the operation's arguments, if it takes any and they are known yet.
        opened: what ``open_operations`` says of the objects, where it was asked already.
    """
    unknown = Reason(KINDS[spec.object_type].unknown)
    found = {pk: refusal(spec, objects[pk], member) if pk in objects else unknown for pk in ids}
    if spec.points:
        known = open_operations(spec.object_type, ids) if opened is None else opened
        for pk in ids:
            if found[pk] is None and (operation := known.get((pk, spec.code))) is not None:
                found[pk] = Reason("operation.open_already", {"operation": operation})
    if spec.arguments is not None and values is not None:
        able = [objects[pk] for pk, reason in found.items() if reason is None]
        found |= spec.arguments.refuse(able, values)
    if spec.together is not None:
        found |= spec.together([objects[pk] for pk, reason in found.items() if reason is None])
    return found


def carry_out(
    operation: Operation,
    member: Member | None,
    address: str | None,
    *,
    judged: tuple[Mapping[int, Any], Mapping[int, Reason | None]] | None = None,
) -> None:
    """Apply an operation to those of its targets that still allow it, with a result for each.

    Must run in the transaction that holds the operation's row; locks the targets.

    Args:
        member: the asker's membership as it is now; None when they are no member any more.
        judged: the locked objects and what speaks against each, where that was found out just now.
    """
    spec = OPERATIONS[operation.code]
    ids = ids_of(operation, spec)
    objects, refusals = judged or look_at(operation, waiting_of(operation), member)
    try:
        with transaction.atomic():
            todo = act(operation, objects, refusals)
    except Refused as error:  # as a whole it is not possible
        if judged is not None:
            raise
        # not any more, since extensions were asked; who asked is not here to be told
        todo = act(operation, objects, {pk: refused or error.reason for pk, refused in refusals.items()})
    # an effect may go on by itself
    operation.status = (
        Status.RUNNING if operation.targets.filter(done=None).exists() else outcomes.outcome_of(operation)
    )
    operation.settled_at = clock.now()
    operation.save(update_fields=["status", "settled_at"])
    audit.record(
        operation.actor,
        operation.face,
        spec.audit,
        workspace=operation.workspace,
        obj=("operation", operation.pk, KINDS[spec.object_type].name(objects[todo[0]]) if todo else ""),
        params={"done": todo, "refused": [pk for pk in ids if pk not in todo], "comment": operation.comment}
        | ({"arguments": values} if (values := arguments_of(operation)) else {}),
        address=address,
    )


def own_targets(operation: Operation) -> "QuerySet[OperationTarget]":
    """Of what it was asked for; without what it reaches through that."""
    spec = OPERATIONS[operation.code]
    found = operation.targets.filter(object_type=spec.object_type)
    return found if spec.reach is None else found.filter(object_id__in=ids_of(operation, spec))


def waiting_of(operation: Operation) -> list[int]:
    """The objects that it was asked for and has not been done to yet."""
    return list(own_targets(operation).filter(done=None).order_by("pk").values_list("object_id", flat=True))


def act(operation: Operation, objects: Mapping[int, Any], refusals: Mapping[int, Reason | None]) -> list[int]:
    """Write a result for each of these targets, and do the operation to those that allow it; returns them."""
    spec = OPERATIONS[operation.code]
    outcomes.write(operation.targets.filter(object_type=spec.object_type), refusals)
    todo = [pk for pk, refused in refusals.items() if refused is None]
    if todo:
        changed = [objects[pk] for pk in todo]
        KINDS[spec.object_type].effects[spec.code](changed, operation)
        telling.done(spec, operation, changed)
        KINDS[spec.object_type].after(todo)
    leave(operation, [pk for pk, refused in refusals.items() if refused is not None])
    return todo


def leave(operation: Operation, ids: Sequence[int]) -> None:
    """These targets stay as they are: others that an operation has made wait for them wait no longer."""
    if ids:
        KINDS[OPERATIONS[operation.code].object_type].leave(operation, ids)


def look_at(
    operation: Operation, waiting: Sequence[int], member: Member | None
) -> tuple[Mapping[int, Any], dict[int, Reason | None]]:
    """Targets that waited, as they are now: gone, changed and out of reach ones are refused.

    Args:
        member: the asker's membership as it is now; None when they are no member any more.
    """
    spec = OPERATIONS[operation.code]
    objects = read(spec, waiting, operation.workspace, operation.environment)
    opened = operation.targets.filter(done=None, object_type=spec.object_type, object_id__in=waiting)
    opened.filter(open_code__isnull=False).update(open_code=None)
    if member is None:
        return objects, dict.fromkeys(waiting, Reason("operation.asker_left", {"user": str(operation.actor)}))
    refusals = judge(spec, objects, waiting, member, arguments_of(operation))
    also = KINDS[spec.object_type].also
    return objects, {pk: refused or also(spec.code, objects[pk], member) for pk, refused in refusals.items()}


@sentence("operation.comment")
def _comment(params: Mapping[str, Any]) -> str:
    return _("The comment is too long; %(most)s characters are the most.") % params


@sentence("operation.comment_nul")
def _comment_nul(params: Mapping[str, Any]) -> str:
    return _("The comment contains a NUL character. Take it out.")


@sentence("operation.long_token")
def _long_token(params: Mapping[str, Any]) -> str:
    return _("A client token has up to %(most)s characters, none of them NUL. Use another one.") % params


@sentence("operation.open_already")
def _open_already(params: Mapping[str, Any]) -> str:
    return _("The same was asked for before and is being checked by extensions (operation %(operation)s).") % params


@sentence("operation.asker_left")
def _asker_left(params: Mapping[str, Any]) -> str:
    return _("%(user)s is no member of the workspace any more.") % params

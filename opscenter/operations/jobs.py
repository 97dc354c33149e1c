"""Operations on more objects than one transaction should hold: a worker carries them out batch by batch.

The operation has the status RUNNING and a target for each object; what is left to do are the targets without a result, so a
job that was interrupted goes on where it was. Cancelling leaves those as they are.
"""

from collections.abc import Mapping
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base import clock
from opscenter.base.reasons import Forbidden, NotFound, Reason, Refused, sentence
from opscenter.engine import chores
from opscenter.engine.locks import repeated
from opscenter.operations import backfill_steps, force_rerun
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.operations.outcomes import outcome_of
from opscenter.operations.permits import member_of, membership, missing
from opscenter.operations.registry import OPERATIONS
from opscenter.operations.results import act, leave, look_at
from opscenter.workspaces import audit
from opscenter.workspaces.roles import Permission

MOST = 1000
"""Objects that are done at once, in the transaction that asks for them or decides on them."""
BATCH = 500
"""Objects of one transaction."""

Status = Operation.Status


def go_on(operation: Operation, address: str | None) -> None:
    """Have the operation carried out by a worker. Must run in the transaction that holds its row.

    Args:
        address: the requester's, while they are still here.
    """
    operation.status = Status.RUNNING
    operation.save(update_fields=["status"])
    audit.record(
        operation.actor,
        operation.face,
        "operation.start",
        workspace=operation.workspace,
        obj=("operation", operation.pk, ""),
        params={"operation": operation.code, "count": _size(operation), "comment": operation.comment},
        address=address,
    )
    chores.queue(run, operation.pk)


def hand_over(operation: Operation, address: str | None) -> None:
    """Have a worker do what an operation that was carried out has begun only."""
    if operation.status == Status.RUNNING and is_job(operation):
        go_on(operation, address)


def _size(operation: Operation) -> int:
    if OPERATIONS[operation.code].object_type == "backfill":
        return backfill_steps.count(operation)
    return operation.targets.filter(done=None).count()


def run(operation_id: int) -> None:
    """The chore: batch after batch until none is left, or the operation is cancelled."""
    chores.in_slices(lambda: _step(operation_id), run, operation_id)


@repeated
def _step(operation_id: int) -> bool:
    """One batch; whether more may be left."""
    operation = Operation.objects.select_for_update(no_key=True, of=("self",)).select_related("workspace", "actor")
    found = operation.filter(pk=operation_id, status=Status.RUNNING).first()
    if found is None:
        return False
    if OPERATIONS[found.code].object_type == "backfill":
        if not backfill_steps.step(found):
            _end(found)
            return False
        return True
    # objects that are judged together are done together
    most = None if OPERATIONS[found.code].together else BATCH
    waiting = list(found.targets.filter(done=None).order_by("pk").values_list("object_id", flat=True)[:most])
    if not waiting:
        _end(found)
        return False
    objects, refusals = look_at(found, waiting, membership(found.actor, found.workspace_id))
    act(found, objects, refusals)
    return True


def _end(operation: Operation) -> None:
    done = operation.targets.filter(done=True).count()
    refused = operation.targets.filter(done=False).count()
    operation.status = outcome_of(operation)
    operation.settled_at = clock.now()
    operation.save(update_fields=["status", "settled_at"])
    audit.record(
        operation.actor,
        operation.face,
        "operation.finish",
        workspace=operation.workspace,
        obj=("operation", operation.pk, ""),
        params={"operation": operation.code, "done": done, "refused": refused, "comment": operation.comment},
    )


@repeated
def cancel(actor: Actor, workspace: Any, operation_id: int) -> Operation:
    """Do no more of an operation that is under way; what was done stays done. Its requester may, and who may operate everything.

    Raises:
        NotFound: a stranger, or no such operation in the workspace.
        Forbidden: neither the requester nor somebody with the operation's permission for the whole workspace.
        Refused: it is not under way any more.
    """
    member = member_of(actor.user, workspace.pk)
    found = Operation.objects.select_for_update(no_key=True, of=("self",)).select_related("workspace", "actor")
    operation = found.filter(pk=operation_id, workspace=workspace).first()
    if operation is None:
        raise NotFound("operation.unknown", operation=operation_id)
    permission = cancelling(operation)
    if operation.actor_id != actor.user.pk and not member.may(permission):
        raise Forbidden("permission.missing", **missing(permission, member))
    if operation.status != Status.RUNNING or not is_job(operation):
        raise Refused("operation.not_running", status=operation.status)
    left = list(operation.targets.filter(done=None).values_list("object_id", flat=True))
    by = {"user": str(actor.user)}
    is_of_backfill = OPERATIONS[operation.code].object_type == "backfill"
    if is_of_backfill:
        backfill_steps.cancelled(operation, by)
    operation.targets.filter(done=None).update(
        done=False, reason=Reason("operation.stopped", by).as_json(), open_code=None
    )
    if not is_of_backfill:
        leave(operation, left)
    operation.status, operation.settled_at = Status.CANCELLED, clock.now()
    operation.save(update_fields=["status", "settled_at"])
    audit.record(
        actor.user,
        actor.face,
        "operation.cancel",
        workspace=workspace,
        obj=("operation", operation.pk, ""),
        params={"operation": operation.code, "left": len(left)},
        address=actor.address,
    )
    return operation


def is_job(operation: Operation) -> bool:
    """Whether a worker carries it out; a forced rerun goes on by itself, and what it stops cannot be taken back."""
    return operation.code != force_rerun.CODE


def cancelling(operation: Operation) -> Permission:
    """What others than its requester need to cancel a job: the operation's own permission, for the whole workspace."""
    return OPERATIONS[operation.code].permission


@sentence("operation.stopped")
def _stopped(params: Mapping[str, Any]) -> str:
    return _("%(user)s cancelled the operation before this one was reached.") % params


@sentence("operation.not_running")
def _not_running(params: Mapping[str, Any]) -> str:
    return _("The operation is not under way any more: %(status)s.") % {
        "status": dict(Operation.Status.choices)[params["status"]]
    }

"""Operations on instances: stop, rerun, set to succeeded, freeze, unfreeze; one door for every face."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import IntegrityError
from django.db.models import Q
from django.utils.translation import gettext as _

from opscenter.base import clock, notify
from opscenter.base.reasons import Forbidden, Invalid, Reason, Refused, sentence
from opscenter.engine import advance, wiring
from opscenter.engine.locks import lock_with_downstream, repeated
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.permits import member_of, missing
from opscenter.operations.registry import OPERATIONS, OperationSpec, state_refusal
from opscenter.production.models import Attempt, InstanceEdge, TaskInstance, Transition, TriggerCommand
from opscenter.production.rules.states import LIVE, WAITING, State
from opscenter.production.transitions import transition
from opscenter.workspaces import audit
from opscenter.workspaces.models import Member, Workspace

MOST = 1000
"""Instances in one call; more at a time is a job of its own, which comes with bulk operations."""
_LONGEST_COMMENT = 1000
_LONGEST_TOKEN = 64


def apply(
    code: str,
    actor: Actor,
    workspace: Workspace,
    environment: str,
    instance_ids: Sequence[int],
    *,
    comment: str = "",
    client_token: str | None = None,
) -> Operation:
    """Do an operation to instances of one workspace and environment.

    Every instance is judged by itself: the operation's targets tell which were done, and why others were not. The same
    client token again answers with the operation it named before.

    Raises:
        NotFound: the actor is a stranger to the workspace.
        Forbidden: none of the instances may be operated by the actor at all.
        Invalid: no instances, too many, too long a comment, or a client token of another request.
    """
    spec = OPERATIONS[code]
    ids = list(dict.fromkeys(instance_ids))
    if not ids or len(ids) > MOST:
        raise Invalid("operation.count", most=MOST, given=len(ids))
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


def check_comment(comment: str) -> None:
    """Raise Invalid if the comment is too long to be kept."""
    if len(comment) > _LONGEST_COMMENT:
        raise Invalid("operation.comment", most=_LONGEST_COMMENT)


def _same(
    earlier: Operation, spec: OperationSpec, actor: Actor, member: Member, environment: str, ids: list[int]
) -> Operation:
    """The operation that the client token named before, if it is this one."""
    asked = (spec.code, actor.user.pk, member.workspace_id, environment, ids)
    named = (earlier.code, earlier.actor_id, earlier.workspace_id, earlier.environment, earlier.params["instances"])
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
    lock_with_downstream(ids)
    instances = {
        instance.pk: instance
        for instance in TaskInstance.objects.filter(pk__in=ids, workspace=workspace, environment=environment)
        .select_related("task", "version")
        .defer("version__content")
    }
    refusals = {pk: _refusal(spec, instances.get(pk), member) for pk in ids}
    todo = [pk for pk in ids if refusals[pk] is None]
    status = Operation.Status.APPLIED if len(todo) == len(ids) else Operation.Status.PARTLY
    operation = Operation.objects.create(
        code=spec.code,
        workspace=workspace,
        environment=environment,
        actor=actor.user,
        face=actor.face,
        comment=comment,
        client_token=client_token or None,
        params={"instances": ids},
        status=status if todo else Operation.Status.REFUSED,
    )
    if todo:
        _APPLY[spec.code]([instances[pk] for pk in todo], operation)
    OperationTarget.objects.bulk_create(
        OperationTarget(
            operation=operation,
            object_type="instance",
            object_id=pk,
            done=refusal is None,
            reason=None if refusal is None else refusal.as_json(),
        )
        for pk, refusal in refusals.items()
    )
    audit.record(
        actor.user,
        actor.face,
        f"instance.{spec.code}",
        workspace=workspace,
        obj=("operation", operation.pk, instances[todo[0]].task.name if todo else ""),
        params={"done": todo, "refused": [pk for pk in ids if refusals[pk] is not None], "comment": comment},
        address=actor.address,
    )
    return operation


def _refusal(spec: OperationSpec, instance: TaskInstance | None, member: Member) -> Reason | None:
    if instance is None:
        return Reason("instance.unknown")
    if not member.may(spec.permission, own=instance.task.owner_id == member.user_id):
        return Reason("permission.missing", missing(spec.permission))
    return state_refusal(spec, instance)


def _stop(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """What waits fails at once; what runs is killed by its worker and then fails. Neither is rerun automatically."""
    waiting = [i.pk for i in instances if State(i.state) in WAITING]
    claimed = [i for i in instances if i.state == State.CLAIMED]
    running = [i.pk for i in instances if State(i.state) in LIVE and i.state != State.CLAIMED]
    reason = {"code": "attempt.stopped", "params": {}}
    transition(waiting, WAITING, State.FAILURE, reason=reason, operation=operation.pk)
    for instance in claimed:
        transition([instance.pk], {State.CLAIMED}, State.FAILURE, reason=reason, operation=operation.pk)
        Attempt.objects.filter(instance=instance, number=instance.attempt).update(
            state=Attempt.State.STOPPED, finished_at=clock.now(), lease_until=None, reason=reason
        )
    Attempt.objects.filter(instance__in=running, state=Attempt.State.RUNNING).update(stop_requested_at=clock.now())
    if running:
        notify.notify(notify.STOP)


def _rerun(instances: Sequence[TaskInstance], operation: Operation) -> None:
    """Back to waiting. Edges to downstream instances that have not started are opened again; a trigger's command is
    spent and a new one needed."""
    ids = [i.pk for i in instances]
    succeeded = [i.pk for i in instances if i.state == State.SUCCESS]
    reopen(succeeded)
    _await_upstream(ids)
    TriggerCommand.objects.filter(
        instance__in=ids, status__in=[TriggerCommand.Status.HELD, TriggerCommand.Status.FIRED]
    ).update(status=TriggerCommand.Status.SPENT, settled_at=clock.now())
    for instance in instances:
        TaskInstance.objects.filter(pk=instance.pk).update(reruns_left=instance.version.rerun_times)
    advance.place(ids, {State.SUCCESS, State.FAILURE}, operation=operation.pk)
    notify.notify(notify.DUE)  # one that needs no worker succeeds again by the scheduler's next wave


def reopen(upstream_ids: Sequence[int]) -> None:
    """Edges from these to instances that have not started are not met any more; those wait again (DESIGN.md 4.5)."""
    edges = InstanceEdge.objects.filter(upstream__in=upstream_ids, met=True, downstream__state__in=WAITING)
    downstream = list(edges.values_list("downstream_id", flat=True))
    InstanceEdge.objects.filter(upstream__in=upstream_ids, downstream__in=downstream).update(met=False)
    wiring.recount(sorted(set(downstream)))


def _await_upstream(ids: Sequence[int]) -> None:
    """What is rerun waits for its upstream again where that has not succeeded, or is rerun together with it."""
    InstanceEdge.objects.filter(downstream__in=ids, met=True).filter(
        Q(upstream__in=ids) | ~Q(upstream__state=State.SUCCESS)
    ).update(met=False)
    wiring.recount(ids)


def _set_success(instances: Sequence[TaskInstance], operation: Operation) -> None:
    reason = {"code": "instance.set_success", "params": {"user": operation.actor.username}}
    advance.finish_locked(
        [i.pk for i in instances], {State.FAILURE}, State.SUCCESS, reason=reason, operation=operation.pk
    )
    notify.notify(notify.DUE)


def _freeze(instances: Sequence[TaskInstance], operation: Operation) -> None:
    _set_frozen(instances, True, operation)


def _unfreeze(instances: Sequence[TaskInstance], operation: Operation) -> None:
    ids = [i.pk for i in instances]
    _set_frozen(instances, False, operation)
    advance.fire(ids)
    notify.notify(notify.WORK)
    notify.notify(notify.DUE)


def _set_frozen(instances: Sequence[TaskInstance], frozen: bool, operation: Operation) -> None:
    """A frozen instance keeps its state; the change is written beside the transitions all the same."""
    now = clock.now()
    TaskInstance.objects.filter(pk__in=[i.pk for i in instances]).update(frozen=frozen)
    code = "instance.frozen" if frozen else "instance.unfrozen"
    Transition.objects.bulk_create(
        Transition(
            instance=i,
            bizdate=i.bizdate,
            at=now,
            before=i.state,
            after=i.state,
            attempt=i.attempt,
            reason={"code": code, "params": {"user": operation.actor.username}},
            operation=operation.pk,
        )
        for i in instances
    )


_APPLY: dict[str, Callable[[Sequence[TaskInstance], Operation], None]] = {
    "stop": _stop,
    "rerun": _rerun,
    "set_success": _set_success,
    "freeze": _freeze,
    "unfreeze": _unfreeze,
}


def raise_if_refused(operation: Operation) -> None:
    """For callers with one target: its refusal as an error."""
    target = operation.targets.first()
    if target is not None and target.reason is not None:
        raise Refused(target.reason["code"], **target.reason["params"])


@sentence("operation.count")
def _count(params: Mapping[str, Any]) -> str:
    return _("Choose between 1 and %(most)s instances; %(given)s were given.") % params


@sentence("operation.comment")
def _comment(params: Mapping[str, Any]) -> str:
    return _("The comment is too long; %(most)s characters are the most.") % params


@sentence("operation.long_token")
def _long_token(params: Mapping[str, Any]) -> str:
    return _("The client token is too long; %(most)s characters are the most.") % params


@sentence("operation.client_token")
def _client_token(params: Mapping[str, Any]) -> str:
    return _("This client token was used for another request. Use a new one for each request.")


@sentence("instance.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no such instance in this workspace and environment.")

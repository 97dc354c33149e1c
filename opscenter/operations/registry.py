"""The one table of operations x states x permissions: it enables the buttons, answers the API, and makes docs and tests.

States are those of spec/opscenter.md 2.3, with what its notes leave open decided here; DESIGN.md 6 names the rest.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from opscenter.base.reasons import Reason, sentence
from opscenter.operations.arguments import OWNER, PRIORITY, RESOURCE_GROUP, Arguments
from opscenter.operations.backfill_steps import REACHES
from opscenter.operations.dependencies import UPSTREAM
from opscenter.operations.downstream import DOWNSTREAM
from opscenter.operations.force_rerun import FORCE
from opscenter.operations.force_rerun import REACH as FORCE_REACH
from opscenter.operations.force_rerun import refused as refused_to_force
from opscenter.operations.permits import missing
from opscenter.operations.reach import Reach
from opscenter.operations.undeploy import refused_by_downstream
from opscenter.production.models import Backfill, Recurrence, Task, TaskInstance, TaskVersion
from opscenter.production.rules.states import ENDED, LIVE, WAITING, State
from opscenter.workspaces.models import Member
from opscenter.workspaces.roles import Permission


@dataclass(frozen=True)
class OperationSpec:
    """One operation.

    Attributes:
        object_type: what it is done to: ``instance``, ``task`` or ``backfill`` (a whole job).
        audit: its code in the audit trail.
        states: the instance's states from which it may be done.
        job_states: the backfill's.
        frozen: only on frozen or paused (True) or on not frozen (False) objects; None for both.
        danger: cannot be undone; the button says so in red.
        point: the extension point that is asked first, in production; empty for none.
        reach: instead, what it asks about where that is not its objects.
        arguments: what it is told beside its objects; None for nothing.
        together: which of the objects that allow it by themselves are refused for what is or is not among them.
        holds_tenant: the tenant is locked before its objects, as by generation and publishing.
        on_root: it may be done to a workspace's root task.
        on_all: it may be asked for all objects that match a filter, not only for chosen ones.
        event: the regular event that tells of it when it is done.
    """

    code: str
    name: Promise
    permission: Permission
    states: frozenset[State] = frozenset()
    job_states: frozenset[Backfill.State] = frozenset()
    frozen: bool | None = None
    danger: bool = False
    object_type: str = "instance"
    point: str = ""
    reach: Reach | None = None
    arguments: Arguments | None = None
    together: Callable[[Sequence[Any]], Mapping[int, Reason]] | None = None
    holds_tenant: bool = False
    on_root: bool = False
    on_all: bool = True
    event: str = ""

    @property
    def points(self) -> tuple[str, ...]:
        """The extension points that may be asked first."""
        return self.reach.points if self.reach else (self.point,) if self.point else ()

    @property
    def audit(self) -> str:
        return f"{self.object_type}.{self.code.removesuffix(f'_{self.object_type}')}"


Job = Backfill.State

OPERATIONS: dict[str, OperationSpec] = {
    spec.code: spec
    for spec in (
        OperationSpec(
            "stop",
            pgettext_lazy("operation", "Stop"),
            Permission.OPERATE_INSTANCE,
            frozenset({State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE}) | LIVE,
            danger=True,
            point="pre-kill-instance",
            event="kill-instance",
        ),
        OperationSpec(
            "rerun",
            pgettext_lazy("operation", "Rerun"),
            Permission.OPERATE_INSTANCE,
            frozenset({State.SUCCESS, State.FAILURE}),
            point="pre-rerun-instance",
            event="rerun-instance",
        ),
        OperationSpec(
            "rerun_downstream",
            gettext_lazy("Rerun with downstream"),
            Permission.OPERATE_INSTANCE,
            WAITING | ENDED,
            arguments=DOWNSTREAM,
            on_all=False,
            point="pre-rerun-instance",
            event="rerun-instance",
        ),
        OperationSpec(
            "set_success",
            gettext_lazy("Set to succeeded"),
            Permission.OPERATE_INSTANCE,
            frozenset({State.FAILURE}),
            point="pre-set-instance-success",
            event="set-instance-success",
        ),
        OperationSpec(
            "freeze",
            pgettext_lazy("operation", "Freeze"),
            Permission.OPERATE_INSTANCE,
            WAITING | {State.FAILURE},
            frozen=False,
            point="pre-freeze-instance",
            event="freeze-instance",
        ),
        OperationSpec(
            "unfreeze",
            pgettext_lazy("operation", "Unfreeze"),
            Permission.OPERATE_INSTANCE,
            frozenset(State),
            frozen=True,
            point="pre-unfreeze-instance",
            event="unfreeze-instance",
        ),
        OperationSpec(
            "remove_dependencies",
            gettext_lazy("Remove dependencies"),
            Permission.EMERGENCY,
            WAITING | {State.FAILURE},
            danger=True,
            arguments=UPSTREAM,
            on_all=False,
            event="delete-task-instance-dependencies",
        ),
        OperationSpec(
            "set_priority",
            gettext_lazy("Change priority"),
            Permission.EMERGENCY,
            WAITING | {State.FAILURE},
            arguments=PRIORITY,
        ),
        OperationSpec(
            "set_resource_group",
            gettext_lazy("Change resource group"),
            Permission.EMERGENCY,
            WAITING | {State.FAILURE},
            arguments=RESOURCE_GROUP,
        ),
        OperationSpec(
            "force_rerun",
            gettext_lazy("Force rerun downstream"),
            Permission.FORCE_RERUN,
            ENDED,
            danger=True,
            arguments=FORCE,
            reach=FORCE_REACH,
            together=refused_to_force,
            on_all=False,
            holds_tenant=True,
        ),
        OperationSpec(
            "freeze_task",
            pgettext_lazy("operation", "Freeze"),
            Permission.OPERATE_TASK,
            frozen=False,
            object_type="task",
            point="freeze-node",
            event="node-change-updated",
        ),
        OperationSpec(
            "unfreeze_task",
            pgettext_lazy("operation", "Unfreeze"),
            Permission.OPERATE_TASK,
            frozen=True,
            object_type="task",
            point="unfreeze-node",
            event="node-change-updated",
        ),
        OperationSpec(
            "make_backfill",
            pgettext_lazy("operation", "Backfill"),
            Permission.TEST_TASK,
            job_states=frozenset({Job.ASKED}),
            object_type="backfill",
            point="backfill-data",
        ),
        OperationSpec(
            "pause_backfill",
            pgettext_lazy("operation", "Pause"),
            Permission.OPERATE_INSTANCE,
            job_states=frozenset({Job.STARTED}),
            frozen=False,
            object_type="backfill",
        ),
        OperationSpec(
            "resume_backfill",
            pgettext_lazy("operation", "Resume"),
            Permission.OPERATE_INSTANCE,
            job_states=frozenset({Job.READY, Job.STARTED}),
            frozen=True,
            object_type="backfill",
        ),
        OperationSpec(
            "stop_backfill",
            gettext_lazy("Stop all"),
            Permission.OPERATE_INSTANCE,
            job_states=frozenset({Job.MAKING, Job.READY, Job.STARTED}),
            object_type="backfill",
            danger=True,
            reach=REACHES["stop_backfill"],
        ),
        OperationSpec(
            "rerun_backfill",
            gettext_lazy("Rerun failed"),
            Permission.OPERATE_INSTANCE,
            job_states=frozenset({Job.STARTED, Job.STOPPED}),
            object_type="backfill",
            reach=REACHES["rerun_backfill"],
        ),
        OperationSpec(
            "undeploy_task",
            pgettext_lazy("operation", "Undeploy"),
            Permission.OPERATE_TASK,
            danger=True,
            object_type="task",
            point="undeploy-node",
            event="node-change-deleted",
            together=refused_by_downstream,
            holds_tenant=True,
        ),
        OperationSpec(
            "set_owner_task",
            gettext_lazy("Change owner"),
            Permission.OPERATE_TASK,
            object_type="task",
            arguments=OWNER,
            event="node-change-updated",
            on_root=True,
        ),
        OperationSpec(
            "set_resource_group_task",
            gettext_lazy("Change resource group"),
            Permission.OPERATE_TASK,
            object_type="task",
            arguments=RESOURCE_GROUP,
            holds_tenant=True,
            event="node-change-updated",
        ),
        OperationSpec(
            "set_priority_task",
            gettext_lazy("Change priority"),
            Permission.OPERATE_TASK,
            object_type="task",
            arguments=PRIORITY,
            event="node-change-updated",
        ),
    )
}


def operations_on(object_type: str) -> dict[str, OperationSpec]:
    """The operations on one type of object, by code."""
    return {code: spec for code, spec in OPERATIONS.items() if spec.object_type == object_type}


def arguments_in_words(code: str, values: Mapping[str, Any] | None) -> str:
    """The stored arguments of an operation for its readers; empty where there are none."""
    arguments = OPERATIONS[code].arguments if code in OPERATIONS else None
    return arguments.words(values) if arguments is not None and values else ""


Target = TaskInstance | Task | Backfill


def _owner(target: Target) -> int:
    """Whose it is; a backfill is that of who asked for it."""
    if isinstance(target, Backfill):
        return target.created_by_id
    return target.task.owner_id if isinstance(target, TaskInstance) else target.owner_id


def refusal(spec: OperationSpec, target: Target, member: Member) -> Reason | None:
    """Why the member cannot do this to the target now; None when they can."""
    owner = _owner(target)
    if not member.may(spec.permission, own=owner == member.user_id):
        return Reason("permission.missing", missing(spec.permission, member))
    return state_refusal(spec, target)


def state_refusal(spec: OperationSpec, target: Target) -> Reason | None:
    """Why the target's own state forbids it; None when it does not."""
    if isinstance(target, Backfill):
        return _backfill_refusal(spec, target)
    return _task_refusal(spec, target) if isinstance(target, Task) else _instance_refusal(spec, target)


def _task_refusal(spec: OperationSpec, task: Task) -> Reason | None:
    if task.is_root and not spec.on_root:
        return Reason("task.is_root", {"task": task.name})
    if task.status != Task.Status.ONLINE:
        return Reason("task.offline", {"task": task.name})
    is_frozen = task.recurrence == Recurrence.PAUSE
    if spec.frozen is not None and is_frozen is not spec.frozen:
        return Reason("task.frozen" if is_frozen else "task.not_frozen", {"task": task.name})
    return None


def _backfill_refusal(spec: OperationSpec, job: Backfill) -> Reason | None:
    if job.state not in spec.job_states:
        return Reason("backfill.state", {"state": job.state, "operation": spec.code})
    if spec.frozen is not None and job.is_paused is not spec.frozen:
        return Reason("backfill.paused_already" if job.is_paused else "backfill.not_paused")
    if spec.code == "rerun_backfill" and job.is_rerunning:
        return Reason("backfill.rerunning")
    if spec.code == "rerun_backfill" and job.dates.filter(is_made=False).exists():
        return Reason("backfill.half_made")
    if job.state == Backfill.State.STARTED or spec.code == "rerun_backfill":
        return _nothing_to_do(spec, job)
    return None


def _nothing_to_do(spec: OperationSpec, job: Backfill) -> Reason | None:
    """Nothing of the job is left to be paused, stopped or rerun."""
    instances = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job)
    failed = Q(state=State.FAILURE, due_at__isnull=True)
    if spec.code == "rerun_backfill":
        return None if instances.filter(failed).exists() else Reason("backfill.nothing_failed")
    over = not instances.exclude(state=State.SUCCESS).exclude(failed).exists()
    return Reason("backfill.over") if over and spec.frozen is not True else None


def _instance_refusal(spec: OperationSpec, instance: TaskInstance) -> Reason | None:
    state = State(instance.state)
    if spec.frozen is not None and instance.frozen is not spec.frozen:
        return Reason("operation.frozen" if instance.frozen else "operation.not_frozen")
    if state not in spec.states:
        return Reason("operation.state", {"state": state.code, "operation": spec.code})
    if spec.code in ("rerun", "rerun_downstream") and state in ENDED:
        mode = instance.version.rerun_mode
        denied = mode == TaskVersion.RerunMode.ALL_DENIED or (
            mode == TaskVersion.RerunMode.FAILURE_ALLOWED and state is State.SUCCESS
        )
        if denied:
            return Reason("operation.rerun_denied", {"mode": mode})
    return None


@sentence("operation.state")
def _state(params: Mapping[str, Any]) -> str:
    from opscenter.production.names import state_name

    spec = OPERATIONS[params["operation"]]
    return _("The instance is in the state “%(state)s”; %(operation)s is possible in: %(states)s.") % {
        "state": state_name(params["state"]),
        "operation": spec.name,
        "states": ", ".join(dict.fromkeys(str(state_name(state.code)) for state in sorted(spec.states))),
    }


@sentence("operation.frozen")
def _frozen(params: Mapping[str, Any]) -> str:
    return _("The instance is frozen already.")


@sentence("operation.not_frozen")
def _not_frozen(params: Mapping[str, Any]) -> str:
    return _("The instance is not frozen.")


@sentence("operation.rerun_denied")
def _rerun_denied(params: Mapping[str, Any]) -> str:
    if params["mode"] == TaskVersion.RerunMode.ALL_DENIED:
        return _("The task's rerun setting is “Never”. Change it and publish the node again to allow reruns.")
    return _("The task's rerun setting allows a rerun after a failure only, and this instance succeeded.")


@sentence("task.is_root")
def _is_root(params: Mapping[str, Any]) -> str:
    return _("“%(task)s” is the workspace's root node: everything hangs on it, so this cannot be done to it.") % params


@sentence("task.frozen")
def _task_frozen(params: Mapping[str, Any]) -> str:
    return _("The task “%(task)s” is frozen already.") % params


@sentence("task.not_frozen")
def _task_not_frozen(params: Mapping[str, Any]) -> str:
    return _("The task “%(task)s” is not frozen.") % params

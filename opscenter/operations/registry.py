"""The one table of operations x states x permissions: it enables the buttons, answers the API, and makes docs and tests.

States are those of spec/opscenter.md 2.3, with what its notes leave open decided here; DESIGN.md 6 names the rest.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from opscenter.base.reasons import Reason, sentence
from opscenter.operations.permits import missing
from opscenter.production.models import TaskInstance, TaskVersion
from opscenter.production.rules.states import LIVE, WAITING, State
from opscenter.workspaces.models import Member
from opscenter.workspaces.roles import Permission


@dataclass(frozen=True)
class OperationSpec:
    """One operation on instances.

    Attributes:
        states: the instance's states from which it may be done.
        frozen: only on frozen (True) or on not frozen (False) instances; None for both.
        danger: cannot be undone; the button says so in red.
    """

    code: str
    name: Promise
    permission: Permission
    states: frozenset[State]
    frozen: bool | None = None
    danger: bool = False


OPERATIONS: dict[str, OperationSpec] = {
    spec.code: spec
    for spec in (
        OperationSpec(
            "stop",
            pgettext_lazy("operation", "Stop"),
            Permission.OPERATE_INSTANCE,
            frozenset({State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE}) | LIVE,
            danger=True,
        ),
        OperationSpec(
            "rerun",
            pgettext_lazy("operation", "Rerun"),
            Permission.OPERATE_INSTANCE,
            frozenset({State.SUCCESS, State.FAILURE}),
        ),
        OperationSpec(
            "set_success",
            gettext_lazy("Set to succeeded"),
            Permission.OPERATE_INSTANCE,
            frozenset({State.FAILURE}),
        ),
        OperationSpec(
            "freeze",
            pgettext_lazy("operation", "Freeze"),
            Permission.OPERATE_INSTANCE,
            WAITING | {State.FAILURE},
            frozen=False,
        ),
        OperationSpec(
            "unfreeze",
            pgettext_lazy("operation", "Unfreeze"),
            Permission.OPERATE_INSTANCE,
            frozenset(State),
            frozen=True,
        ),
    )
}


def refusal(spec: OperationSpec, instance: TaskInstance, member: Member) -> Reason | None:
    """Why the member cannot do this to the instance now; None when they can."""
    own = instance.task.owner_id == member.user_id
    if not member.may(spec.permission, own=own):
        return Reason("permission.missing", missing(spec.permission))
    return state_refusal(spec, instance)


def state_refusal(spec: OperationSpec, instance: TaskInstance) -> Reason | None:
    """Why the instance's own state forbids it; None when it does not."""
    state = State(instance.state)
    if spec.frozen is not None and instance.frozen is not spec.frozen:
        return Reason("operation.frozen" if instance.frozen else "operation.not_frozen")
    if state not in spec.states:
        return Reason("operation.state", {"state": state.code, "operation": spec.code})
    if spec.code == "rerun":
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

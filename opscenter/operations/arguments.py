"""What an operation is told beside its objects: a new priority, a resource group. Checked once, at the door.

They are stored in the operation's ``params`` under ``arguments``, in the form that ``read`` gave them, and named
in the audit trail. An operation that waits for extensions is carried out with what was stored.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from opscenter.base.reasons import Invalid, Reason, sentence
from opscenter.operations.models import Operation
from opscenter.production.models import ResourceGroup
from opscenter.workspaces.models import Member, Workspace
from workflows.flowspec.settings import PRIORITIES

Values = Mapping[str, Any]


def _nothing_against(objects: Sequence[Any], values: Values) -> dict[int, Reason]:
    return {}


def _no_words(values: Values) -> str:
    return ""


@dataclass(frozen=True)
class Arguments:
    """Of one kind of operation.

    Attributes:
        read: what was given as it is stored (JSON), complete and checked; raises Invalid, for names it does not know too.
        refuse: which of the locked objects do not allow these values, and why. Asked only about objects that allow
            the operation otherwise, all of them at once, since one may depend on another.
        words: the stored values in words, for histories and the audit trail.
    """

    read: Callable[[Values, Workspace], dict[str, Any]]
    refuse: Callable[[Sequence[Any], Values], Mapping[int, Reason]] = _nothing_against
    words: Callable[[Values], str] = _no_words


def read_arguments(arguments: Arguments | None, given: Values | None, workspace: Workspace) -> dict[str, Any]:
    """What was given to an operation, checked; empty for one that takes nothing.

    Raises:
        Invalid: something is missing, unknown or out of range.
    """
    if arguments is not None:
        return arguments.read(given or {}, workspace)
    only(given or {})
    return {}


def arguments_of(operation: Operation) -> dict[str, Any]:
    """The arguments as they are stored with an operation."""
    found: dict[str, Any] = operation.params.get("arguments", {})
    return found


def only(given: Values, *names: str) -> None:
    """Raise Invalid if anything else is given, or one of these is not."""
    for name in sorted(given.keys() ^ set(names)):
        raise Invalid("operation.argument_unknown" if name in given else "operation.argument_missing", field=name)


def _read_priority(given: Values, workspace: Workspace) -> dict[str, Any]:
    only(given, "priority")
    if given["priority"] not in PRIORITIES:
        raise Invalid("operation.priority", given=str(given["priority"])[:20])
    return {"priority": int(given["priority"])}


def _read_group(given: Values, workspace: Workspace) -> dict[str, Any]:
    """By name, as people and documents know it; one that the workspace may use. Its number is stored."""
    only(given, "resource_group")
    name = str(given["resource_group"])
    group = ResourceGroup.objects.usable_in(workspace).filter(name=name).first()
    if group is None:
        raise Invalid("operation.resource_group", **_usable(name, workspace.pk))
    return {"resource_group": group.name, "resource_group_id": group.pk}


def _taken_away(objects: Sequence[Any], values: Values) -> dict[int, Reason]:
    """The workspace may have lost the group since."""
    if not objects:
        return {}
    workspace = objects[0].workspace_id
    group, name = values["resource_group_id"], values["resource_group"]
    if ResourceGroup.objects.filter(pk=group, associations__workspace=workspace).exists():
        return {}
    return {one.pk: Reason("operation.resource_group", _usable(name, workspace)) for one in objects}


def _usable(name: str, workspace: int) -> dict[str, Any]:
    usable = ResourceGroup.objects.filter(associations__workspace=workspace).order_by("name")
    return {"name": name[:200], "usable": list(usable.values_list("name", flat=True))}


def _read_owner(given: Values, workspace: Workspace) -> dict[str, Any]:
    """By user name; a member of the workspace. The number is stored, and the name as people know it."""
    only(given, "owner")
    name = str(given["owner"])
    members = Member.objects.filter(workspace=workspace, user__is_active=True, user__username=name)
    member = members.select_related("user").first()
    if member is None:
        raise Invalid("operation.owner", name=name[:200])
    return {"owner": member.user.username, "owner_id": member.user_id, "owner_name": str(member.user)}


def _left(tasks: Sequence[Any], values: Values) -> dict[int, Reason]:
    """The new owner may have left the workspace since."""
    if not tasks:
        return {}
    members = Member.objects.filter(workspace=tasks[0].workspace_id, user=values["owner_id"], user__is_active=True)
    if members.exists():
        return {}
    return {task.pk: Reason("operation.owner", {"name": values["owner"]}) for task in tasks}


OWNER = Arguments(_read_owner, refuse=_left, words=lambda values: _("owner %(owner_name)s") % values)
PRIORITY = Arguments(_read_priority, words=lambda values: _("priority %(priority)s") % values)
RESOURCE_GROUP = Arguments(
    _read_group, refuse=_taken_away, words=lambda values: _("resource group “%(resource_group)s”") % values
)


@sentence("operation.argument_unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("This operation takes no “%(field)s”. Leave it out.") % params


@sentence("operation.argument_missing")
def _missing(params: Mapping[str, Any]) -> str:
    return _("This operation needs “%(field)s”.") % params


@sentence("operation.owner")
def _owner(params: Mapping[str, Any]) -> str:
    return _("“%(name)s” is no member of this workspace. Only a member can own its tasks.") % params


@sentence("operation.priority")
def _priority(params: Mapping[str, Any]) -> str:
    return _("“%(given)s” is no priority. Choose one of %(known)s; the larger, the sooner.") % {
        **params,
        "known": ", ".join(map(str, PRIORITIES)),
    }


@sentence("operation.resource_group")
def _resource_group(params: Mapping[str, Any]) -> str:
    return _("The workspace may use no resource group “%(name)s”. It may use: %(usable)s.") % {
        "name": params["name"],
        "usable": ", ".join(params["usable"]),
    }

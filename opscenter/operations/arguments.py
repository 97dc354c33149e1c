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
from opscenter.workspaces.models import Workspace
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
    """By name, as people and documents know it; unique in the tenant. Its number is stored."""
    only(given, "resource_group")
    name = str(given["resource_group"])
    group = ResourceGroup.objects.filter(tenant=workspace.tenant_id, name=name).first()
    if group is None:
        raise Invalid("operation.resource_group", name=name[:200])
    return {"resource_group": group.name, "resource_group_id": group.pk}


PRIORITY = Arguments(_read_priority, words=lambda values: _("priority %(priority)s") % values)
RESOURCE_GROUP = Arguments(_read_group, words=lambda values: _("resource group “%(resource_group)s”") % values)


@sentence("operation.argument_unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("This operation takes no “%(field)s”. Leave it out.") % params


@sentence("operation.argument_missing")
def _missing(params: Mapping[str, Any]) -> str:
    return _("This operation needs “%(field)s”.") % params


@sentence("operation.priority")
def _priority(params: Mapping[str, Any]) -> str:
    return _("“%(given)s” is no priority. Choose one of %(known)s; the larger, the sooner.") % {
        **params,
        "known": ", ".join(map(str, PRIORITIES)),
    }


@sentence("operation.resource_group")
def _resource_group(params: Mapping[str, Any]) -> str:
    return _("There is no resource group “%(name)s” in this tenant.") % params

"""Asking the extensions before an operation takes effect: one event for each workspace whose extensions listen."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from extensions import checks
from extensions.models import Enablement, Event
from opscenter.operations import checked
from opscenter.operations.models import Operation
from opscenter.workspaces import audit

_LONGEST_NAME = 200


def ask(
    operation: Operation,
    point: str,
    listeners: Sequence[Enablement],
    data: Mapping[str, Any],
    names: Sequence[str],
    *,
    address: str | None = None,
) -> list[Event]:
    """Open the events of an operation and their checks; the operation waits until all of them have decided.

    Must run in the transaction that has made the operation, with the status CHECKING, and that holds the listeners
    (``lifecycle.held_listeners``, which takes all workspaces that the operation reaches). With advisory extensions
    alone, or unreachable ones, it is decided at once: then it is carried out, or blocked, when this returns.

    Args:
        listeners: whom to ask; of several workspaces if the operation reaches several.
        data: what the messages say of their own: ``envelope.nodes``, ``instances`` or ``backfill``.
        names: of what it is done to, for people.
        address: the requester's.
    """
    about = _summary(names)
    events = [
        checks.open_event(
            point,
            workspace,
            operation.environment,
            operation.actor,
            list(asked),
            data,
            operation=operation.pk,
            about=about,
            asked_in=operation.workspace,
        )
        for workspace, asked in groupby(sorted(listeners, key=_place), key=lambda one: one.workspace)
    ]
    audit.record(
        operation.actor,
        operation.face,
        "operation.ask",
        workspace=operation.workspace,
        obj=("operation", operation.pk, about),
        params={
            "operation": operation.code,
            "extensions": list(dict.fromkeys(listener.extension.name for listener in listeners)),
            "count": len(names),
            "comment": operation.comment,
        },
        address=address,
    )
    checked.settle(operation, address)
    return events


def _place(listener: Enablement) -> tuple[int, str]:
    return listener.workspace_id, listener.extension.name


def _summary(names: Sequence[str]) -> str:
    """The first name, and how many more; as extensionBizName it may be a summary."""
    first = names[0][:_LONGEST_NAME] if names else ""
    return first if len(names) < 2 else f"{first} +{len(names) - 1}"

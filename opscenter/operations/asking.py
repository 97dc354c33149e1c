"""Asking the extensions before an operation takes effect: one event for each workspace whose extensions listen."""

from collections.abc import Sequence
from itertools import groupby

from extensions import checks
from extensions.models import Enablement, Event
from opscenter.operations import checked
from opscenter.operations.models import Operation
from opscenter.operations.reach import Question
from opscenter.workspaces import audit

_LONGEST_NAME = 200


def ask(
    operation: Operation, questions: Sequence[Question], names: Sequence[str], *, address: str | None = None
) -> list[Event]:
    """Open the events of an operation and their checks; the operation waits until all of them have decided.

    Must run in the transaction that has made the operation, with the status CHECKING, and that holds the listeners
    (``lifecycle.held_listeners``, which takes all workspaces that the operation reaches). With advisory extensions
    alone, or unreachable ones, it is decided at once: then it is carried out, or blocked, when this returns.

    Args:
        questions: what to ask whom; each is a message in every workspace whose extensions it names.
        names: of what the operation is done to, for people.
        address: the requester's.
    """
    events = [
        checks.open_event(
            one.point,
            workspace,
            operation.environment,
            operation.actor,
            list(asked),
            one.data,
            operation=operation.pk,
            about=_summary(one.names),
            asked_in=operation.workspace,
        )
        for one in questions
        for workspace, asked in groupby(sorted(one.listeners, key=_place), key=lambda listener: listener.workspace)
    ]
    asked_ones = [listener.extension.name for one in questions for listener in one.listeners]
    audit.record(
        operation.actor,
        operation.face,
        "operation.ask",
        workspace=operation.workspace,
        obj=("operation", operation.pk, _summary(names)),
        params={
            "operation": operation.code,
            "extensions": list(dict.fromkeys(asked_ones)),
            "count": operation.targets.filter(done=None).count(),
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

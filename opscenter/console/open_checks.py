"""The top bar's shield: operations that wait for extensions, and word of those that ended while one was elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from extensions.models import Check, Event
from opscenter.console import live
from opscenter.console.access import ConsoleRequest, here
from opscenter.console.filters import query_string
from opscenter.console.operation_words import title_of
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS
from opscenter.operations.results import ids_of
from opscenter.production.models import Backfill, TaskInstance
from opscenter.workspaces.models import Workspace

SHOWN = 20
"""Operations listed; more are counted up to ``MOST``."""
MOST = 99


@dataclass(frozen=True)
class OpenCheck:
    """One operation that is being checked."""

    pk: int
    title: str
    extensions: tuple[str, ...]
    since: datetime
    url: str


@dataclass(frozen=True)
class OpenChecks:
    """What the shield shows; ``count`` is the number of operations."""

    rows: tuple[OpenCheck, ...]
    count: int
    is_more: bool
    poll_url: str


def open_checks_of(workspace: Workspace, environment: str) -> OpenChecks:
    """What is being checked in an environment. Index: operation_checking; one question when there is nothing."""
    found = Operation.objects.filter(workspace=workspace, environment=environment, status=Operation.Status.CHECKING)
    operations = list(found.order_by("-pk")[: SHOWN + 1])
    count = len(operations) if len(operations) <= SHOWN else found[: MOST + 1].count()
    place = {"workspace_id": workspace.pk, "env": environment.lower()}
    shown = operations[:SHOWN]
    waiting, titles = _waiting(shown), _titles(shown)
    rows = tuple(
        OpenCheck(
            pk=one.pk,
            title=titles[one.pk],
            extensions=tuple(waiting[one.pk]),
            since=one.at,
            url=reverse("console:operation", kwargs={**place, "pk": one.pk}),
        )
        for one in shown
    )
    seen = ",".join(str(row.pk) for row in rows)
    return OpenChecks(
        rows=rows,
        count=min(count, MOST),
        is_more=count > MOST,
        poll_url=reverse("console:operation_open", kwargs=place) + query_string({"seen": seen}),
    )


def open_checks(request: ConsoleRequest) -> HttpResponse:
    """The shield again, where it changed; with a message for each operation of the asker's own that has ended since."""
    found = open_checks_of(request.workspace, request.environment)
    tag = live.tag_of(found)
    context = {"open_checks": found, "ended": _ended(request, {row.pk for row in found.rows})}
    return live.fragment(request, "components/open_checks.html", context, tag)


def _ended(request: ConsoleRequest, still: set[int]) -> list[dict[str, Any]]:
    numbers = [text for text in request.GET.get("seen", "").split(",") if text.isascii() and text.isdigit()]
    asked = {int(text) for text in numbers[:SHOWN] if len(text) < 19} - still
    if not asked:
        return []
    mine = Operation.objects.filter(
        pk__in=asked, workspace=request.workspace, environment=request.environment, actor=request.user
    ).exclude(status=Operation.Status.CHECKING)
    titles = _titles(list(mine))
    return [
        {
            "text": _("%(operation)s: %(status)s") % {"operation": titles[one.pk], "status": one.get_status_display()},
            "url": here(request, "operation", pk=one.pk),
            "status": one.status,
        }
        for one in mine
    ]


def _waiting(operations: Sequence[Operation]) -> dict[int, list[str]]:
    """The names of the extensions that have not answered yet, by operation."""
    found: dict[int, list[str]] = {one.pk: [] for one in operations}
    if found:
        checks = Check.objects.filter(event__operation__in=found, state=Check.State.CHECKING)
        for operation, name in checks.order_by("extension__name").values_list("event__operation", "extension__name"):
            found[operation or 0].append(name)
    return found


def _titles(operations: Sequence[Operation]) -> dict[int, str]:
    """What was asked for, by operation; the messages to the extensions know the names of the objects, but where they are
    about what an operation reaches through them."""
    names: dict[int | None, str] = {}
    if operations:
        events = Event.objects.filter(operation__in=[one.pk for one in operations])
        names = dict(events.values_list("operation", "message__data__extensionBizName"))
    found = {}
    for one in operations:
        spec = OPERATIONS[one.code]
        ids = ids_of(one, spec)
        name = names.get(one.pk) if spec.reach is None else _name(spec.object_type, ids[0]) if len(ids) == 1 else ""
        found[one.pk] = title_of(one.code, len(ids), name or "")
    return found


def _name(object_type: str, pk: int) -> str:
    """Of an object in the workspace in which the operation was asked for."""
    if object_type == "backfill":
        return Backfill.objects.filter(pk=pk).values_list("name", flat=True).first() or ""
    return TaskInstance.objects.filter(pk=pk).values_list("task__name", flat=True).first() or ""


def in_frame(request: HttpRequest) -> OpenChecks | None:
    """What the frame of a page shows; None outside of workspaces and where nothing is being checked."""
    workspace, environment = getattr(request, "workspace", None), getattr(request, "environment", None)
    if workspace is None or environment is None:
        return None
    found = open_checks_of(workspace, environment)
    return found if found.count else None

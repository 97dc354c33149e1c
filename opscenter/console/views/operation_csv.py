"""The history of operations, and the results of one, as CSV for spreadsheets and programs."""

import csv
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any

from django.db.models import Count, Min, Q, QuerySet
from django.http import HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404
from django.utils import translation
from django.views.decorators.http import require_safe

from extensions.models import Check
from opscenter.base.reasons import say
from opscenter.console.access import ConsoleRequest, in_workspace, permitted
from opscenter.console.operation_rows import Names
from opscenter.console.views.operation_history import OperationFilters, history
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.registry import operations_on
from opscenter.production.models import Task
from opscenter.workspaces.roles import Permission

_CHUNK = 500
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""Spreadsheets take a cell that begins so for a formula; some the full-width characters, too."""
_INTERNAL = frozenset({"owner_id", "resource_group_id"})
"""Arguments that nobody knows by these numbers; the names are beside them."""

_ON_TASKS = frozenset(operations_on("task"))

HISTORY = (
    "id", "time", "operation", "environment", "operator", "face", "status", "decided", "object_type", "first_object",
    "objects", "done", "refused", "checked_by", "parameters", "comment",
)  # fmt: skip
RESULTS = ("object_type", "object_id", "name", "done", "code", "reason")


@in_workspace
@permitted(Permission.VIEW_AUDIT)
@require_safe
def history_csv(request: ConsoleRequest) -> HttpResponseBase:
    """The operations that fit the filters of the history, the latest first."""
    filters = OperationFilters(request.GET, request.user, request.workspace)
    if not filters.is_valid():
        text = "\n".join(f"{name}: {' '.join(map(str, errors))}" for name, errors in filters.errors.items())
        return HttpResponse(text, status=422, content_type="text/plain; charset=utf-8")
    found = history(request, filters).order_by("-pk")
    return _sent(HISTORY, found, partial(_history_rows, request), f"operations-{request.workspace.name}")


@in_workspace
@require_safe
def results_csv(request: ConsoleRequest, pk: int) -> HttpResponseBase:
    """What became of each object of an operation, in the order in which they were named."""
    operation = get_object_or_404(Operation, pk=pk, workspace=request.workspace, environment=request.environment)

    def rows(targets: Sequence[OperationTarget]) -> Iterator[Sequence[Any]]:
        names = Names(request, targets)
        for target in targets:
            reason = target.reason if not target.done else None
            yield (
                target.object_type, names.id(target), names.name(target), "" if target.done is None else target.done,
                reason["code"] if reason else "", say(reason["code"], reason["params"]) if reason else "",
            )  # fmt: skip

    return _sent(RESULTS, operation.targets.order_by("pk"), rows, f"operation-{pk}")


def _history_rows(request: ConsoleRequest, operations: Sequence[Operation]) -> Iterator[Sequence[Any]]:
    targets = OperationTarget.objects.filter(operation__in=operations).values("operation")
    counts = {
        row["operation"]: row
        for row in targets.annotate(
            n=Count("pk"),
            gone=Count("pk", filter=Q(done=True)),
            left=Count("pk", filter=Q(done=False)),
            first=Min("pk"),
        )
    }
    firsts = OperationTarget.objects.in_bulk([row["first"] for row in counts.values()])
    names, numbers = Names(request, list(firsts.values())), _numbers(operations)
    checks: dict[int | None, list[str]] = defaultdict(list)
    asked = Check.objects.filter(event__operation__in=[one.pk for one in operations]).order_by("pk")
    for number, name, state, verdict in asked.values_list("event__operation", "extension__name", "state", "verdict"):
        checks[number].append(f"{name}: {state} ({verdict})" if verdict else f"{name}: {state}")
    for one in operations:
        count = counts.get(one.pk, {"n": 0, "gone": 0, "left": 0, "first": 0})
        first = firsts.get(count["first"])
        yield (
            one.pk, _moment(one.at), one.code, one.environment, one.actor.username, one.face, one.status,
            _moment(one.settled_at), first.object_type if first else "",
            f"{names.name(first)} ({names.id(first)})".lstrip(" ") if first else "",
            count["n"], count["gone"], count["left"], "; ".join(checks[one.pk]),
            json.dumps(_parameters(one, numbers), ensure_ascii=False), one.comment,
        )  # fmt: skip


def _numbers(operations: Sequence[Operation]) -> dict[int, int]:
    """The ids that the APIs and the pages know tasks by, of all that these operations name."""
    named = {pk for one in operations if one.code in _ON_TASKS for pk in one.params.get("tasks", ())}
    return dict(Task.objects.filter(pk__in=named).values_list("pk", "number"))


def _parameters(operation: Operation, numbers: Mapping[int, int]) -> dict[str, Any]:
    """What was asked for, as people know it."""
    shown = dict(operation.params)
    if operation.code in _ON_TASKS and "tasks" in shown:
        shown["tasks"] = [numbers.get(pk, pk) for pk in shown["tasks"]]
    if "arguments" in shown:
        shown["arguments"] = {name: value for name, value in shown["arguments"].items() if name not in _INTERNAL}
    return shown


def _moment(at: datetime | None) -> str:
    return at.isoformat(timespec="milliseconds") if at is not None else ""


class _Line:
    """What the writer writes, at once."""

    def write(self, text: str) -> str:
        return text


def _sent(
    head: Sequence[str],
    found: "QuerySet[Any]",
    rows: Callable[[Sequence[Any]], Iterable[Sequence[Any]]],
    name: str,
) -> StreamingHttpResponse:
    """A file of any length, in chunks; in the language of the request, which is over when the chunks are made."""
    language = translation.get_language() or "en"

    def lines() -> Iterator[str]:
        writer = csv.writer(_Line())
        yield "\ufeff" + writer.writerow(head)  # by which spreadsheets know that it is UTF-8
        objects = found.iterator(chunk_size=_CHUNK)
        while chunk := list(islice(objects, _CHUNK)):
            with translation.override(language):
                made = [writer.writerow(map(_harmless, row)) for row in rows(chunk)]
            yield "".join(made)

    answer = StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    return answer


def _harmless(value: Any) -> Any:
    """No cell that a spreadsheet would take for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value

"""What pages of tasks and of instances have in common about operations: buttons, batch bars, links, reasons."""

from collections.abc import Mapping, Sequence
from typing import Any

from django.urls import reverse
from django.utils.translation import ngettext

from opscenter.base.reasons import Reason, say
from opscenter.console.access import ConsoleRequest, here
from opscenter.console.filters import query_string
from opscenter.console.operation_words import WORDS
from opscenter.operations.permits import missing
from opscenter.operations.registry import OPERATIONS, operations_on
from opscenter.operations.results import judge, open_operations
from opscenter.production.models import Backfill, Task, TaskInstance


def operation_url(request: ConsoleRequest, code: str, ids: Sequence[int], workspace: int | None = None) -> str:
    """Where an operation on instances or tasks is asked for; they may be of another workspace."""
    kwargs = {
        "workspace_id": workspace or request.workspace.pk,
        "env": request.environment.value.lower(),
        "code": code.removesuffix(f"_{OPERATIONS[code].object_type}").replace("_", "-"),
    }
    address = reverse(f"console:{OPERATIONS[code].object_type}_operate", kwargs=kwargs)
    return address + query_string({"id": list(ids)}) if ids else address


_TYPES = {Task: "task", TaskInstance: "instance", Backfill: "backfill"}


def buttons(request: ConsoleRequest, target: TaskInstance | Task | Backfill) -> list[dict[str, Any]]:
    """Every operation on the task, instance or backfill as a button; what cannot be done now says why."""
    found, kind = [], _TYPES[type(target)]
    opened = open_operations(kind, [target.pk])
    for code, spec in operations_on(kind).items():
        reason = judge(spec, {target.pk: target}, [target.pk], request.member, opened=opened)[target.pk]
        found.append(
            {
                "code": code,
                "label": spec.name,
                "icon": WORDS[code].icon,
                "key": WORDS[code].key,
                "url": operation_url(request, code, [target.pk]),
                "why_not": "" if reason is None else say(reason.code, reason.params),
            }
        )
    return found


def batch_buttons(request: ConsoleRequest, object_type: str) -> list[dict[str, Any]]:
    """The batch bar. What the selected rows allow is looked at when they are known; here only what the role allows."""
    found = []
    for code, spec in operations_on(object_type).items():
        may = request.member.may(spec.permission) or request.member.may(spec.permission, own=True)
        found.append(
            {
                "label": spec.name,
                "icon": WORDS[code].icon,
                "key": WORDS[code].key,
                "url": operation_url(request, code, []),
                "why_not": "" if may else say("permission.missing", missing(spec.permission, request.member)),
            }
        )
    return found


def asked_in_words(deciding: Sequence[str], advising: Sequence[str]) -> list[str]:
    """Who is asked first, and who only advises, as sentences."""
    told = []
    if deciding:
        text = ngettext(
            "Checked by %(n)s extension first: %(names)s. Nothing is done until it has passed it.",
            "Checked by %(n)s extensions first: %(names)s. Nothing is done until all of them have passed it.",
            len(deciding),
        )
        told.append(text % {"n": len(deciding), "names": ", ".join(deciding)})
    if advising:
        text = ngettext(
            "%(n)s extension is asked for advice: %(names)s. It is not waited for, and blocks nothing.",
            "%(n)s extensions are asked for advice: %(names)s. They are not waited for, and block nothing.",
            len(advising),
        )
        told.append(text % {"n": len(advising), "names": ", ".join(advising)})
    return told


def told(request: ConsoleRequest, reason: Reason | Mapping[str, Any] | None) -> dict[str, str]:
    """A reason as words, with the address of the operation that it names, if it names one."""
    if reason is None:
        return {"why": "", "why_url": ""}
    if not isinstance(reason, Reason):
        reason = Reason(reason["code"], reason.get("params", {}))
    named = reason.params.get("operation") if reason.code == "operation.open_already" else None
    return {
        "why": say(reason.code, reason.params),
        "why_url": here(request, "operation", pk=named) if named else "",
    }

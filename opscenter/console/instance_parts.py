"""The parts of an instance's page, each as plain values for its template."""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Q, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import pgettext

from opscenter.base.reasons import say
from opscenter.console.access import ConsoleRequest, here
from opscenter.console.filters import query_string
from opscenter.console.operation_parts import buttons
from opscenter.console.operation_words import name_of
from opscenter.console.remedy_parts import Remedies, trigger_action
from opscenter.operations.arguments import arguments_of
from opscenter.operations.models import Operation, OperationTarget
from opscenter.operations.registry import OPERATIONS, arguments_in_words
from opscenter.production import selectors
from opscenter.production.models import (
    Attempt,
    Backfill,
    BackfillDate,
    TaskInstance,
    Transition,
    WorkflowInstance,
)
from opscenter.production.node_types import HTTP_TRIGGER
from opscenter.production.rules.states import WAITING, State
from opscenter.workspaces.models import Member

NEIGHBOURS_SHOWN = 25
HISTORY_SHOWN = 200
ATTEMPTS_SHOWN = 20
_LOOKS = {
    "not_frozen": "frozen",
    "upstream": "not_run",
    "time": "wait_time",
    "trigger": "wait_trigger",
    "resources": "wait_resource",
}
"""The state whose icon and colour stand for an unmet condition."""


def backfill_of(instance: TaskInstance) -> Backfill | None:
    """The backfill that the instance belongs to."""
    if instance.workflow_instance.type != WorkflowInstance.Type.BACKFILL:
        return None
    dates = BackfillDate.objects.filter(family=instance.workflow_instance_id).select_related("backfill")
    date = dates.defer("backfill__plan").first()
    return date.backfill if date is not None else None


def list_of(instance: TaskInstance) -> str:
    """The view of the list that the instance is in; of a backfill's, that of the backfills."""
    kinds = WorkflowInstance.Type
    lists = {
        kinds.SMOKE_TEST: "test_instance_list",
        kinds.MANUAL: "manual_instance_list",
        kinds.MANUAL_WORKFLOW: "manual_instance_list",
        kinds.BACKFILL: "backfill_list",
    }
    return f"console:{lists.get(kinds(instance.workflow_instance.type), 'instance_list')}"


def crumbs(request: ConsoleRequest, instance: TaskInstance, job: Backfill | None) -> list[tuple[str, str]]:
    """The list that the instance is in; of a manual run, also that run, of a backfill the ``job``."""
    family, kinds = instance.workflow_instance, WorkflowInstance.Type
    if job is not None:
        return [(_("Backfills"), here(request, "backfill_list")), (job.name, here(request, "backfill", pk=job.pk))]
    if family.type == kinds.SMOKE_TEST:
        return [(_("Test instances"), here(request, "test_instance_list"))]
    if family.type in (kinds.MANUAL, kinds.MANUAL_WORKFLOW):
        manual = here(request, "manual_instance_list")
        return [(_("Manual instances"), manual), (family.name, manual + query_string({"run": family.pk}))]
    day = query_string({"bizdate": instance.bizdate.isoformat()})
    return [(pgettext("navigation", "Instances"), here(request, "instance_list") + day)]


def actions(request: ConsoleRequest, instance: TaskInstance) -> list[dict[str, Any]]:
    """Every operation as a button; what cannot be done now says why."""
    found = buttons(request, instance)
    if instance.node_type == HTTP_TRIGGER.code:
        found.append(trigger_action(request, instance))
    return found


def checklist(request: ConsoleRequest, instance: TaskInstance) -> dict[str, Any]:
    """What the instance waits for, or how it ended: what is met in one line, what is not open with its remedies."""
    explanation = selectors.explain_instance(instance)
    remedies = Remedies(request, instance, explanation.conditions)
    state = State(instance.state)
    has_ended = state is State.SUCCESS
    conditions = [condition for condition in explanation.conditions if not (has_ended and condition.code == "run")]
    return {
        "title": _title(state),
        "headline": say(explanation.headline.code, explanation.headline.params),
        "short": say(explanation.short.code, explanation.short.params),
        "unmet": [
            {
                "text": say(condition.reason.code, condition.reason.params),
                "since": condition.since,
                "state": _LOOKS.get(condition.code) or state.code,
                "links": remedies.culprits(condition),
                "remedies": remedies.buttons(condition),
                "help": remedies.help(condition),
            }
            for condition in conditions
            if not condition.met and condition.reason.code != "explain.run_waiting"
        ],
        "met": [
            {"text": say(condition.reason.code, condition.reason.params), "at": condition.since}
            for condition in conditions
            if condition.met
        ],
    }


def _title(state: State) -> str:
    if state in WAITING:
        return _("Why it is not running")
    if state is State.FAILURE:
        return _("Why it failed")
    return _("How it succeeded") if state is State.SUCCESS else _("What it is doing")


def neighbours(request: ConsoleRequest, found: "QuerySet[TaskInstance]") -> dict[str, Any]:
    """Upstream or downstream instances; of a workspace that is not the reader's by name and state alone."""
    shown = list(found[: NEIGHBOURS_SHOWN + 1])
    elsewhere = {one.workspace_id for one in shown} - {request.workspace.pk}
    known = {request.workspace.pk}
    if elsewhere:
        mine = Member.objects.filter(user=request.user, workspace__in=elsewhere)
        known |= set(mine.values_list("workspace_id", flat=True))
    env = request.environment.value.lower()
    turns = dict(BackfillDate.objects.filter(turn__in=shown).values_list("turn", "after"))
    rows = [
        {
            "instance": one,
            "turn": turns.get(one.pk),
            "is_here": one.workspace_id == request.workspace.pk,
            "url": reverse("console:instance", kwargs={"workspace_id": one.workspace_id, "env": env, "pk": one.pk})
            if one.workspace_id in known
            else "",
        }
        for one in shown[:NEIGHBOURS_SHOWN]
    ]
    return {"rows": rows, "has_more": len(shown) > NEIGHBOURS_SHOWN}


def attempts(request: ConsoleRequest, instance: TaskInstance, shown: int | None) -> list[dict[str, Any]]:
    """The attempts, the latest first; ``shown`` is the number of the one whose log stands below."""
    return [
        {
            "attempt": one,
            "duration": one.finished_at - one.started_at if one.finished_at and one.started_at else None,
            "why": "" if one.reason is None else say(one.reason["code"], one.reason.get("params", {})),
            "is_shown": one.number == shown,
            "url": f"?attempt={one.number}#log",
        }
        for one in selectors.attempts_of(instance).defer("version__content")[:ATTEMPTS_SHOWN]
    ]


def history(request: ConsoleRequest, instance: TaskInstance) -> list[dict[str, Any]]:
    """Changes of state; operations that were refused for it, or that left no change of state; the latest first."""
    transitions = list(instance.transitions.order_by("-at", "-pk")[:HISTORY_SHOWN])
    ids = {transition.operation for transition in transitions if transition.operation}
    named = OperationTarget.objects.filter(object_type="instance", object_id=instance.pk)
    told = named.filter(Q(done=False) | Q(done=True) & ~Q(operation__in=ids))
    targets = list(told.select_related("operation__actor").order_by("-pk")[:HISTORY_SHOWN])
    operations = {one.pk: one for one in Operation.objects.filter(pk__in=ids).select_related("actor")}
    entries = [
        {
            "at": transition.at,
            "state": _step(transition),
            "sentence": _said(transition.reason),
            **_by(request, operations.get(transition.operation or 0)),
        }
        for transition in transitions
    ]
    entries += [
        {
            "at": target.operation.at,
            "state": "changed" if target.done else "refused",
            "sentence": arguments_in_words(target.operation.code, arguments_of(target.operation))
            if target.done
            else _said(target.reason),
            **_by(request, target.operation),
        }
        for target in targets
    ]
    return sorted(entries, key=_moment, reverse=True)[:HISTORY_SHOWN]


def _step(transition: Transition) -> str:
    """The code of the look: a claim is told apart from the wait before it."""
    if (transition.reason or {}).get("code") == "instance.frozen":
        return "frozen"
    state = State(transition.after)
    return "claimed" if state is State.CLAIMED else state.code


def _moment(entry: dict[str, Any]) -> datetime:
    at: datetime = entry["at"]
    return at


def _said(reason: dict[str, Any] | None) -> str:
    return say(reason["code"], reason.get("params", {})) if reason else ""


def _by(request: ConsoleRequest, operation: Operation | None) -> dict[str, Any]:
    if operation is None:
        return {}
    spec = OPERATIONS.get(operation.code)
    return {
        "actor": operation.actor,
        "operation": spec.name if spec else name_of(operation.code),
        "comment": operation.comment,
        "url": here(request, "operation", pk=operation.pk),
    }


def snippet(instance: TaskInstance, zone: str) -> str:
    """A program that triggers this instance with the official SDK, ready to run but for the key."""
    public = urlsplit(settings.PUBLIC_URL)
    moment = instance.scheduled_at
    return f"""\
# pip install alibabacloud_dataworks_public20240518
from alibabacloud_dataworks_public20240518 import models
from alibabacloud_dataworks_public20240518.client import Client
from alibabacloud_tea_openapi.models import Config

client = Client(Config(
    access_key_id="YOUR_ACCESS_KEY_ID",
    access_key_secret="YOUR_ACCESS_KEY_SECRET",
    endpoint="{public.netloc}",
    protocol="{public.scheme}",
))
response = client.trigger_scheduler_task_instance(
    models.TriggerSchedulerTaskInstanceRequest(
        task_id={instance.task.number},
        trigger_time={round(moment.timestamp() * 1000)},  # {moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone}
        env_type="{instance.environment}",
    )
)
print(response.body.request_id, response.body.success)
"""


def shown_attempt(instance: TaskInstance, asked: str) -> Attempt | None:
    """The attempt that is asked for by number, else the latest; None where there is none.

    Raises:
        Attempt.DoesNotExist: the instance has no attempt of that number.
    """
    found = selectors.attempts_of(instance)
    if not asked:
        return found.first()
    if not (asked.isascii() and asked.isdigit() and len(asked) < 10):
        raise Attempt.DoesNotExist
    return found.get(number=int(asked))

"""Data backfill: the list of jobs, a job's page, and asking for one with a preview."""

import uuid
from collections.abc import Iterable
from typing import Any

from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from opscenter.base import clock
from opscenter.base.reasons import Invalid, Refused, say
from opscenter.console import ended_backfills, live, paging
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial, permitted, why_not
from opscenter.console.backfill_forms import MODES, BackfillForm
from opscenter.console.backfill_parts import (
    alert_kind,
    chips,
    dates_in_words,
    facts_of,
    instances_url,
    is_moving,
    look_of,
    look_of_job,
    mail_of,
    order_in_words,
    parameters_of,
    preview_of,
)
from opscenter.console.check_parts import cards_of, elapsed
from opscenter.console.filters import latest_bizdate, query_string
from opscenter.console.forms import refuse
from opscenter.console.operation_parts import buttons
from opscenter.console.task_picking import FOUND, Scope, is_id
from opscenter.engine import backfill_mail
from opscenter.operations import backfills
from opscenter.operations.backfill_request import from_json
from opscenter.operations.models import Operation
from opscenter.production import backfill_counts, selectors
from opscenter.production.models import Backfill
from opscenter.production.rules.backfill import Mode
from opscenter.workspaces.roles import Permission

ORDER = paging.Order(number="pk")
_STEPS = ("step", "token", "fingerprint", "csrfmiddlewaretoken")


@in_workspace
@require_safe
def backfill_list(request: ConsoleRequest) -> HttpResponse:
    """The jobs that were asked for here."""
    found = backfill_counts.jobs(request.user, request.workspace, request.environment)
    mine = request.GET.get("creator") == "me"
    text = request.GET.get("q", "").replace("\0", "")[:255]
    if text:
        found = found.filter(name__icontains=text)
    if mine:
        found = found.filter(created_by=request.user)
    page = paging.page(found, ORDER, request.GET)
    counts = backfill_counts.of_jobs(page.rows)
    operations = Operation.objects.in_bulk([job.operation for job in page.rows if job.operation])
    rows = [_row(job, counts[job.pk], operations.get(job.operation or 0)) for job in page.rows]
    context = {
        "page": page,
        "rows": rows,
        "text": text,
        "mine": mine,
        "is_narrowed": bool(text or mine),
        "clear_url": request.path,
        "new_url": here(request, "backfill_new"),
        "new_why_not": _why_not(request),
        "zone": request.workspace.tenant.time_zone,
    }
    return live.whole(request, "console/backfills/list.html", context)


def _row(job: Backfill, counts: backfill_counts.Counts, operation: Operation | None) -> dict[str, Any]:
    asked = from_json(job.request)
    return {
        "job": job,
        "look": look_of_job(job, counts, operation),
        "dates": dates_in_words(asked),
        "order": order_in_words(asked),
        "done": counts.done,
        "failed": counts.failed,
    }


@in_workspace
@require_safe
def backfill(request: ConsoleRequest, pk: int) -> HttpResponse:
    """One job: its checks while it is asked for, then its dates and what can be done to it."""
    found = backfill_counts.jobs(request.user, request.workspace, request.environment)
    job: Backfill = get_object_or_404(found, pk=pk)
    ended_backfills.looked_at(job, request.user)
    by_date = backfill_counts.of_dates(job)
    counts = backfill_counts.of_jobs([job])[job.pk]
    operation = Operation.objects.filter(pk=job.operation or 0).first()
    cards = cards_of(request, operation, "") if operation else []
    used = elapsed(cards)
    moving = is_moving(job, counts, operation)
    context = {
        "job": job,
        "look": look_of_job(job, counts, operation),
        "operation": operation,
        "operation_url": here(request, "operation", pk=operation.pk) if operation else "",
        "reason": _reason(job, operation),
        "actions": [one for one in buttons(request, job) if one["code"] != backfills.CODE],
        "cards": [(card, used.get(card.pk, 0)) for card in cards],
        "is_asked": job.state == Backfill.State.ASKED,
        "is_making": job.state == Backfill.State.MAKING,
        "counts": counts,
        "chips": chips(counts),
        "facts": facts_of(job, _scope(request)),
        "parameters": parameters_of(job),
        "mail": mail_of(job),
        "dates": [
            {
                "date": one,
                "look": look_of(by_date[one.bizdate]) if one.is_made else None,
                "chips": chips(by_date[one.bizdate]),
                "url": instances_url(request, job, bizdate=one.bizdate),
            }
            for one in job.dates.order_by("position")
        ],
        "instances_url": instances_url(request, job),
        "again_url": here(request, "backfill_new") + query_string({"like": job.pk}),
        "again_why_not": _why_not(request),
        "crumbs": [(_("Backfills"), here(request, "backfill_list"))],
        "poll_url": request.path + "?live=1",
        "every": live.QUICK if moving else None,
        "zone": request.workspace.tenant.time_zone,
    }
    if is_partial(request) and "live" in request.GET:
        return live.fragment(request, "console/backfills/live.html", context)
    return live.whole(request, "console/backfills/page.html", context)


def _reason(job: Backfill, operation: Operation | None) -> str:
    """Why it stopped, was refused or blocked."""
    reason = job.reason
    if reason is None and operation is not None and job.state == Backfill.State.ASKED:
        target = operation.targets.filter(reason__isnull=False).first()
        reason = target.reason if target else None
    return say(reason["code"], reason["params"]) if reason else ""


@in_workspace
@permitted(Permission.TEST_TASK, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def new(request: ConsoleRequest) -> HttpResponse:
    """The dialog; with ``step=preview`` what it would make, and posted it is asked for. All of it is in the address."""
    if is_partial(request):
        return go(request, request.get_full_path())  # from the batch bar: it is a page of its own
    values = request.POST if request.method == "POST" else request.GET
    if "id" in values:
        return go(request, _by_number(request, values))
    step = values.get("step", "")
    form = BackfillForm(values if step else None, _scope(request), _initial(request))
    context: dict[str, Any] = {"form": form, "modes": _modes(form), "crumbs": _crumbs(request)}
    status = 200
    if step and not form.is_valid():
        status = 422
    elif step:
        try:
            if request.method == "POST":
                return _ask(request, form)
            context["preview"] = _preview(request, form)
        except Invalid as error:
            _refuse(form, error)
            status = 422
        except Refused as error:
            context |= {"refused": str(error), "preview": _preview(request, form)}
            status = error.status
    hidden = [(name, value) for name in values if name not in _STEPS for value in values.getlist(name)]
    context |= {"hidden": hidden, "token": uuid.uuid4().hex}
    context |= {"chosen": form.chosen, "pick_url": here(request, "backfill_pick")}
    return live.whole(request, "console/backfills/new.html", context, status=status)


def _scope(request: ConsoleRequest) -> Scope:
    return Scope(request.user, request.workspace, request.environment)


@in_workspace
@require_safe
def pick(request: ConsoleRequest) -> HttpResponse:
    """What fits the text of a field that names tasks, without those that are chosen there already."""
    name = request.GET.get("field", "")
    *chosen, text = request.GET.getlist(name) or [""]
    words = text.replace("，", ",").split(",")[-1].strip()[:255]
    numbers = [int(one) for one in ",".join(chosen).split(",") if is_id(one)]
    found = _scope(request).search(words, without=numbers) if words else []
    context = {"name": name, "words": words, "found": found[:FOUND], "has_more": len(found) > FOUND}
    return live.as_part(render(request, "components/found_tasks.html", context))


def _ask(request: ConsoleRequest, form: BackfillForm) -> HttpResponse:
    operation = backfills.ask(
        actor(request),
        request.workspace,
        request.environment,
        form.request(),
        fingerprint=request.POST.get("fingerprint", "")[:64],
        comment=form.cleaned_data["comment"],
        client_token=request.POST.get("token", "")[:64] or None,
    )
    return go(request, here(request, "backfill", pk=backfills.job_of(operation).pk))


def _preview(request: ConsoleRequest, form: BackfillForm) -> dict[str, Any]:
    found = backfills.preview(actor(request), request.workspace, request.environment, form.request())
    return preview_of(request, found)


def _refuse(form: BackfillForm, error: Invalid) -> None:
    """At the field of the dialog that shows what the request names otherwise."""
    names = {"roots": "tasks", "ranges": "first_1"}
    if form.cleaned_data.get("mode") == Mode.ADVANCED:
        names["include"] = "tasks"
    field = str(error.reason.params.get("field", ""))
    if names.get(field, field) in form.fields:
        form.add_error(names.get(field, field), str(error))
    else:
        refuse(form, error)


def _by_number(request: ConsoleRequest, values: QueryDict) -> str:
    """The address with the numbers of tasks that a list has chosen by their keys."""
    keys = [int(text) for text in values.getlist("id") if text.isascii() and text.isdigit() and len(text) < 19]
    found = selectors.tasks(request.user, request.workspace, request.environment).filter(pk__in=keys)
    numbers = ",".join(str(number) for number in found.order_by("number").values_list("number", flat=True))
    mode = values.get("mode") or (Mode.CURRENT if len(keys) == 1 else Mode.ADVANCED)
    return here(request, "backfill_new") + query_string({"tasks": numbers, "mode": mode})


def _initial(request: ConsoleRequest) -> dict[str, Any]:
    """The task that one comes from, and yesterday; or what an earlier backfill was asked for with."""
    yesterday = latest_bizdate(clock.now(), request.workspace.tenant.time_zone)
    modes = [mode.value for mode in Mode]
    mode = request.GET.get("mode", "")
    initial: dict[str, Any] = {
        "mode": mode if mode in modes else Mode.CURRENT.value,
        "tasks": request.GET.get("tasks", "")[:1000],
        "first_1": yesterday,
        "last_1": yesterday,
    }
    like = request.GET.get("like", "")
    jobs = backfill_counts.jobs(request.user, request.workspace, request.environment)
    job = jobs.filter(pk=int(like)).first() if like.isascii() and like.isdigit() and len(like) < 19 else None
    return initial if job is None else initial | _as_asked(job)


def _as_asked(job: Backfill) -> dict[str, Any]:
    asked = from_json(job.request)
    is_free = asked.mode is Mode.ADVANCED
    again: dict[str, Any] = {
        "mode": asked.mode.value,
        "tasks": _commas((*asked.roots, *asked.include) if is_free else asked.roots),
        "include": "" if is_free else _commas(asked.include),
        "exclude": _commas(asked.exclude),
        "depth": asked.depth,
        "workspaces": asked.workspaces,
        "start": asked.start,
        "end": asked.end,
        "order": asked.order.value,
        "groups": asked.groups,
        "on_failure": asked.on_failure.value,
        "alert": alert_kind(asked.alert),
        "mail": backfill_mail.is_wanted(job.request),
        "immediately": asked.immediately,
        "later": not asked.autostart,
        "priority": asked.priority,
        "resource_group": asked.resource_group,
        "data_sources": ", ".join(f"{old}={new}" for old, new in asked.data_sources.items()),
        "parameters": "\n".join(f"{task}: {n}='{v}'" if task else f"{n}='{v}'" for task, n, v in parameters_of(job)),
    }
    if asked.run_window:
        again |= dict(zip(("window_from", "window_to", "weekend"), asked.run_window, strict=True))
    for n, one in enumerate(asked.ranges, start=1):
        again |= {f"first_{n}": one.first, f"last_{n}": one.last}
    return again


def _commas(numbers: Iterable[int]) -> str:
    return ",".join(map(str, dict.fromkeys(numbers)))


def _modes(form: BackfillForm) -> list[dict[str, Any]]:
    chosen = form["mode"].value()
    return [
        {"code": mode.value, "name": name, "old": old, "checked": chosen == mode.value}
        for mode, (name, old) in MODES.items()
    ]


def _crumbs(request: ConsoleRequest) -> list[tuple[str, str]]:
    return [(_("Backfills"), here(request, "backfill_list"))]


def _why_not(request: ConsoleRequest) -> str:
    return "" if request.member.may(Permission.TEST_TASK, own=True) else why_not(request, Permission.TEST_TASK)

"""Operations on instances as people ask for them: the question, the deed, and what became of it."""

import uuid
from collections.abc import Sequence
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from opscenter.base.reasons import Invalid, say
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial, permitted
from opscenter.console.operation_words import WORDS
from opscenter.console.templatetags.ui import scheduled
from opscenter.operations import door
from opscenter.operations import trigger as trigger_operation
from opscenter.operations.models import Operation
from opscenter.operations.registry import OPERATIONS, OperationSpec, operations_on, refusal
from opscenter.production import selectors
from opscenter.production.models import TaskInstance, TriggerCommand
from opscenter.workspaces.roles import Permission


class CommentForm(forms.Form):
    """What every operation asks for."""

    use_required_attribute = False

    comment = forms.CharField(
        label=gettext_lazy("Comment"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Kept in the history and in the audit trail."),
    )


@in_workspace
@permitted(Permission.OPERATE_INSTANCE, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def operate(request: ConsoleRequest, code: str) -> HttpResponse:
    """Ask whether to do an operation to the instances ``id``, and do it when the question is answered."""
    spec = operations_on("instance").get(code.replace("-", "_"))
    if spec is None:
        raise Http404
    values = request.POST if request.method == "POST" else request.GET
    ids = _ids(values.getlist("id"))
    form = CommentForm(request.POST if request.method == "POST" else None)
    back = _back(request, values.get("next", ""))
    if request.method != "POST" or not form.is_valid():
        return _question(request, spec, ids, form, back)
    done = door.apply(
        spec.code,
        actor(request),
        request.workspace,
        request.environment,
        ids,
        comment=form.cleaned_data["comment"],
        client_token=values.get("token", "")[:64] or None,
    )
    return _after(request, done, back)


def _ids(texts: Sequence[str]) -> list[int]:
    known = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]
    if len(known) != len(texts) or not 0 < len(known) <= door.MOST:
        raise Invalid("operation.count_instance", most=door.MOST, given=len(texts))
    return list(dict.fromkeys(known))


def _question(
    request: ConsoleRequest, spec: OperationSpec, ids: list[int], form: CommentForm, back: str
) -> HttpResponse:
    found = selectors.instances(request.user, request.workspace, request.environment).select_related("version")
    targets = list(found.filter(pk__in=ids).order_by("-scheduled_at", "-pk"))
    refusals = {target.pk: refusal(spec, target, request.member) for target in targets}
    able = [target for target in targets if refusals[target.pk] is None]
    words = WORDS[spec.code]
    left = [
        {"name": target.task.name, "why": say(reason.code, reason.params)}
        for target in targets
        if (reason := refusals[target.pk]) is not None
    ]
    zone = request.workspace.tenant.time_zone
    context = {
        "title": _("%(verb)s?") % {"verb": words.for_count(len(able) or len(ids))},
        "text": words.text if able else _("None of the chosen instances allows this now."),
        "verb": words.for_count(len(able)),
        "irreversible": spec.danger,
        "names": _names(able, zone),
        "left": left,
        "unknown": len(ids) - len(targets),
        "ids": [target.pk for target in able],
        "form": form,
        "back": back,
        "token": request.POST.get("token") or uuid.uuid4().hex,
        "action_url": request.path,
    }
    return _ask(request, context)


def _names(targets: Sequence[TaskInstance], zone: str) -> list[dict[str, str]]:
    return [{"name": target.task.name, "note": scheduled(target.scheduled_at, zone)} for target in targets]


def _ask(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    form = context["form"]
    template = "console/instances/question_dialog.html" if is_partial(request) else "console/instances/question.html"
    return render(request, template, context, status=422 if form.errors else 200)


def _after(request: ConsoleRequest, done: Operation, back: str) -> HttpResponse:
    """Back where one came from; to the list of results when an instance was left as it was."""
    targets = list(done.targets.all())
    count = sum(target.done for target in targets)
    if count == len(targets):
        messages.success(request, _("Done: %(what)s.") % {"what": WORDS[done.code].for_count(count)})
        return go(request, back)
    return go(request, here(request, "instance_operation", pk=done.pk))


@in_workspace
@require_safe
def operation(request: ConsoleRequest, pk: int) -> HttpResponse:
    """What was asked, by whom, and what became of each instance."""
    found = Operation.objects.filter(workspace=request.workspace, environment=request.environment)
    done = get_object_or_404(found.select_related("actor"), pk=pk)
    targets = list(done.targets.order_by("done", "object_id"))
    instances = selectors.instances(request.user, request.workspace, request.environment).in_bulk(
        [target.object_id for target in targets]
    )
    results = [
        {
            "instance": instances.get(target.object_id),
            "id": target.object_id,
            "done": target.done,
            "why": "" if target.done or not target.reason else say(target.reason["code"], target.reason["params"]),
        }
        for target in targets
    ]
    spec = OPERATIONS.get(done.code)
    context = {
        "operation": done,
        "name": spec.name if spec else _("Run now"),
        "results": results,
        "count": sum(target.done for target in targets),
        "zone": request.workspace.tenant.time_zone,
    }
    return render(request, "console/instances/operation.html", context)


@in_workspace
@permitted(Permission.TRIGGER, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def trigger(request: ConsoleRequest, pk: int) -> HttpResponse:
    """Ask whether to trigger an HTTP trigger instance, and do it, as an external system would."""
    found = selectors.instances(request.user, request.workspace, request.environment)
    target: TaskInstance = get_object_or_404(found, pk=pk)
    back = here(request, "instance", pk=pk)
    if request.method == "POST":
        command = trigger_operation.trigger(
            actor(request),
            task_number=target.task.number,
            environment=target.environment,
            scheduled_at=target.scheduled_at,
            workspace_id=request.workspace.pk,
            bizdate=target.bizdate,
        )
        level = messages.SUCCESS if command.status == TriggerCommand.Status.FIRED else messages.INFO
        messages.add_message(request, level, say(command.reason["code"], command.reason["params"]))
        return go(request, back)
    context = {
        "title": _("Trigger %(name)s?") % {"name": target.task.name},
        "text": _(
            "This does what an external system does with its call. When all other conditions are met, the instance "
            "succeeds at once and what waits for it starts; otherwise the command is held for up to 24 hours."
        ),
        "verb": _("Trigger"),
        "names": _names([target], request.workspace.tenant.time_zone),
        "form": forms.Form(),
        "back": back,
        "action_url": request.path,
    }
    return _ask(request, context)


def _back(request: HttpRequest, asked: str) -> str:
    """Where to go afterwards: what the question carried along, or the page that it was asked on."""
    for url in (asked, request.headers.get("HX-Current-URL", ""), request.headers.get("Referer", "")):
        if url and url_has_allowed_host_and_scheme(url, {request.get_host()}):
            return url
    return "/"

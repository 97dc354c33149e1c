"""Operations on instances and tasks as people ask for them: the question, the deed, and what became of it."""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext_lazy
from django.views.decorators.http import require_http_methods, require_safe

from extensions.models import Check
from opscenter.base.reasons import Forbidden, Invalid, say
from opscenter.console import descendants, live
from opscenter.console.access import ConsoleRequest, actor, go, here, in_workspace, is_partial, permitted
from opscenter.console.matching import Matching, chosen
from opscenter.console.matching import words as told_of
from opscenter.console.operation_forms import FORMS, OperationForm
from opscenter.console.operation_parts import asked_in_words, told
from opscenter.console.operation_words import WORDS
from opscenter.console.questions import ask, back_url
from opscenter.console.templatetags.ui import scheduled
from opscenter.console.views.operation_page import checks_dialog
from opscenter.operations import bulk, door
from opscenter.operations import trigger as trigger_operation
from opscenter.operations.models import Operation
from opscenter.operations.permits import missing
from opscenter.operations.registry import OperationSpec, operations_on
from opscenter.operations.results import judge
from opscenter.production import backfill_counts, selectors
from opscenter.production.models import Backfill, Task, TaskInstance, TriggerCommand
from opscenter.workspaces.roles import Permission


@dataclass(frozen=True)
class _Kind:
    """What differs between a question about instances and one about tasks.

    Attributes:
        read: the chosen ones that the asker may see, in the order in which they are named.
        named: one of them, as the question names it.
        none_able: said when none of them allows the operation.
        left: heads the list of those that stay as they are.
        unknown: says how many of the chosen ones do not exist.
    """

    read: Callable[[ConsoleRequest, Sequence[int]], list[Any]]
    named: Callable[[Any, str], dict[str, str]]
    none_able: Promise
    left: Any
    unknown: Any


def _instances(request: ConsoleRequest, ids: Sequence[int]) -> list[TaskInstance]:
    found = selectors.instances(request.user, request.workspace, request.environment).select_related("version")
    return list(found.filter(pk__in=ids).order_by("-scheduled_at", "-pk"))


def _tasks(request: ConsoleRequest, ids: Sequence[int]) -> list[Task]:
    found = selectors.tasks(request.user, request.workspace, request.environment)
    return list(found.filter(pk__in=ids).order_by("name", "pk"))


def _backfills(request: ConsoleRequest, ids: Sequence[int]) -> list[Backfill]:
    found = backfill_counts.jobs(request.user, request.workspace, request.environment)
    return list(found.filter(pk__in=ids).order_by("-pk"))


_KINDS = {
    "instance": _Kind(
        _instances,
        lambda one, zone: {"name": one.task.name, "note": scheduled(one.scheduled_at, zone)},
        gettext_lazy("None of the chosen instances allows this now."),
        ngettext_lazy("%(n)s instance stays as it is", "%(n)s instances stay as they are", "n"),
        ngettext_lazy(
            "%(n)s chosen instance does not exist here any more.",
            "%(n)s chosen instances do not exist here any more.",
            "n",
        ),
    ),
    "task": _Kind(
        _tasks,
        lambda one, zone: {"name": one.name, "note": str(one.number)},
        gettext_lazy("None of the chosen tasks allows this now."),
        ngettext_lazy("%(n)s task stays as it is", "%(n)s tasks stay as they are", "n"),
        ngettext_lazy(
            "%(n)s chosen task does not exist here any more.", "%(n)s chosen tasks do not exist here any more.", "n"
        ),
    ),
    "backfill": _Kind(
        _backfills,
        lambda one, zone: {"name": one.name, "note": str(one.pk)},
        gettext_lazy("The backfill does not allow this now."),
        ngettext_lazy("%(n)s backfill stays as it is", "%(n)s backfills stay as they are", "n"),
        ngettext_lazy(
            "%(n)s chosen backfill does not exist here any more.",
            "%(n)s chosen backfills do not exist here any more.",
            "n",
        ),
    ),
}


@in_workspace
@require_http_methods(["GET", "HEAD", "POST"])
def operate_instances(request: ConsoleRequest, code: str) -> HttpResponse:
    """Ask whether to do an operation to the instances ``id``, and do it when the question is answered."""
    return _operate(request, operations_on("instance").get(code.replace("-", "_")))


@in_workspace
@permitted(Permission.OPERATE_INSTANCE, own=True)
@require_http_methods(["GET", "HEAD", "POST"])
def operate_backfills(request: ConsoleRequest, code: str) -> HttpResponse:
    """The same for the backfills ``id``."""
    return _operate(request, operations_on("backfill").get(f"{code}_backfill"))


@in_workspace
@require_http_methods(["GET", "HEAD", "POST"])
def operate_tasks(request: ConsoleRequest, code: str) -> HttpResponse:
    """The same for the tasks ``id``; where extensions are asked first, the answer is their checks."""
    return _operate(request, operations_on("task").get(f"{code.replace('-', '_')}_task"))


def _operate(request: ConsoleRequest, spec: OperationSpec | None) -> HttpResponse:
    if spec is None or spec.code == "make_backfill":  # which has a page of its own
        raise Http404
    member = request.member
    if not (member.may(spec.permission) or member.may(spec.permission, own=True)):
        raise Forbidden("permission.missing", **missing(spec.permission, member))
    values = request.POST if request.method == "POST" else request.GET
    form = FORMS.get(spec.code, OperationForm)(request)
    back = back_url(request, values.get("next", ""))
    if (matching := chosen(request, spec)) is not None:
        return _operate_on_all(request, spec, matching, form, back)
    earlier = _earlier(request, spec)
    ids = _left_by(earlier, spec) if earlier else _ids(values.getlist("id"), spec.object_type)
    if request.method != "POST" or not form.is_valid():
        return _question(request, spec, ids, form, back)
    done = door.apply(
        spec.code,
        actor(request),
        request.workspace,
        request.environment,
        form.objects(ids),
        arguments=form.arguments(),
        comment=form.cleaned_data["comment"],
        client_token=values.get("token", "")[:64] or None,
    )
    return _after(request, done, back)


def _operate_on_all(
    request: ConsoleRequest, spec: OperationSpec, matching: Matching, form: OperationForm, back: str
) -> HttpResponse:
    """The same for all that match a filter."""
    if request.method == "POST" and form.is_valid():
        done = bulk.apply_to_all(
            spec.code,
            actor(request),
            request.workspace,
            request.environment,
            matching.found,
            matching.asked,
            arguments=form.arguments(),
            comment=form.cleaned_data["comment"],
            client_token=request.POST.get("token", "")[:64] or None,
        )
        return _after(request, done, back)
    count = matching.count()
    if not 0 < count <= bulk.LARGEST:
        raise Invalid("operation.matching", most=bulk.LARGEST, is_too_many=count > 0)
    if earlier := _earlier(request, spec):
        form.repeat(earlier)
    words = WORDS[spec.code]
    context = {
        "title": _("%(verb)s?") % {"verb": words.for_count(count)},
        "text": words.text,
        "notice": told_of(spec, count, matching.able(spec)),
        "verb": words.for_count(count),
        "irreversible": spec.danger,
        "asked": _asked(request, spec),
        "hidden": matching.hidden,
        "form": form,
        "back": back,
        "token": request.POST.get("token") or uuid.uuid4().hex,
        "action_url": request.path,
    }
    return ask(request, context)


def _ids(texts: Sequence[str], object_type: str) -> list[int]:
    known = [int(text) for text in texts if text.isascii() and text.isdigit() and len(text) < 19]
    if len(known) != len(texts):
        raise Invalid("operation.no_ids")
    if not 0 < len(known) <= door.MOST:
        raise Invalid(f"operation.count_{object_type}", most=door.MOST, given=len(texts))
    return list(dict.fromkeys(known))


def _earlier(request: ConsoleRequest, spec: OperationSpec) -> Operation | None:
    """The operation of the same kind whose rest is asked for once more; None where there is none."""
    number = request.GET.get("again", "")
    if not number:
        return None
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise Http404
    found = Operation.objects.filter(workspace=request.workspace, environment=request.environment, code=spec.code)
    return get_object_or_404(found, pk=int(number))


def _left_by(earlier: Operation, spec: OperationSpec) -> list[int]:
    """What it did not do."""
    left = earlier.targets.filter(done=False, object_type=spec.object_type).order_by("pk")
    return list(left.values_list("object_id", flat=True)) or _ids([], spec.object_type)


def _question(
    request: ConsoleRequest, spec: OperationSpec, ids: list[int], form: OperationForm, back: str
) -> HttpResponse:
    kind = _KINDS[spec.object_type]
    targets = {target.pk: target for target in kind.read(request, ids)}
    refusals = judge(spec, targets, ids, request.member)
    able = [target for pk, target in targets.items() if refusals[pk] is None]
    form.start_from(able)
    if earlier := _earlier(request, spec):
        form.repeat(earlier)
    zone = request.workspace.tenant.time_zone
    left = [
        {"name": kind.named(target, zone)["name"], **told(request, reason)}
        for pk, target in targets.items()
        if (reason := refusals[pk]) is not None
    ]
    unknown = len(ids) - len(targets)
    words = WORDS[spec.code]
    context = {
        "title": _("%(verb)s?") % {"verb": words.for_count(len(able) or len(ids))},
        "text": words.text if able else kind.none_able,
        "verb": words.for_count(len(able)),
        "irreversible": spec.danger,
        "names": [kind.named(target, zone) for target in able],
        "left": left,
        "left_words": kind.left % {"n": len(left)},
        "unknown": kind.unknown % {"n": unknown} if unknown else "",
        "asked": _asked(request, spec) if able else [],
        "ids": [target.pk for target in able],
        "form": form,
        "part": form.part if able else "",
        "shown": form.shown(request, able) if able else None,
        "zone": zone,
        "back": back,
        "token": request.POST.get("token") or uuid.uuid4().hex,
        "action_url": request.path,
    }
    return ask(request, context)


def _asked(request: ConsoleRequest, spec: OperationSpec) -> list[str]:
    """Who is asked first, and who only advises, as sentences."""
    deciding = door.asked_first(spec, request.workspace, request.environment)
    advising = door.asked_first(spec, request.workspace, request.environment, is_mandatory=False)
    return asked_in_words(deciding, advising)


def _after(request: ConsoleRequest, done: Operation, back: str) -> HttpResponse:
    """Its checks, if extensions were asked; else back where one came from; to the results when something was refused."""
    if Check.objects.filter(event__operation=done.pk).exists():
        return checks_dialog(request, done, back) if is_partial(request) else go(request, _page(request, done))
    if done.status == Operation.Status.RUNNING:
        return go(request, _page(request, done))
    targets = list(done.targets.all())
    count = sum(bool(target.done) for target in targets)
    if count == len(targets):
        messages.success(request, _("Done: %(what)s.") % {"what": WORDS[done.code].for_count(count)})
        return go(request, back)
    return go(request, _page(request, done))


def _page(request: ConsoleRequest, done: Operation) -> str:
    return here(request, "operation", pk=done.pk)


@in_workspace
@permitted(Permission.OPERATE_INSTANCE, own=True)
@require_safe
def instance_descendants(request: ConsoleRequest, pk: int) -> HttpResponse:
    """One level of descendants to tick, put under the instance in the question that shows it."""
    found = selectors.instances(request.user, request.workspace, request.environment)
    level = descendants.level(request, get_object_or_404(found, pk=pk))
    return live.as_part(render(request, "console/operations/level.html", {"level": level, "zone": _zone(request)}))


def _zone(request: ConsoleRequest) -> str:
    return request.workspace.tenant.time_zone


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
        "names": [_KINDS["instance"].named(target, request.workspace.tenant.time_zone)],
        "form": forms.Form(),
        "back": back,
        "action_url": request.path,
    }
    return ask(request, context)

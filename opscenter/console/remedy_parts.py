"""What people can do about a condition: buttons, links to what stands in the way, and the names of who can."""

from collections.abc import Sequence
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from opscenter.base import clock
from opscenter.base.reasons import Reason, say
from opscenter.console.access import ConsoleRequest, here
from opscenter.console.operation_parts import buttons, operation_url
from opscenter.console.operation_words import WORDS
from opscenter.operations.permits import missing
from opscenter.operations.registry import OPERATIONS, operations_on, refusal
from opscenter.production.helpers import Helpers, People, Place
from opscenter.production.models import Recurrence, Task, TaskInstance
from opscenter.production.node_types import HTTP_TRIGGER
from opscenter.production.rules import trigger as trigger_rules
from opscenter.production.rules.explain import Condition
from opscenter.production.rules.remedies import Remedy, Who
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Member
from opscenter.workspaces.roles import ROLES, Permission


def trigger_action(request: ConsoleRequest, instance: TaskInstance) -> dict[str, Any]:
    """The button that does what an external system does."""
    reason = trigger_refusal(request.member, instance)
    return {
        "label": _("Trigger now"),
        "icon": "plug",
        "key": "t",
        "url": here(request, "instance_trigger", pk=instance.pk),
        "why_not": "" if reason is None else say(reason.code, reason.params),
    }


def trigger_refusal(member: Member, instance: TaskInstance) -> Reason | None:
    """Why a trigger by this member would change nothing now; None when it would fire or be held."""
    if not member.may(Permission.TRIGGER, own=instance.task.owner_id == member.user_id):
        return Reason("permission.missing", missing(Permission.TRIGGER, member))
    held = instance.trigger_commands.filter(status="held").first()
    decision = trigger_rules.decide(
        trigger_rules.TriggerSnapshot(
            is_trigger_node=instance.node_type == HTTP_TRIGGER.code,
            task_online=instance.task.status == Task.Status.ONLINE,
            task_frozen=instance.task.recurrence == Recurrence.PAUSE,
            instance_exists=True,
            instance_frozen=instance.frozen,
            bypassed=instance.bypasses_trigger or Kind(instance.kind).is_dry_run,
            state=State(instance.state),
            unmet=instance.unmet,
            scheduled_at=instance.not_before or instance.scheduled_at,
            now=clock.now(),
            resource_ok=True,  # fired or held: both are a reason to call
            command_held_until=held.held_until if held else None,
        )
    )
    if decision.outcome in (trigger_rules.Outcome.FIRED, trigger_rules.Outcome.HELD):
        return None
    named = {"task": instance.task.number, "environment": instance.environment, "scheduled_at": instance.scheduled_at}
    return Reason(decision.reason.code, named | dict(decision.reason.params))


class Remedies:
    """What helps with conditions: the instances it would be done to are read once for all.

    Args:
        instance: whose conditions they are; None for those of many.
    """

    def __init__(self, request: ConsoleRequest, instance: TaskInstance | None, conditions: Sequence[Condition]) -> None:
        self._request = request
        self._instance = instance
        unmet = [condition for condition in conditions if not condition.met]
        ids = {pk for condition in unmet for pk in _shown(condition)} | {
            pk
            for condition in unmet
            for remedy in condition.remedies
            if _is_on_instances(remedy)
            for pk in remedy.targets
        }
        self._targets = {
            target.pk: target
            for target in TaskInstance.objects.filter(pk__in=ids)
            .select_related("task", "version", "workspace")
            .defer("version__content")
        }
        self._members: dict[int, Member | None] = {request.workspace.pk: request.member}
        self._own = Place(request.workspace.pk, instance.task.owner_id if instance is not None else 0)
        places = [self._own, *(_place(target) for target in self._targets.values())]
        self._helpers = Helpers(places, request.workspace.tenant_id)

    def buttons(self, condition: Condition) -> list[dict[str, Any]]:
        """The buttons of one condition."""
        found = []
        for remedy in condition.remedies:
            if remedy.operation == "unfreeze_task":
                found.append(self._unfreeze_task())
                continue
            targets = self._on(remedy)
            if remedy.operation in OPERATIONS and targets:
                found.append(self._operation(remedy, targets))
            elif remedy.operation == "trigger" and targets:
                found.append(self._trigger(targets[0]))
        return found

    def help(self, condition: Condition) -> list[str]:
        """What would change it, where no button says so, and who can."""
        said = [
            say(remedy.reason.code, remedy.reason.params)
            for remedy in condition.remedies
            if remedy.operation
            in ("wait", "publish", "start_worker", "start_courier", "start_scheduler", "add_slots", "trigger")
        ]
        for who in dict.fromkeys(remedy.who for remedy in condition.remedies):
            targets = [one for remedy in condition.remedies if remedy.who is who for one in self._on(remedy)]
            people = self._helpers.people(who, [_place(target) for target in targets] or [self._own])
            if people is not None:
                said.append(_who(who, people))
            elif who is Who.HOSTS:
                said.append(_("Whoever runs Opscenter on its hosts can do that."))
        return said

    def culprits(self, condition: Condition) -> list[dict[str, str]]:
        """Links to the instances that stand in the way, as far as the reader may open them."""
        found = [self._targets[pk] for pk in _shown(condition) if pk in self._targets]
        links = [
            {"name": one.task.name, "url": self._url("instance", one)}
            for one in found
            if self._member(one.workspace_id) is not None
        ]
        if "group" in condition.reason.params:
            links.append({"name": _("Resource groups"), "url": here(self._request, "group_list")})
        return links

    def _on(self, remedy: Remedy) -> list[TaskInstance]:
        if not _is_on_instances(remedy):
            return []
        return [self._targets[pk] for pk in remedy.targets if pk in self._targets]

    def _operation(self, remedy: Remedy, targets: list[TaskInstance]) -> dict[str, Any]:
        first = targets[0]
        same = [target for target in targets if target.workspace_id == first.workspace_id]
        member = self._member(first.workspace_id)
        reasons = [] if member is None else [refusal(OPERATIONS[remedy.operation], one, member) for one in same]
        able = [one.pk for one, reason in zip(same, reasons, strict=False) if reason is None]
        return {
            "label": self._label(str(OPERATIONS[remedy.operation].name), same),
            "icon": WORDS[remedy.operation].icon,
            "url": operation_url(self._request, remedy.operation, able, first.workspace_id),
            "why_not": "" if able else _why_not(member, first, reasons),
        }

    def _unfreeze_task(self) -> dict[str, Any]:
        """For the instance's own task: the instances to come are then not born frozen."""
        assert self._instance is not None  # nothing else has such a remedy
        (button,) = (one for one in buttons(self._request, self._instance.task) if one["code"] == "unfreeze_task")
        return {**button, "label": _("Unfreeze the task")}

    def _trigger(self, target: TaskInstance) -> dict[str, Any]:
        member = self._member(target.workspace_id)
        reason = None if member is None else trigger_refusal(member, target)
        return {
            "label": self._label(_("Trigger now"), [target]),
            "icon": "plug",
            "url": self._url("instance_trigger", target),
            "why_not": "" if member and reason is None else _why_not(member, target, [reason]),
        }

    def _url(self, view: str, target: TaskInstance) -> str:
        env = self._request.environment.value.lower()
        return reverse(f"console:{view}", kwargs={"workspace_id": target.workspace_id, "env": env, "pk": target.pk})

    def _label(self, operation: str, targets: list[TaskInstance]) -> str:
        if self._instance is None or [target.pk for target in targets] == [self._instance.pk]:
            return operation
        count = len(targets)
        return ngettext("%(operation)s: upstream", "%(operation)s: %(n)s upstream", count) % {
            "operation": operation,
            "n": count,
        }

    def _member(self, workspace_id: int) -> Member | None:
        if workspace_id not in self._members:
            mine = Member.objects.filter(user=self._request.user, workspace_id=workspace_id)
            self._members[workspace_id] = mine.select_related("workspace").first()
        return self._members[workspace_id]


def _shown(condition: Condition) -> list[int]:
    """The instances that a condition names: those at the bottom of the chain where they are known, and who holds slots."""
    params = condition.reason.params
    named = params.get("roots") or params.get("blocking") or params.get("occupants") or ()
    return [one["id"] for one in named]


def _is_on_instances(remedy: Remedy) -> bool:
    return remedy.operation in operations_on("instance") or remedy.operation in ("trigger", "look")


def _place(target: TaskInstance) -> Place:
    return Place(target.workspace_id, target.task.owner_id)


def _why_not(member: Member | None, target: TaskInstance, reasons: Sequence[Reason | None]) -> str:
    if member is None:
        return _("It belongs to another workspace. Ask one of its members.")
    reason = next((one for one in reasons if one is not None), None)
    return "" if reason is None else say(reason.code, reason.params)


def _who(who: Who, people: People) -> str:
    """The sentence that names them."""
    names = list(people.names)
    if not names:
        roles = ", ".join(str(ROLES[code].name) for code in people.roles)
        if not roles:
            return _("The tenant has no administrator. Whoever runs Opscenter can make one.")
        return _("Nobody in the workspace can at the moment. These roles can: %(roles)s.") % {"roles": roles}
    if people.more:
        names.append(_("and %(more)s more") % {"more": people.more})
    texts = {
        Who.OPERATORS: _("Who can rerun, unfreeze, stop or set it to succeeded: %(names)s."),
        Who.TASK_OPERATORS: _("Who can freeze and unfreeze the task: %(names)s."),
        Who.CALLERS: _("Who can trigger it: %(names)s."),
        Who.PUBLISHERS: _("Who can publish it: %(names)s."),
        Who.TENANT_ADMINS: _("Who can give the group more slots: %(names)s."),
    }
    return texts[who] % {"names": ", ".join(names)}

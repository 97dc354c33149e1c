"""A workspace whose tasks extensions guard: operations asked for, verdicts given, and what came of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from extensions.models import Check, Enablement, Event, Extension
from extensions.tokens import token_of
from opscenter.base import clock
from opscenter.operations import checked
from opscenter.operations.actor import Actor
from opscenter.operations.door import apply
from opscenter.operations.models import Operation
from opscenter.production.models import Task
from opscenter.workspaces.models import AuditEntry, User, Workspace
from tests.cast import Cast

Face, Verdict = AuditEntry.Face, Check.Verdict
POINTS = ("freeze-node", "unfreeze-node")
OPEN = "open"


class Guarded(Cast):
    """The cast, with extensions; O&M asks for operations unless told otherwise."""

    def extension(
        self,
        name: str = "guard",
        *,
        status: Extension.Status = Extension.Status.ONLINE,
        workspace: Workspace | None = None,
        test_workspace: Workspace | None = None,
        **facts: Any,
    ) -> Extension:
        """An extension that is enabled in the workspace; ``facts`` of the extension or of the enablement."""
        enablement = {
            key: facts.pop(key)
            for key in ("is_enabled", "is_mandatory", "answer_limit", "silence_blocks")
            if key in facts
        }
        values: dict[str, Any] = {"webhook_url": "https://guard.example.com/", "points": list(POINTS)} | facts
        values.setdefault("owner", User.objects.filter(username=f"{self.name}-guard").first() or self.user("guard"))
        made = Extension.objects.create(
            tenant=self.tenant, name=name, status=status, test_workspace=test_workspace or self.workspace, **values
        )
        Enablement.objects.create(
            extension=made, workspace=workspace or self.workspace, **({"is_enabled": True} | enablement)
        )
        return made

    def freeze(self, *tasks: Task, by: User | None = None, **how: Any) -> Operation:
        """Ask for the freezing of tasks."""
        return self.ask("freeze_task", tasks, by=by, **how)

    def unfreeze(self, *tasks: Task, by: User | None = None, **how: Any) -> Operation:
        """Ask for the unfreezing of tasks."""
        return self.ask("unfreeze_task", tasks, by=by, **how)

    def ask(self, code: str, objects: Sequence[Any], *, by: User | None = None, **how: Any) -> Operation:
        """Ask for an operation."""
        environment = how.pop("environment", "Prod")
        workspace = how.pop("workspace", self.workspace)
        return apply(code, self.actor(by), workspace, environment, [one.pk for one in objects], **how)

    def actor(self, user: User | None = None, **how: Any) -> Actor:
        """A user at the console."""
        return Actor(user or self.operator, Face.CONSOLE, address="10.1.2.3", **how)


def checks_of(operation: Operation) -> list[Check]:
    """Its checks as they are now, by the names of the extensions; those of one in the order of their events."""
    found = Check.objects.filter(event__operation=operation.pk).select_related("extension", "event")
    return list(found.order_by("extension__name", "event__at", "pk"))


def check_of(operation: Operation) -> Check:
    """Its only check."""
    (check,) = checks_of(operation)
    return check


def say(check: Check, verdict: str, words: str = "") -> Check:
    """The extension answers by the callback URL."""
    return checked.answer_by_token(check.pk, token_of(check), Verdict(verdict), words)


def event_of(operation: Operation) -> Event:
    """The message about it."""
    return Event.objects.get(operation=operation.pk)


def status_of(operation: Operation) -> str:
    """Its status now."""
    operation.refresh_from_db()
    return operation.status


def told(operation: Operation) -> dict[int, str | None]:
    """Object -> code of its refusal, None if it was done, ``OPEN`` while nobody knows."""
    found: dict[int, str | None] = {}
    for target in operation.targets.order_by("pk"):
        assert (target.open_code is not None) is (target.done is None)
        assert target.done is None or target.done is (target.reason is None)
        found[target.object_id] = OPEN if target.done is None else target.reason["code"] if target.reason else None
    return found


def frozen(*tasks: Task) -> list[bool]:
    """Whether these tasks are frozen now."""
    now = Task.objects.in_bulk([task.pk for task in tasks])
    return [now[task.pk].recurrence == "Pause" for task in tasks]


def trail(operation: Operation) -> list[tuple[str, User | None]]:
    """What the audit trail says of it: codes, each with who did it."""
    entries = AuditEntry.objects.filter(object_type="operation", object_id=str(operation.pk)).order_by("pk")
    return [(entry.action, entry.actor) for entry in entries.select_related("actor")]


def pass_time(check: Check, **by: float) -> None:
    """As if so much more time had passed since the check was opened."""
    gone = timedelta(**by)
    check.refresh_from_db()
    check.opened_at -= gone
    check.due_at = check.due_at - gone if check.due_at else None
    check.save(update_fields=["opened_at", "due_at"])


def seconds_left(check: Check) -> float:
    """Until the end of the answer limit."""
    check.refresh_from_db()
    assert check.due_at is not None
    return (check.due_at - clock.now()).total_seconds()

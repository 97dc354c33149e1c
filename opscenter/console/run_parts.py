"""Running tasks now: who may, and why one cannot be."""

from opscenter.base.reasons import say
from opscenter.console.access import ConsoleRequest
from opscenter.operations.permits import missing
from opscenter.production.models import Task
from opscenter.workspaces.roles import Permission


def run_why_not(request: ConsoleRequest, found: Task) -> str:
    """Why the member cannot run the task now, to show at the button; empty when they can."""
    if not request.member.may(Permission.TEST_TASK, own=found.owner_id == request.user.pk):
        return say("permission.missing", missing(Permission.TEST_TASK, request.member))
    if found.status != Task.Status.ONLINE:
        return say("task.offline", {"task": found.name})
    return ""

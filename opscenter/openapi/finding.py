"""Finding what a call names; what the caller may not know of does not exist for it."""

from django.db.models import QuerySet

from opscenter.openapi import shapes
from opscenter.openapi.errors import fault, invalid
from opscenter.operations.actor import Actor
from opscenter.operations.permits import member_of
from opscenter.production.models import Attempt, Task, TaskInstance
from opscenter.workspaces.models import Workspace


def workspace(actor: Actor, workspace_id: int) -> Workspace:
    """A workspace that the caller is a member of."""
    return member_of(actor.user, workspace_id).workspace


def instance(actor: Actor, instance_id: int, environment: str | None = None) -> TaskInstance:
    """An instance with its details; ``environment``, if given, must be its own."""
    found = shapes.with_details(TaskInstance.objects.visible_to(actor.user)).filter(pk=instance_id)
    if environment is not None:
        found = found.filter(environment=environment)
    first = found.first()
    if first is None:
        where = f" in {environment}" if environment else ""
        raise fault(
            "Invalid.TaskInstance.NotExist",
            detail=f"There is no task instance {instance_id}{where}, or you are not a member of its workspace.",
        )
    return first


def attempt(of: TaskInstance, number: int | None) -> Attempt | None:
    """A run of an instance by its number; the latest without one, and None if it never ran."""
    attempts = of.attempts.order_by("-number")
    if number is None:
        return attempts.first()
    found = attempts.filter(number=number).first()
    if found is None:
        raise fault("Invalid.TaskInstance.RunNotExist", detail=f"The task instance {of.pk} has no run {number}.")
    return found


def tasks(actor: Actor) -> QuerySet[Task]:
    """The tasks that are online, with their versions and workspaces."""
    online = Task.objects.visible_to(actor.user).filter(status=Task.Status.ONLINE, version__isnull=False)
    return online.select_related("version", "workflow", "owner", "resource_group", "modified_by", "workspace__tenant")


def task(actor: Actor, number: int, environment: str, workspace: Workspace | None = None) -> Task:
    """A task that is online, with its version and workspace; ``workspace``, if given, must be its own."""
    named = tasks(actor).filter(number=number, environment=environment)
    found = (named if workspace is None else named.filter(workspace=workspace)).first()
    if found is None:
        raise fault("Invalid.Task.NotExist", detail=no_task(number, environment))
    return found


def no_task(number: int, environment: str) -> str:
    """What to say when there is no such task for the caller."""
    return f"There is no task {number} in {environment}, or you are not a member of its workspace."


def uid(owner: str) -> int:
    """The account id that an Owner filter names."""
    if not (owner.isascii() and owner.isdigit() and len(owner) <= 18):
        raise invalid("Owner", "It must be an account id, a decimal number.")
    return int(owner)

"""Resources: files that nodes name. The latest version is the one that runs use."""

from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from opscenter.base import blobs, clock
from opscenter.base.reasons import Invalid, NotFound, Refused, sentence
from opscenter.engine.run import REFERENCE
from opscenter.operations.actor import Actor
from opscenter.operations.permits import require
from opscenter.production.models import Resource, ResourceVersion, Task
from opscenter.workspaces import audit
from opscenter.workspaces.models import Tenant, Workspace
from opscenter.workspaces.roles import Permission

LONGEST_NAME = 128
LARGEST = 50 * 1024 * 1024
"""Bytes of one version."""


def reference(name: str) -> str:
    """The line by which a node's code names a resource."""
    return f'##@resource_reference{{"{name}"}}'


@transaction.atomic
def upload(actor: Actor, workspace: Workspace, name: str, content: bytes) -> tuple[ResourceVersion, bool]:
    """Store a file under a name: a new resource, or the next version of the one that has the name.

    Returns:
        The latest version, and whether it was made now: the same bytes as before make none.

    Raises:
        NotFound, Forbidden: the actor may not manage resources.
        Invalid: a name that cannot be a file's, or too large a file; ``field`` names which.
    """
    require(actor, workspace, Permission.MANAGE_RESOURCES)
    _check(name, content)
    Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)  # versions are numbered one after the other
    resource, _is_new = Resource.objects.get_or_create(workspace=workspace, name=name)
    latest = ResourceVersion.objects.filter(resource=resource).order_by("-number").first()
    blob = blobs.put(content)
    if latest is not None and latest.blob_id == blob.pk and resource.deleted_at is None:
        return latest, False
    if resource.deleted_at is not None:
        resource.deleted_at = None
        resource.save(update_fields=["deleted_at"])
    version = ResourceVersion.objects.create(
        resource=resource, number=latest.number + 1 if latest else 1, blob=blob, uploaded_by=actor.user
    )
    params = {"version": version.number, "size": blob.size, "sha256": blob.sha256}
    _record(actor, "resource.upload", resource, params)
    return version, True


@transaction.atomic
def delete(actor: Actor, workspace: Workspace, pk: int) -> Resource:
    """Take a resource away. Its versions are kept for the records of past attempts; its name is free for a new upload.

    Raises:
        NotFound, Forbidden: the actor may not manage resources, or there is no such resource.
        Refused: tasks name it.
    """
    require(actor, workspace, Permission.MANAGE_RESOURCES)
    Tenant.objects.select_for_update(no_key=True).get(pk=workspace.tenant_id)  # publishing holds it: no task joins now
    resource = find(workspace, pk)
    tasks = tasks_naming(workspace, resource.name)
    if tasks:
        raise Refused("resource.in_use", name=resource.name, tasks=[task.name for task in tasks])
    resource.deleted_at = clock.now()
    resource.save(update_fields=["deleted_at"])
    _record(actor, "resource.delete", resource, {})
    return resource


def find(workspace: Workspace, pk: int) -> Resource:
    """A resource of a workspace that was not deleted; raises NotFound."""
    resource = Resource.objects.filter(workspace=workspace, pk=pk, deleted_at=None).first()
    if resource is None:
        raise NotFound("resource.unknown")
    return resource


def tasks_naming(workspace: Workspace, name: str) -> list[Task]:
    """Online tasks, of both environments, whose code in production names the resource."""
    return users_of_resources(workspace).get(name, [])


def users_of_resources(workspace: Workspace) -> dict[str, list[Task]]:
    """For each resource that is named: the online tasks whose code in production names it."""
    tasks = (
        Task.objects.filter(
            workspace=workspace, status=Task.Status.ONLINE, version__content__contains="##@resource_reference"
        )
        .select_related("version")
        .order_by("name", "-environment")
    )
    found: dict[str, list[Task]] = {}
    for task in tasks:
        assert task.version is not None  # the filter looked into it
        for name in dict.fromkeys(REFERENCE.findall(task.version.content)):
            found.setdefault(name, []).append(task)
    return found


def _check(name: str, content: bytes) -> None:
    is_plain = name.isprintable() and not set(name) & set('/\\"')
    if not name or not is_plain or name.startswith(".") or name != name.strip():
        raise Invalid("resource.name", field="name", name=name)
    if len(name) > LONGEST_NAME:
        raise Invalid("resource.name_long", field="name", most=LONGEST_NAME)
    if len(content) > LARGEST:
        raise Invalid("resource.large", field="file", most=LARGEST // 1024**2)


def _record(actor: Actor, action: str, resource: Resource, params: Mapping[str, Any]) -> None:
    audit.record(
        actor.user,
        actor.face,
        action,
        workspace=resource.workspace,
        obj=("resource", resource.pk, resource.name),
        params=params,
        address=actor.address,
    )


@sentence("resource.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("This workspace has no such resource. Somebody may have deleted it just now.")


@sentence("resource.in_use")
def _in_use(params: Mapping[str, Any]) -> str:
    return _(
        "Tasks in production name “%(name)s”: %(tasks)s. "
        "Take the reference out of their code and publish them, then delete the resource."
    ) % {"name": params["name"], "tasks": ", ".join(params["tasks"])}


@sentence("resource.name")
def _name(params: Mapping[str, Any]) -> str:
    return _("This cannot be a resource's name: no slashes, no quotation marks, no dot or space at the start.")


@sentence("resource.name_long")
def _name_long(params: Mapping[str, Any]) -> str:
    return _("The name is longer than %(most)s characters.") % params


@sentence("resource.large")
def _large(params: Mapping[str, Any]) -> str:
    return _("The file is larger than %(most)s MB.") % params

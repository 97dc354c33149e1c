"""Commands of the lab about jobs: operations on all that match."""

import uuid
from typing import Any


def rerun_all(depth: str, width: str) -> int:
    """Ask for a rerun of layers of shell instances that have all succeeded, each with two upstream; the operation."""
    from opscenter.operations import bulk
    from opscenter.operations.actor import Actor
    from opscenter.production.models import InstanceEdge, TaskInstance
    from opscenter.production.rules.states import State
    from opscenter.workspaces.models import AuditEntry, Member
    from tests.engine.graphs import Scene
    from tests.processes.lab import grid

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    Member.objects.create(workspace=scene.workspace, user=scene.user, roles=["role_project_admin"])
    made = scene.instances(
        scene.task("shell", "true"), int(depth) * int(width), grid(int(depth), int(width)), frozen=True
    )
    found = TaskInstance.objects.filter(workspace=scene.workspace)
    InstanceEdge.objects.filter(downstream__in=found).update(met=True)
    found.update(unmet=0, state=State.SUCCESS, frozen=False)
    actor = Actor(scene.user, AuditEntry.Face.CONSOLE)
    operation = bulk.apply_to_all("rerun", actor, scene.workspace, "Prod", found, {"filter": ""})
    assert operation.targets.count() == len(made)
    return int(operation.pk)


def job(operation: str) -> dict[str, Any]:
    """How an operation stands: its status, the objects done, and the seconds from asking to the end."""
    from opscenter.operations.models import Operation

    found = Operation.objects.get(pk=int(operation))
    return {
        "status": found.status,
        "done": found.targets.filter(done=True).count(),
        "seconds": (found.settled_at - found.at).total_seconds() if found.settled_at else None,
    }


COMMANDS = (rerun_all, job)

"""Commands of the lab that make a workspace with a night that went wrong, for people in a browser."""

import uuid
from typing import Any

REGIONS = ("north", "east", "south", "west")
STORES = 9
PASSWORD = "a-long-enough-passphrase"


def night(export: str, failed: str) -> dict[str, Any]:
    """A workspace in which 40 instances wait for one that failed, and ``failed`` others failed, too; all of them today's.

    ``read_stock`` succeeds once there is a file ``export``. Four instances wait for it, and nine for each of them.

    Returns:
        workspace_id, culprit (its instance), task (its number), and accounts by role (username, password).
    """
    from opscenter.base import notify
    from opscenter.engine.generate import ensure_root
    from opscenter.production.models import TaskInstance
    from opscenter.workspaces.models import Member
    from tests.engine.graphs import Scene

    scene = Scene(f"night-{uuid.uuid4().hex[:8]}")
    for environment in ("Prod", "Dev"):
        ensure_root(scene.workspace, environment, scene.user)
    root = TaskInstance.objects.get(workspace=scene.workspace, environment="Prod")
    scene.family = root.workflow_instance
    times: dict[str, Any] = {
        "bizdate": root.bizdate,
        "scheduled_at": root.scheduled_at,
        "not_before": root.scheduled_at,
    }

    def instance(name: str, content: str = "true", **fields: Any) -> Any:
        task = scene.task("shell", content)
        task.name = name
        task.save()
        return scene.instances(task, 1, **times, **fields)[0]

    culprit = instance("read_stock", f"test -e {export} || {{ echo 'FAIL  the export is not there'; exit 1; }}")
    pairs = []
    for region in REGIONS:
        above = instance(f"stock_{region}", frozen=True)
        pairs.append((culprit, above))
        pairs += [(above, instance(f"store_{region}_{store}", frozen=True)) for store in range(1, STORES + 1)]
    scene.connect(pairs)
    _thaw(scene.workspace)
    _failures(instance, int(failed))
    notify.notify(notify.WORK)
    accounts = {}
    for role in ("role_project_admin", "role_project_pe", "role_project_guest"):
        user = type(scene.user).objects.create_user(f"{scene.tenant.name}-{role}", PASSWORD, tenant=scene.tenant)
        Member.objects.create(workspace=scene.workspace, user=user, roles=[role])
        accounts[role] = {"username": user.username, "password": PASSWORD}
    return {
        "workspace_id": scene.workspace.pk,
        "culprit": culprit.pk,
        "task": culprit.task.number,
        "accounts": accounts,
    }


def _thaw(workspace: Any) -> None:
    """Made frozen, so that no worker took them before they had their upstream."""
    from opscenter.production.models import TaskInstance

    TaskInstance.objects.filter(workspace=workspace).update(frozen=False)


def _failures(instance: Any, count: int) -> None:
    from opscenter.production.rules.states import State

    for number in range(1, count + 1):
        instance(f"mail_{number:02}", "exit 1", state=State.FAILURE)


COMMANDS = (night,)

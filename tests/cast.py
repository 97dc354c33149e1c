"""The cast of the tests: a tenant, a workspace with one person for each main role, and what they have in production."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

from opscenter.base import ids
from opscenter.production.models import (
    InstanceEdge,
    ProductionWorkflow,
    ResourceGroup,
    ResourceGroupAssociation,
    Task,
    TaskDependency,
    TaskInstance,
    TaskOutput,
    TaskVersion,
    WorkflowInstance,
)
from opscenter.production.node_types import NODE_TYPES
from opscenter.production.rules.states import State
from opscenter.workspaces.models import Member, Tenant, User, Workspace

PASSWORD = "correct-horse-battery"
ROLES = {
    "owner": "role_project_owner",
    "admin": "role_project_admin",
    "developer": "role_project_dev",
    "operator": "role_project_pe",
    "deployer": "role_project_deploy",
    "visitor": "role_project_guest",
}
"""Who is in the workspace, by the name of the attribute, with which role."""

BIZDATE = date(2026, 11, 20)
MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


def usable_group(workspace: Workspace, name: str, **fields: Any) -> ResourceGroup:
    """A resource group of the workspace's tenant that the workspace may use."""
    group = ResourceGroup.objects.create(tenant=workspace.tenant, name=name, **fields)
    ResourceGroupAssociation.objects.create(group=group, workspace=workspace)
    return group


@dataclass
class Cast:
    """A tenant (zone UTC) with one standard workspace; ``stranger`` is of another tenant and member of nothing here."""

    name: str = "acme"
    time_zone: str = "UTC"
    tenant: Tenant = field(init=False)
    workspace: Workspace = field(init=False)
    group: ResourceGroup = field(init=False)
    owner: User = field(init=False)
    admin: User = field(init=False)
    developer: User = field(init=False)
    operator: User = field(init=False)
    deployer: User = field(init=False)
    visitor: User = field(init=False)
    stranger: User = field(init=False)

    def __post_init__(self) -> None:
        """By few statements: thousands of tests begin with it."""
        self.tenant, elsewhere = Tenant.objects.bulk_create(
            [Tenant(name=self.name, time_zone=self.time_zone), Tenant(name=f"{self.name}-rival")]
        )
        self.workspace = Workspace.objects.create(tenant=self.tenant, name=f"{self.name}_daily")
        self.group, _ = ResourceGroup.objects.bulk_create(
            [
                ResourceGroup(tenant=self.tenant, name=ResourceGroup.DEFAULT, slots=8),
                ResourceGroup(tenant=elsewhere, name=ResourceGroup.DEFAULT),
            ]
        )
        ResourceGroupAssociation.objects.create(group=self.group, workspace=self.workspace)
        uids = ids.next_value("user_uid", len(ROLES) + 1)
        people = [
            User(uid=uid, username=f"{self.name}-{who}", tenant=self.tenant)
            for uid, who in zip(uids, [*ROLES, "stranger"], strict=True)
        ]
        people[-1].tenant = elsewhere
        for one in people:
            one.set_password(PASSWORD)
        *members, self.stranger = User.objects.bulk_create(people)
        Member.objects.bulk_create(
            Member(workspace=self.workspace, user=one, roles=[role])
            for one, role in zip(members, ROLES.values(), strict=True)
        )
        for who, one in zip(ROLES, members, strict=True):
            setattr(self, who, one)

    def user(self, name: str, *roles: str) -> User:
        """A user of the tenant; with roles, a member of the workspace."""
        user = User.objects.create_user(f"{self.name}-{name}", PASSWORD, tenant=self.tenant)
        if roles:
            Member.objects.create(workspace=self.workspace, user=user, roles=list(roles))
        return user

    def workflow(self, name: str = "pipeline", environment: str = "Prod") -> ProductionWorkflow:
        """A published workflow."""
        return ProductionWorkflow.objects.create(
            number=ids.next_value("task_number")[0],
            environment=environment,
            workspace=self.workspace,
            name=name,
            owner=self.owner,
        )

    def task(
        self,
        name: str = "task",
        node_type: str = "shell",
        *,
        environment: str = "Prod",
        upstream: Sequence[Task] = (),
        content: str = "echo hello",
        cron: str = "00 00 00 * * ?",
        version: dict[str, Any] | None = None,
        **fields: Any,
    ) -> Task:
        """A published daily task with one version, one output, and same-cycle dependencies on ``upstream``."""
        number = fields.pop("number", None) or ids.next_value("task_number")[0]
        values = {"owner": self.owner, "resource_group": self.group, "workspace": self.workspace} | fields
        task = Task.objects.create(number=number, environment=environment, name=name, node_type=node_type, **values)
        task.version = self.version(task, content=content, cron=cron, **(version or {}))
        output = f"{task.workspace.name}.{number}_out"
        TaskOutput.objects.create(tenant=self.tenant, environment=environment, name=output, task=task)
        for one in upstream:
            TaskDependency.objects.create(task=task, upstream=one, output=f"{one.workspace.name}.{one.number}_out")
        return task

    def version(self, task: Task, **fields: Any) -> TaskVersion:
        """The next version of a task, made its current one."""
        values: dict[str, Any] = {"published_by": task.owner, "first_day": BIZDATE, "cron": "00 00 00 * * ?"} | fields
        version = TaskVersion.objects.create(task=task, number=task.versions.count() + 1, **values)
        Task.objects.filter(pk=task.pk).update(version=version)
        return version

    def run_family(
        self,
        environment: str = "Prod",
        bizdate: date = BIZDATE,
        kind: str = WorkflowInstance.Type.NORMAL,
        workflow: ProductionWorkflow | None = None,
    ) -> WorkflowInstance:
        """The scheduled run of a day (there is one), or a new run of another kind."""
        values = {
            "workspace": self.workspace,
            "environment": environment,
            "type": kind,
            "workflow": workflow,
            "bizdate": bizdate,
        }
        if kind == WorkflowInstance.Type.NORMAL:
            return WorkflowInstance.objects.get_or_create(**values, defaults={"name": "run"})[0]
        return WorkflowInstance.objects.create(**values, name="run")

    def instance(
        self,
        task: Task,
        state: State = State.WAIT_RESOURCE,
        *,
        upstream: Sequence[TaskInstance] = (),
        bizdate: date = BIZDATE,
        kind_of_run: str = WorkflowInstance.Type.NORMAL,
        **fields: Any,
    ) -> TaskInstance:
        """An instance of a task in a state; it waits for those of ``upstream`` that have not succeeded."""
        day = datetime.combine(bizdate + timedelta(days=1), MIDNIGHT.timetz())
        waits_for = [one for one in upstream if one.state != State.SUCCESS]
        family = fields.pop("workflow_instance", None) or self.run_family(
            task.environment, bizdate, kind_of_run, task.workflow
        )
        values: dict[str, Any] = {
            "version": task.version,
            "workspace": task.workspace,
            "environment": task.environment,
            "bizdate": bizdate,
            "scheduled_at": day,
            "node_type": task.node_type,
            "needs_worker": NODE_TYPES[task.node_type].needs_worker,
            "priority": task.priority,
            "resource_group": task.resource_group,
            "unmet": len(waits_for),
        } | fields
        values.setdefault("not_before", values["scheduled_at"])
        instance = TaskInstance.objects.create(task=task, workflow_instance=family, state=state, **values)
        InstanceEdge.objects.bulk_create(
            InstanceEdge(downstream=instance, upstream=one, met=one.state == State.SUCCESS, bizdate=bizdate)
            for one in upstream
        )
        return instance

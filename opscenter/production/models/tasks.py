"""Tasks: nodes as deployed to an environment, their immutable versions, outputs and dependencies; resources."""

from typing import TYPE_CHECKING

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from opscenter.base.models import Blob
from opscenter.production.rules.misfires import Policy
from opscenter.workspaces.models import Tenant, User, Workspace

if TYPE_CHECKING:
    from opscenter.production.node_types import NodeType


class Environment(models.TextChoices):
    """Where a task is deployed; the 2024 API's spelling."""

    PROD = "Prod", _("Production")
    DEV = "Dev", _("Development")


class Recurrence(models.TextChoices):
    """Whether generated instances run (spec/opscenter.md 3.6)."""

    NORMAL = "Normal", _("Normal")
    PAUSE = "Pause", _("Frozen")
    SKIP = "Skip", _("Dry run")


class ResourceGroupQuerySet(models.QuerySet["ResourceGroup"]):
    def usable_in(self, workspace: Workspace) -> "ResourceGroupQuerySet":
        """The groups that are associated with a workspace: its tasks may run on these and no others."""
        return self.filter(associations__workspace=workspace)


class MisfirePolicy(models.TextChoices):
    """What becomes of a task's instances that were missed while no scheduler was there (rules.misfires)."""

    ALL = Policy.ALL.value, pgettext_lazy("misfire policy", "Run all of them")
    LATEST = Policy.LATEST.value, pgettext_lazy("misfire policy", "Run the latest of them")
    NONE = Policy.NONE.value, pgettext_lazy("misfire policy", "Run none of them")


class ResourceGroup(models.Model):
    """A named pool of slots on which instances run; every tenant has one called ``default``."""

    DEFAULT = "default"

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="resource_groups")
    name = models.CharField(max_length=63)
    slots = models.PositiveIntegerField(default=64)
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    objects = ResourceGroupQuerySet.as_manager()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="resource_group_name")]

    def __str__(self) -> str:
        return self.name


class ResourceGroupAssociation(models.Model):
    """A workspace whose tasks may run on a group. ``default`` is associated with every new workspace."""

    group = models.ForeignKey(ResourceGroup, on_delete=models.CASCADE, related_name="associations")
    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="resource_groups")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "group"], name="resource_group_once")]


class ProductionWorkflow(models.Model):
    """A workflow as published; groups tasks and their workflow instances. ``number`` is the APIs' WorkflowId."""

    PLAIN = 1
    """WorkflowId of tasks outside any workflow."""

    number = models.BigIntegerField()
    environment = models.CharField(max_length=4, choices=Environment.choices)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="production_workflows")
    name = models.CharField(max_length=255)
    owner = models.ForeignKey(User, on_delete=models.PROTECT)
    parameters = models.TextField(blank=True, default="", db_default="", help_text="name=expression, for all its tasks")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["number", "environment"], name="production_workflow_number")]


class TaskQuerySet(models.QuerySet["Task"]):
    def visible_to(self, user: User) -> "TaskQuerySet":
        """Tasks of workspaces that the user is a member of."""
        return self.filter(workspace__members__user=user)


class Task(models.Model):
    """A node as deployed to an environment. Its key is (number, environment); the APIs' TaskId / NodeId is ``number``.

    What O&M may change lives here; what publishing fixes lives in its versions.
    """

    class Status(models.TextChoices):
        ONLINE = "Online", _("Online")
        OFFLINE = "Offline", _("Offline")

    class Trigger(models.TextChoices):
        """What makes its instances; fixed by its first publication."""

        SCHEDULER = "Scheduler", _("Auto triggered")
        MANUAL = "Manual", _("Manually triggered")

    number = models.BigIntegerField()
    environment = models.CharField(max_length=4, choices=Environment.choices)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="tasks")
    workflow = models.ForeignKey(ProductionWorkflow, on_delete=models.PROTECT, null=True, related_name="tasks")
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=1000, blank=True)
    node_type = models.CharField(max_length=32)
    trigger = models.CharField(max_length=16, choices=Trigger.choices, default=Trigger.SCHEDULER)
    owner = models.ForeignKey(User, on_delete=models.PROTECT, related_name="tasks")
    resource_group = models.ForeignKey(ResourceGroup, on_delete=models.PROTECT)
    recurrence = models.CharField(max_length=8, choices=Recurrence.choices, default=Recurrence.NORMAL)
    thawed_recurrence = models.CharField(
        max_length=8, choices=Recurrence.choices, default=Recurrence.NORMAL, help_text="what unfreezing brings back"
    )
    priority = models.SmallIntegerField(default=1)
    max_parallel = models.IntegerField(null=True, help_text="how many of its instances run at once; null = no limit")
    misfire_policy = models.CharField(max_length=8, choices=MisfirePolicy.choices, default=MisfirePolicy.ALL)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.ONLINE)
    is_root = models.BooleanField(default=False)
    version = models.ForeignKey("TaskVersion", on_delete=models.PROTECT, null=True, related_name="+")
    created_at = models.DateTimeField(db_default=Now())
    modified_at = models.DateTimeField(db_default=Now())
    modified_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True, related_name="+")

    objects = TaskQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["number", "environment"], name="task_number_once"),
            models.UniqueConstraint(
                fields=["workspace", "environment"], condition=models.Q(is_root=True), name="one_root_a_workspace"
            ),
        ]
        indexes = [models.Index(fields=["workspace", "environment", "-number"], name="task_list")]  # the task list

    def __str__(self) -> str:
        return self.name

    @property
    def type(self) -> "NodeType":
        """The declaration of its node type."""
        from opscenter.production.node_types import NODE_TYPES

        return NODE_TYPES[self.node_type]


class TaskVersion(models.Model):
    """What was published at one moment; never changed. Instances pin its schedule, attempts pin it whole."""

    class InstanceMode(models.TextChoices):
        T_PLUS_1 = "T+1", _("T+1 Next Day")
        IMMEDIATELY = "Immediately", _("Immediately After Deployment")

    class RerunMode(models.TextChoices):
        ALL_ALLOWED = "AllAllowed", _("Allow regardless of result")
        FAILURE_ALLOWED = "FailureAllowed", _("Allow upon failure only")
        ALL_DENIED = "AllDenied", _("Never")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="versions")
    number = models.IntegerField()
    content = models.TextField(blank=True)
    data_source = models.CharField(max_length=128, blank=True, help_text="name of the one that a SQL node runs on")
    parameters = models.TextField(blank=True, help_text="name=expression, separated by spaces")
    cron = models.CharField(max_length=255, help_text="six fields; empty when manually triggered")
    start_at = models.DateTimeField(null=True, help_text="effective from")
    end_at = models.DateTimeField(null=True, help_text="effective until")
    instance_mode = models.CharField(max_length=16, choices=InstanceMode.choices, default=InstanceMode.T_PLUS_1)
    rerun_mode = models.CharField(max_length=16, choices=RerunMode.choices, default=RerunMode.ALL_ALLOWED)
    rerun_times = models.SmallIntegerField(default=0)
    rerun_interval = models.IntegerField(default=180, help_text="seconds")
    timeout = models.IntegerField(default=0, help_text="seconds; 0 = none")
    published_by = models.ForeignKey(User, on_delete=models.PROTECT)
    published_at = models.DateTimeField(db_default=Now())
    message = models.CharField(max_length=1000, blank=True)
    first_day = models.DateField(help_text="first scheduled day whose nightly generation knows this version")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "number"], name="task_version_number")]

    @property
    def shown_content(self) -> str:
        """The content as it may be shown: secrets masked."""
        from opscenter.production.http_settings import shown

        return shown(self.task.node_type, self.content)


class TaskOutput(models.Model):
    """A name under which others depend on a task; unique per tenant and environment."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT)
    environment = models.CharField(max_length=4, choices=Environment.choices)
    name = models.CharField(max_length=255)
    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="outputs")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "environment", "name"], name="task_output_name")]


class TaskDependency(models.Model):
    """``task`` runs after ``upstream``: of the same cycle, or of the one before.

    On itself and on its children, ``upstream`` is the task itself; who its children are is found out at generation.
    """

    class Type(models.TextChoices):
        """The API's names."""

        NORMAL = "Normal", _("Same cycle")
        SELF = "CrossCycleDependsOnSelf", _("Own previous cycle")
        CHILDREN = "CrossCycleDependsOnChildren", _("Previous cycle of its children")
        OTHER = "CrossCycleDependsOnOtherNode", _("Previous cycle of another task")

    task = models.ForeignKey(Task, on_delete=models.CASCADE, related_name="dependencies")
    upstream = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="dependents")
    type = models.CharField(max_length=32, choices=Type.choices, default=Type.NORMAL)
    output = models.CharField(max_length=255)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["task", "upstream", "type"], name="task_dependency_once")]


class Resource(models.Model):
    """A file that nodes name with ``##@resource_reference{"name"}``; its latest version is the deployed one."""

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="resources")
    name = models.CharField(max_length=255)
    created_at = models.DateTimeField(db_default=Now())
    deleted_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "name"], name="resource_name")]


class ResourceVersion(models.Model):
    """One upload of a resource; attempts record which version they ran with."""

    resource = models.ForeignKey(Resource, on_delete=models.CASCADE, related_name="versions")
    number = models.IntegerField()
    blob = models.ForeignKey(Blob, on_delete=models.PROTECT)
    uploaded_by = models.ForeignKey(User, on_delete=models.PROTECT)
    uploaded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.UniqueConstraint(fields=["resource", "number"], name="resource_version_number")]

"""Instances: planned runs, their edges, attempts, logs and transitions."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from opscenter.production.models.tasks import Environment, ProductionWorkflow, ResourceGroup, Task, TaskVersion
from opscenter.production.node_types import HTTP
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Tenant, User, Workspace


class WorkflowInstance(models.Model):
    """The DAG run that task instances belong to (= run family)."""

    class Type(models.TextChoices):
        NORMAL = "Normal", _("Scheduled")
        MANUAL = "Manual", _("Manual tasks")
        MANUAL_WORKFLOW = "ManualWorkflow", _("Manual workflow")
        SMOKE_TEST = "SmokeTest", _("Smoke test")
        BACKFILL = "SupplementData", _("Backfill")

        @property
        def is_manual(self) -> bool:
            """Somebody ran what is triggered manually."""
            return self in (self.MANUAL, self.MANUAL_WORKFLOW)

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="workflow_instances")
    environment = models.CharField(max_length=4, choices=Environment.choices)
    type = models.CharField(max_length=16, choices=Type.choices)
    workflow = models.ForeignKey(ProductionWorkflow, on_delete=models.PROTECT, null=True)
    name = models.CharField(max_length=255)
    bizdate = models.DateField()
    parameters = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        help_text="overrides of scheduling parameters: production.rules.levels.Sources.overrides",
    )
    data_sources = models.JSONField(
        default=dict,
        db_default=models.Value({}, models.JSONField()),
        help_text="names of data sources that its instances use, by those that their tasks name",
    )
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            # generation is repeatable: one scheduled run of a workflow a day
            models.UniqueConstraint(
                fields=["workspace", "environment", "workflow", "bizdate"],
                condition=models.Q(type="Normal"),
                nulls_distinct=False,
                name="one_scheduled_run_a_day",
            )
        ]


class TaskInstanceQuerySet(models.QuerySet["TaskInstance"]):
    def visible_to(self, user: User) -> "TaskInstanceQuerySet":
        """Instances of workspaces that the user is a member of."""
        return self.filter(workspace__members__user=user)


class TaskInstance(models.Model):
    """One planned run: (run family, task, scheduled time). Its table is the queue.

    ``state`` is changed by production.transitions alone. ``unmet`` counts the edges that are not met. ``due_at`` is the
    next moment at which time itself changes something: ``not_before`` while WAIT_TIME, the next automatic rerun while
    FAILURE, the next try while a triggered instance waits for resources. (The end of a lease is on the attempt.)
    """

    workflow_instance = models.ForeignKey(
        WorkflowInstance, on_delete=models.PROTECT, related_name="task_instances", db_index=False
    )
    task = models.ForeignKey(Task, on_delete=models.PROTECT, related_name="instances", db_index=False)
    version = models.ForeignKey(TaskVersion, on_delete=models.PROTECT, related_name="+", db_index=False)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, db_index=False)
    environment = models.CharField(max_length=4, choices=Environment.choices)
    bizdate = models.DateField()
    scheduled_at = models.DateTimeField(help_text="the APIs' TriggerTime / CycleTime")
    not_before = models.DateTimeField(null=True, help_text="when it may start at the earliest; none for a run now")
    period = models.IntegerField(default=1, help_text="n-th run of the day")
    node_type = models.CharField(max_length=32)
    kind = models.SmallIntegerField(default=Kind.NORMAL, choices=[(k.value, k.name) for k in Kind])
    needs_worker = models.BooleanField()
    limited = models.BooleanField(
        db_default=False, help_text="it counts against its task's maximum of parallel runs; known once it is ready"
    )
    bypasses_trigger = models.BooleanField(default=False)
    state = models.SmallIntegerField(default=State.NOT_RUN, choices=[(s.value, s.name) for s in State])
    frozen = models.BooleanField(default=False)
    unmet = models.IntegerField(default=0)
    attempt = models.IntegerField(default=0, help_text="number of the latest attempt; the fence")
    reruns_left = models.SmallIntegerField(default=0, help_text="automatic reruns")
    priority = models.SmallIntegerField(default=1)
    resource_group = models.ForeignKey(ResourceGroup, on_delete=models.PROTECT, db_index=False)
    due_at = models.DateTimeField(null=True)
    reason = models.JSONField(null=True, help_text="why it is in this state, where the state alone does not say")
    created_at = models.DateTimeField(db_default=Now())
    state_at = models.DateTimeField(db_default=Now(), help_text="since when it is in this state")
    waiting_trigger_at = models.DateTimeField(null=True)
    waiting_resource_at = models.DateTimeField(null=True)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    objects = TaskInstanceQuerySet.as_manager()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workflow_instance", "task", "scheduled_at"], name="instance_once"),
        ]
        indexes = [
            # the instance lists: keyset by (scheduled time, id) within a workspace and a day, or over all days
            models.Index(fields=["workspace", "environment", "bizdate", "-scheduled_at", "-id"], name="instance_list"),
            models.Index(fields=["workspace", "environment", "-scheduled_at", "-id"], name="instance_list_all"),
            # a task's instances of a day: what edges are made between
            models.Index(fields=["task", "bizdate"], name="instance_of_task"),
            # what a claim takes next
            models.Index(
                fields=["resource_group", "-priority", "scheduled_at", "id"],
                condition=models.Q(state=State.WAIT_RESOURCE, needs_worker=True, frozen=False, limited=False),
                name="instance_ready",
            ),
            # what succeeds where it stands
            models.Index(
                fields=["id"],
                condition=models.Q(state=State.WAIT_RESOURCE, needs_worker=False, frozen=False)
                & (~models.Q(node_type=HTTP.code) | models.Q(kind__gte=Kind.SKIP)),
                name="instance_inline",
            ),
            # what the courier starts next
            models.Index(
                fields=["-priority", "scheduled_at", "id"],
                condition=models.Q(
                    state=State.WAIT_RESOURCE,
                    needs_worker=False,
                    frozen=False,
                    node_type=HTTP.code,
                    kind__lt=Kind.SKIP,
                    limited=False,
                ),
                name="instance_call",
            ),
            # what either starts next of tasks that limit their parallel runs: a queue for each of them
            models.Index(
                fields=["needs_worker", "resource_group", "task", "-priority", "scheduled_at", "id"],
                condition=models.Q(state=State.WAIT_RESOURCE, limited=True, frozen=False),
                name="instance_limited",
            ),
            # how many of such a task run
            models.Index(
                fields=["task"],
                condition=models.Q(state__in=[State.CLAIMED, State.RUNNING], limited=True),
                name="instance_limited_live",
            ),
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="instance_due"),
            # what others may wait for in vain
            models.Index(
                fields=["workspace", "environment", "bizdate"],
                condition=models.Q(state__in=[State.FAILURE, State.WAIT_TRIGGER]) | models.Q(frozen=True),
                name="instance_stuck",
            ),
            # slots in use
            models.Index(
                fields=["resource_group"],
                condition=models.Q(state__in=[State.CLAIMED, State.RUNNING], needs_worker=True),
                name="instance_live",
            ),
            # what holds up a backfill
            models.Index(
                fields=["workflow_instance"],
                condition=models.Q(state=State.FAILURE, due_at__isnull=True),
                name="instance_failed",
            ),
        ]

    @property
    def data_source(self) -> str:
        """The name of the one that it runs on; empty where its task names none."""
        name = self.version.data_source
        other: str = self.workflow_instance.data_sources.get(name, name)
        return other


class InstanceEdge(models.Model):
    """``downstream`` waits for ``upstream``. No database constraint to instances: both ends and the edge are generated in
    one transaction and dropped together by retention, and checking each row would halve the speed of generation."""

    pk = models.CompositePrimaryKey("downstream", "upstream")
    downstream = models.ForeignKey(
        TaskInstance, on_delete=models.CASCADE, related_name="upstream_edges", db_constraint=False, db_index=False
    )
    upstream = models.ForeignKey(
        TaskInstance, on_delete=models.CASCADE, related_name="downstream_edges", db_constraint=False
    )
    met = models.BooleanField(default=False)
    bizdate = models.DateField()


class Attempt(models.Model):
    """One execution of an instance: a number, a lease, a log. A late answer under an old number is refused.

    No database constraints, as for edges: attempts are made while the instance is locked, and go with it.
    """

    class State(models.TextChoices):
        CLAIMED = "claimed", _("Starting")
        RUNNING = "running", _("Running")
        SUCCESS = "success", _("Succeeded")
        FAILURE = "failure", _("Failed")
        STOPPED = "stopped", _("Stopped")
        LOST = "lost", _("Lost")
        HANDED = "handed", _("Handed over")  # its worker was stopped in good order; it starts again on another

    instance = models.ForeignKey(
        TaskInstance, on_delete=models.CASCADE, related_name="attempts", db_constraint=False, db_index=False
    )
    number = models.IntegerField()
    state = models.CharField(max_length=8, choices=State.choices)
    version = models.ForeignKey(
        TaskVersion, on_delete=models.PROTECT, null=True, related_name="+", db_constraint=False, db_index=False
    )
    parameters = models.JSONField(default=dict, help_text="scheduling parameters as resolved")
    parameter_sources = models.JSONField(null=True, help_text="where each comes from; none if they were not resolved")
    resources = models.JSONField(default=dict, help_text="resource name -> version number")
    worker = models.BigIntegerField(null=True, help_text="base.Process of the worker")
    host = models.CharField(max_length=255, blank=True)
    pid = models.IntegerField(null=True, help_text="the worker's child that runs it")
    claimed_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    lease_until = models.DateTimeField(null=True)
    stop_requested_at = models.DateTimeField(null=True)
    exit_code = models.IntegerField(null=True)
    reason = models.JSONField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["instance", "number"], name="attempt_number")]
        indexes = [
            models.Index(  # leases that a worker renews; its live attempts
                fields=["worker"], condition=models.Q(state__in=["claimed", "running"]), name="attempt_live"
            ),
            models.Index(  # leases that ran out
                fields=["lease_until"], condition=models.Q(state__in=["claimed", "running"]), name="attempt_lease"
            ),
        ]


class LogChunk(models.Model):
    """A batch of an attempt's output, in order."""

    pk = models.CompositePrimaryKey("attempt", "seq")
    attempt = models.ForeignKey(
        Attempt, on_delete=models.CASCADE, related_name="log_chunks", db_constraint=False, db_index=False
    )
    seq = models.IntegerField()
    bizdate = models.DateField()
    at = models.DateTimeField(db_default=Now())
    text = models.TextField()


class Transition(models.Model):
    """One change of an instance's state, or of its frozen flag."""

    instance = models.ForeignKey(
        TaskInstance, on_delete=models.CASCADE, related_name="transitions", db_constraint=False
    )
    bizdate = models.DateField()
    at = models.DateTimeField()
    before = models.SmallIntegerField(choices=[(s.value, s.name) for s in State])
    after = models.SmallIntegerField(choices=[(s.value, s.name) for s in State])
    attempt = models.IntegerField()
    reason = models.JSONField(null=True)
    operation = models.BigIntegerField(null=True, help_text="operations.Operation that caused it")


class Attendance(models.Model):
    """Until when a scheduler was there; one row. Whoever leads renews it, and a gap is an absence (engine.misfires)."""

    id = models.SmallIntegerField(primary_key=True, default=1)
    seen_at = models.DateTimeField()


class GenerationRun(models.Model):
    """The nightly generation of a tenant's scheduled day; there is one for each day that was generated."""

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE)
    day = models.DateField(help_text="the scheduled day; the business date is the day before")
    generated_at = models.DateTimeField(db_default=Now())
    instances = models.IntegerField()
    edges = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "day"], name="generated_once")]

"""Moves what was just published into the past, and generates the days since then as their nights would have."""

from datetime import date, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from extensions.models import Enablement, Extension, ExtensionSecret
from opscenter.engine import generate
from opscenter.production.models import (
    GenerationRun,
    ProductionWorkflow,
    Resource,
    ResourceVersion,
    Task,
    TaskInstance,
    TaskVersion,
    WorkflowInstance,
)
from opscenter.production.rules import planning
from opscenter.workspaces.models import AccessKey, AuditEntry, Member, Tenant, User, Workspace
from workflows.models import Node, NodeVersion, Workflow

DAYS = 14
"""Days of history before today."""


def backdate(tenant: Tenant, moment: datetime) -> None:
    """Make everything that a tenant has so far be of ``moment``; its tasks are generated from the day after.

    Instances of today that publishing made are dropped: they would be dry runs, and today is generated anew.
    """
    TaskInstance.objects.filter(workspace__tenant=tenant).delete()
    WorkflowInstance.objects.filter(workspace__tenant=tenant).delete()
    Tenant.objects.filter(pk=tenant.pk).update(created_at=moment)
    User.objects.filter(tenant=tenant).update(created_at=moment)
    AccessKey.objects.filter(user__tenant=tenant).update(created_at=moment)
    AuditEntry.objects.filter(tenant=tenant).update(at=moment)
    Workspace.objects.filter(tenant=tenant).update(created_at=moment)
    Member.objects.filter(workspace__tenant=tenant).update(created_at=moment)
    Resource.objects.filter(workspace__tenant=tenant).update(created_at=moment)
    ResourceVersion.objects.filter(resource__workspace__tenant=tenant).update(uploaded_at=moment)
    Extension.objects.filter(tenant=tenant).update(created_at=moment, modified_at=moment, status_at=moment)
    ExtensionSecret.objects.filter(extension__tenant=tenant).update(created_at=moment)
    Enablement.objects.filter(workspace__tenant=tenant).update(agreed_at=moment)
    Workflow.objects.filter(workspace__tenant=tenant).update(created_at=moment, modified_at=moment, published_at=moment)
    Node.objects.filter(workspace__tenant=tenant).update(modified_at=moment)
    NodeVersion.objects.filter(node__workspace__tenant=tenant).update(saved_at=moment)
    ProductionWorkflow.objects.filter(workspace__tenant=tenant).update(created_at=moment)
    Task.objects.filter(workspace__tenant=tenant).update(created_at=moment, modified_at=moment)
    TaskVersion.objects.filter(task__workspace__tenant=tenant).update(
        published_at=moment, first_day=moment.date() + timedelta(days=1)
    )


def generate_days(tenant: Tenant, today: date) -> None:
    """Generate the days of history and today, each in the night before it as far as the data says."""
    zone = ZoneInfo(tenant.time_zone)
    for ago in range(DAYS, -1, -1):
        day = today - timedelta(days=ago)
        run = generate.generate_day(tenant, day)
        assert run is not None  # the tenant is new
        night = datetime.combine(day - timedelta(days=1), planning.GENERATION_STARTS, zone)
        GenerationRun.objects.filter(pk=run.pk).update(generated_at=night + timedelta(seconds=1))
        of_day = TaskInstance.objects.filter(workspace__tenant=tenant, bizdate=day - timedelta(days=1))
        of_day.update(created_at=night, state_at=night)
        WorkflowInstance.objects.filter(workspace__tenant=tenant, bizdate=day - timedelta(days=1)).update(
            created_at=night
        )


def publishing_moment(today: date, zone: tzinfo | None) -> datetime:
    """When the demo's tasks were published as far as the data says: in the afternoon before the first day."""
    return datetime.combine(today - timedelta(days=DAYS + 1), time(15, 4), zone)

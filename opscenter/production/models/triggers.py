"""Trigger commands: calls of external systems to HTTP trigger nodes, each with its receipt."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from opscenter.production.models.instances import TaskInstance
from opscenter.production.models.tasks import Environment
from opscenter.workspaces.models import Tenant, User, Workspace


class TriggerCommand(models.Model):
    """One call, and what became of it. Refused calls are kept too, also those that name no instance."""

    class Status(models.TextChoices):
        HELD = "held", _("Held")
        FIRED = "fired", _("Fired")
        NO_EFFECT = "no_effect", _("No effect")
        REFUSED = "refused", _("Refused")
        EXPIRED = "expired", _("Expired")
        SPENT = "spent", _("Spent")  # fired or held once, then the instance was rerun

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, help_text="of the caller")
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, null=True)
    instance = models.ForeignKey(TaskInstance, on_delete=models.CASCADE, null=True, related_name="trigger_commands")
    task_number = models.BigIntegerField()
    environment = models.CharField(max_length=4, choices=Environment.choices)
    scheduled_at = models.DateTimeField(null=True)
    caller = models.ForeignKey(User, on_delete=models.PROTECT)
    access_key_id = models.CharField(max_length=32, blank=True)
    face = models.CharField(max_length=16)
    api = models.CharField(max_length=64, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    address = models.GenericIPAddressField(null=True)
    received_at = models.DateTimeField(db_default=Now())
    status = models.CharField(max_length=16, choices=Status.choices)
    reason = models.JSONField()
    held_until = models.DateTimeField(null=True)
    settled_at = models.DateTimeField(null=True, help_text="when it fired, expired or was spent")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["instance"], condition=models.Q(status="held"), name="one_held_command_an_instance"
            )
        ]
        indexes = [
            models.Index(fields=["workspace", "-id"], name="trigger_workspace"),
            models.Index(fields=["task_number", "-id"], name="trigger_task"),
            models.Index(fields=["held_until"], condition=models.Q(status="held"), name="trigger_held"),
        ]

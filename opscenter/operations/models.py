"""Operations: what people and programs did to production. The row is the fact; logs elsewhere are views of it."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from opscenter.production.models import Environment
from opscenter.workspaces.models import AuditEntry, User, Workspace


class Operation(models.Model):
    """One operation, with what was asked and what came of it. While it is checked nothing has been done yet; while it is
    under way, a worker does it batch by batch (jobs.py)."""

    class Status(models.TextChoices):
        CHECKING = "checking", _("Checking")
        RUNNING = "running", _("Under way")
        APPLIED = "applied", _("Applied")
        PARTLY = "partly", _("Partly applied")
        REFUSED = "refused", _("Refused")
        BLOCKED = "blocked", _("Blocked")
        CANCELLED = "cancelled", _("Cancelled")

    code = models.CharField(max_length=32)
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="operations")
    environment = models.CharField(max_length=4, choices=Environment.choices)
    actor = models.ForeignKey(User, on_delete=models.PROTECT)
    face = models.CharField(max_length=16, choices=AuditEntry.Face.choices)
    comment = models.CharField(max_length=1000, blank=True)
    client_token = models.CharField(max_length=64, null=True, unique=True)  # noqa: DJ001  NULLs do not collide
    params = models.JSONField(default=dict)
    status = models.CharField(max_length=16, choices=Status.choices)
    at = models.DateTimeField(db_default=Now())
    settled_at = models.DateTimeField(null=True, help_text="when its checks had decided; at once without checks")

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "environment", "-id"], name="operation_history"),
            models.Index(  # open checks in the top bar
                fields=["workspace", "environment"], condition=models.Q(status="checking"), name="operation_checking"
            ),
            models.Index(  # what goes on until running instances have ended
                fields=["id"], condition=models.Q(status="running"), name="operation_running"
            ),
        ]


class OperationTarget(models.Model):
    """What the operation did to one object. ``done`` is None while extensions are asked, and while a job has not reached
    the object, or it is being stopped first."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="targets")
    object_type = models.CharField(max_length=16)
    object_id = models.BigIntegerField()
    done = models.BooleanField(null=True)
    reason = models.JSONField(null=True)
    open_code = models.CharField(max_length=32, null=True, help_text="the operation's code while it is checked")  # noqa: DJ001

    class Meta:
        constraints = [
            # the same operation on the same object cannot be asked for twice while one is open; NULLs do not collide
            models.UniqueConstraint(fields=["object_type", "object_id", "open_code"], name="one_open_operation")
        ]
        indexes = [
            models.Index(fields=["object_type", "object_id", "-id"], name="operation_target"),  # one thing's log
            models.Index(  # what a job has still to do
                fields=["operation", "id"], condition=models.Q(done__isnull=True), name="operation_target_left"
            ),
        ]

"""Operations: what people and programs did to production. The row is the fact; logs elsewhere are views of it."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from opscenter.production.models import Environment
from opscenter.workspaces.models import AuditEntry, User, Workspace


class Operation(models.Model):
    """One operation, with what was asked and what came of it."""

    class Status(models.TextChoices):
        APPLIED = "applied", _("Applied")
        PARTLY = "partly", _("Partly applied")
        REFUSED = "refused", _("Refused")

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

    class Meta:
        indexes = [models.Index(fields=["workspace", "-id"], name="operation_history")]


class OperationTarget(models.Model):
    """What the operation did to one object."""

    operation = models.ForeignKey(Operation, on_delete=models.CASCADE, related_name="targets")
    object_type = models.CharField(max_length=16)
    object_id = models.BigIntegerField()
    done = models.BooleanField()
    reason = models.JSONField(null=True)

    class Meta:
        indexes = [models.Index(fields=["object_type", "object_id", "-id"], name="operation_target")]  # one thing's log

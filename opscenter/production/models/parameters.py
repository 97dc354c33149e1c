"""Scheduling parameters that many tasks share."""

from django.db import models
from django.db.models.functions import Now

from opscenter.production.models.tasks import Environment
from opscenter.workspaces.models import Tenant, User, Workspace


class SharedParameter(models.Model):
    """A parameter of a tenant (global: workspace is empty) or of one environment of a workspace. An expression is text
    that members read; it is no place for secrets."""

    tenant = models.ForeignKey(Tenant, on_delete=models.PROTECT, related_name="shared_parameters")
    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, null=True, related_name="shared_parameters")
    environment = models.CharField(max_length=4, choices=Environment.choices, blank=True, help_text="empty = all")
    name = models.CharField(max_length=128)
    expression = models.CharField(max_length=1000, blank=True)
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    modified_at = models.DateTimeField(db_default=Now())
    modified_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "workspace", "environment", "name"],
                nulls_distinct=False,
                name="shared_parameter_name",
            )
        ]

    def __str__(self) -> str:
        return self.name

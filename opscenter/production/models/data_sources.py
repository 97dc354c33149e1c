"""Databases that SQL nodes run on."""

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from opscenter.production.models.tasks import Environment
from opscenter.workspaces.models import User, Workspace


class DataSource(models.Model):
    """A database of one environment of a workspace. Nodes name it; what the name means is looked up when they run."""

    class Type(models.TextChoices):
        POSTGRESQL = "postgresql", "PostgreSQL"
        SQLITE = "sqlite", "SQLite"

    class SslMode(models.TextChoices):
        PREFER = "prefer", _("If the server offers it")
        REQUIRE = "require", _("Always")
        DISABLE = "disable", _("Never")

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="data_sources")
    environment = models.CharField(max_length=4, choices=Environment.choices)
    name = models.CharField(max_length=128)
    type = models.CharField(max_length=16, choices=Type.choices)
    settings = models.JSONField(
        default=dict, help_text="host, port, database, username and sslmode; of a SQLite file its name"
    )
    password = models.TextField(blank=True, help_text="encrypted; empty = none")
    description = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(db_default=Now())
    modified_at = models.DateTimeField(db_default=Now())
    modified_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["workspace", "environment", "name"], name="data_source_name")]

    def __str__(self) -> str:
        return self.name

    @property
    def place(self) -> str:
        """Where it is and whom it is entered as, without any secret."""
        if self.type == self.Type.SQLITE:
            return str(self.settings["file"])
        return "{username}@{host}:{port}/{database}".format(**self.settings)

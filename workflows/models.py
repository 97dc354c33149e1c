"""What is authored: workflows and nodes as drafts; publishing makes tasks of them."""

from django.db import models
from django.db.models.functions import Now

from opscenter.workspaces.models import User, Workspace


class Workflow(models.Model):
    """A draft workflow. ``source_id`` is its id in the document it was imported from; importing again updates it."""

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="workflows")
    name = models.CharField(max_length=255)
    description = models.CharField(max_length=1000, blank=True)
    source_id = models.CharField(max_length=128, blank=True)
    owner = models.ForeignKey(User, on_delete=models.PROTECT)
    parameters = models.TextField(blank=True, default="", help_text="name=expression, for all its nodes")
    number = models.BigIntegerField(
        null=True, unique=True, help_text="WorkflowId in production; given when first published"
    )
    created_at = models.DateTimeField(db_default=Now())
    modified_at = models.DateTimeField(db_default=Now())
    modified_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    published_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="workflow_name"),
        ]


class Node(models.Model):
    """A draft node, inside a workflow or on its own.

    ``definition`` is the node in our own normal form (workflows.definitions.NodeDefinition as JSON); ``version`` counts its
    saves, ``published_version`` is the one that became the task.
    """

    workspace = models.ForeignKey(Workspace, on_delete=models.CASCADE, related_name="nodes")
    workflow = models.ForeignKey(Workflow, on_delete=models.CASCADE, null=True, related_name="nodes")
    name = models.CharField(max_length=255)
    node_type = models.CharField(max_length=64, help_text="our code, or the wire name of a type that is not run here")
    source_id = models.CharField(max_length=128)
    owner = models.ForeignKey(User, on_delete=models.PROTECT)
    definition = models.JSONField()
    version = models.IntegerField(default=1)
    published_version = models.IntegerField(null=True)
    number = models.BigIntegerField(null=True, unique=True, help_text="task number; given when first published")
    modified_at = models.DateTimeField(db_default=Now())
    modified_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "source_id"], name="node_source"),
        ]


class NodeVersion(models.Model):
    """A saved state of a node; immutable."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="versions")
    number = models.IntegerField()
    definition = models.JSONField()
    saved_at = models.DateTimeField(db_default=Now())
    saved_by = models.ForeignKey(User, on_delete=models.PROTECT)
    message = models.CharField(max_length=1000, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["node", "number"], name="node_version_number")]

"""Data backfills: jobs that run tasks again, or for the first time, for chosen business dates."""

import uuid

from django.db import models
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from opscenter.production.models.instances import TaskInstance, WorkflowInstance
from opscenter.production.models.tasks import Environment
from opscenter.production.rules.backfill import OnFailure
from opscenter.workspaces.models import User, Workspace


class Backfill(models.Model):
    """One job: what was asked for, the plan that it is made by, and how far it is.

    The plan is fixed when the job is asked for: what is made is what was previewed, also when it is made in many steps.
    ``due_at`` is when the run window closes next.
    """

    class State(models.TextChoices):
        """How far it is. What its instances do is counted from them."""

        ASKED = (
            "asked",
            _("Asked for"),
        )  # while extensions are asked; also when they blocked it, or it was refused after
        MAKING = "making", _("Being made")
        READY = "ready", _("Not started")  # made, and starts when somebody says so
        STARTED = "started", _("Started")
        STOPPED = "stopped", _("Stopped")

    class Alert(models.TextChoices):
        SUCCESS = "success", _("Succeeded")
        FAILURE = "failure", _("Failed")

    workspace = models.ForeignKey(Workspace, on_delete=models.PROTECT, related_name="backfills")
    environment = models.CharField(max_length=4, choices=Environment.choices)
    name = models.CharField(max_length=255)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT)
    created_at = models.DateTimeField(db_default=Now())
    state = models.CharField(max_length=8, choices=State.choices)
    is_paused = models.BooleanField(default=False)
    operation = models.BigIntegerField(null=True, help_text="operations.Operation that asked for it")
    request = models.JSONField(help_text="as it was asked for")
    plan = models.JSONField(help_text="task, version and part of each; the links among them")
    fingerprint = models.CharField(max_length=64)
    on_failure = models.CharField(max_length=8, choices=[(one.value, one.value) for one in OnFailure])
    is_watched = models.BooleanField(default=False, help_text="a failure, or its end, is to be acted upon")
    alert = models.CharField(
        max_length=8, choices=Alert.choices, blank=True, help_text="how it ended, until its creator has looked at it"
    )
    alert_at = models.DateTimeField(null=True)
    tasks = models.IntegerField()
    instances = models.IntegerField(help_text="as planned")
    made = models.IntegerField(default=0, help_text="instances that exist already")
    started_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    reason = models.JSONField(null=True, help_text="why it stopped or was refused")

    class Meta:
        indexes = [
            models.Index(fields=["workspace", "environment", "-id"], name="backfill_list"),
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="backfill_due"),
            models.Index(fields=["id"], condition=models.Q(is_watched=True), name="backfill_watched"),
            models.Index(fields=["created_by"], condition=~models.Q(alert=""), name="backfill_alert"),
        ]

    def __str__(self) -> str:
        return self.name


class BackfillMail(models.Model):
    """That a job has ended, to be sent to who asked for it: written in the transaction that noticed the end.

    Attributes:
        due_at: when it is tried next, or, while it is being sent, when it counts as lost; None once it is settled.
    """

    class State(models.TextChoices):
        WAITING = "waiting", _("Is being sent")
        SENT = "sent", _("Sent")
        GIVEN_UP = "given_up", _("Not sent")

    backfill = models.ForeignKey(Backfill, on_delete=models.CASCADE, related_name="mails")
    outcome = models.CharField(max_length=8, choices=Backfill.Alert.choices)
    key = models.UUIDField(default=uuid.uuid4, help_text="the same at every try: of its Message-ID")
    ended_at = models.DateTimeField()
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING)
    due_at = models.DateTimeField(null=True)
    tries = models.IntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    reason = models.JSONField(null=True, help_text="why the last try failed, or it was given up")

    class Meta:
        indexes = [
            models.Index(fields=["due_at"], condition=models.Q(due_at__isnull=False), name="backfill_mail_due"),
        ]


class BackfillDate(models.Model):
    """One business date of a job: its place in the order, its run family, and the turn that it waits for.

    A date that follows another in its group begins with a turn: an instance of the workspace's root task, that waits for
    whatever ends the date before and that whatever begins this one waits for. No database constraints to instances, as for
    edges: retention removes them by itself.
    """

    backfill = models.ForeignKey(Backfill, on_delete=models.CASCADE, related_name="dates")
    bizdate = models.DateField()
    position = models.IntegerField(help_text="in the order in which the dates run, from 0")
    after = models.DateField(null=True, help_text="the business date that its group does before it")
    instances = models.IntegerField(help_text="as planned, without the turn")
    is_made = models.BooleanField(default=False)
    family = models.OneToOneField(
        WorkflowInstance,
        on_delete=models.DO_NOTHING,
        null=True,
        related_name="backfill_date",
        db_constraint=False,
    )
    turn = models.OneToOneField(
        TaskInstance, on_delete=models.DO_NOTHING, null=True, related_name="turn_of", db_constraint=False
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["backfill", "bizdate"], name="backfill_date_once")]

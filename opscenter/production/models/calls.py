"""Calls of HTTP nodes that are under way."""

from django.db import models

from opscenter.production.models.instances import Attempt


class HttpCall(models.Model):
    """What comes next for a running attempt of an HTTP node, and when; the row goes when the attempt ends.

    ``due_at`` is when the next request is to be sent; while one is under way, when its courier counts as dead; at the
    latest the end of the timeout. A claim counts ``turn`` up: an answer under an old turn changes nothing.
    """

    class Phase(models.TextChoices):
        SUBMIT = "submit"
        SUBMITTING = "submitting"
        POLL = "poll"
        POLLING = "polling"

    attempt = models.OneToOneField(
        Attempt, on_delete=models.CASCADE, primary_key=True, related_name="call", db_constraint=False
    )
    phase = models.CharField(max_length=10, choices=Phase.choices, default=Phase.SUBMIT)
    turn = models.IntegerField(default=0)
    host = models.CharField(max_length=255, help_text="whom the next request goes to")
    due_at = models.DateTimeField()
    ends_at = models.DateTimeField(null=True, help_text="end of the node's timeout")
    claimed_at = models.DateTimeField(null=True, help_text="when the latest request was claimed")
    task_id = models.CharField(max_length=512, blank=True, help_text="the service's, once it is known")
    polls = models.IntegerField(default=0)
    unanswered = models.SmallIntegerField(default=0, help_text="polls in a row that got no answer")
    log_seq = models.IntegerField(default=0)
    last_line = models.TextField(blank=True, help_text="of the latest answer that was logged")
    plan = models.JSONField(
        help_text="the requests with their parameters put in, secrets sealed; or why there are none"
    )

    class Meta:
        indexes = [models.Index(fields=["host", "due_at"], name="http_call_due")]

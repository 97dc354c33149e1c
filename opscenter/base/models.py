"""What every floor needs to keep: content-addressed blobs and the heartbeats of processes."""

from django.db import models


class Blob(models.Model):
    """Bytes stored once, named by their SHA-256; in the database because several hosts read them."""

    sha256 = models.CharField(max_length=64, primary_key=True)
    size = models.BigIntegerField()
    content = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)


class Process(models.Model):
    """A running process of the product; it is alive while ``seen_at`` is fresh."""

    class Kind(models.TextChoices):
        WEB = "web"
        SCHEDULER = "scheduler"
        WORKER = "worker"
        COURIER = "courier"

    kind = models.CharField(max_length=16, choices=Kind.choices)
    host = models.CharField(max_length=255)
    pid = models.IntegerField()
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    details = models.JSONField(default=dict)

    class Meta:
        indexes = [models.Index(fields=["kind", "seen_at"], name="process_kind_seen")]  # readyz, live workers

"""Heartbeats: every process of the product tells the database that it is alive."""

import os
import socket
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now

from opscenter.base import clock
from opscenter.base.models import Process

FRESH = timedelta(seconds=15)
"""A process not seen for longer counts as gone."""


def register(kind: Process.Kind, details: dict[str, Any] | None = None) -> Process:
    """The row of this process, new."""
    now = clock.now()
    return Process.objects.create(
        kind=kind, host=socket.gethostname(), pid=os.getpid(), started_at=now, seen_at=now, details=details or {}
    )


def beat(process: Process) -> None:
    """This process is alive now; the row comes back if it was swept meanwhile."""
    process.seen_at = clock.now()
    process.save()


def retire(process: Process) -> None:
    """This process ends in good order."""
    Process.objects.filter(pk=process.pk).delete()


def alive(kind: Process.Kind) -> QuerySet[Process]:
    """The processes of this kind that were seen lately."""
    return Process.objects.filter(kind=kind, seen_at__gt=Now() - FRESH)

"""Is this process alive, and can the product do its work? Asked by probes, without login."""

from datetime import datetime
from typing import Any

from django.db import Error, connection
from django.db.models import Max
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from opscenter.base import clock
from opscenter.base.heartbeat import FRESH
from opscenter.base.models import Process

NEEDED = (Process.Kind.SCHEDULER, Process.Kind.WORKER, Process.Kind.COURIER)


@never_cache
@require_safe
def healthz(request: HttpRequest) -> HttpResponse:
    """This process answers; looks at nothing else, so that a database away restarts no web server."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def readyz(request: HttpRequest) -> HttpResponse:
    """Everything that a run needs is there: 200; otherwise 503 and what is missing."""
    parts = _parts()
    missing = [name for name, part in parts.items() if part["status"] != "ok"]
    body = {"status": "ready" if not missing else "not ready", "missing": missing, "parts": parts}
    return JsonResponse(body, status=503 if missing else 200)


def _parts() -> dict[str, dict[str, Any]]:
    try:
        now = clock.now()
        seen: dict[str, datetime] = dict(
            Process.objects.filter(kind__in=NEEDED)
            .values_list("kind")
            .annotate(seen=Max("seen_at"))
            .values_list("kind", "seen")
        )
    except Error:
        connection.close()
        unknown = {"status": "unknown", "age": None}
        return {"database": {"status": "unreachable"}, **{kind.value: dict(unknown) for kind in NEEDED}}
    return {"database": {"status": "ok"}, **{kind.value: _freshness(seen.get(kind.value), now) for kind in NEEDED}}


def _freshness(seen: datetime | None, now: datetime) -> dict[str, Any]:
    """Seconds since the newest process of a kind was seen, and whether that is fresh."""
    if seen is None:
        return {"status": "missing", "age": None}
    age = now - seen
    return {"status": "ok" if age < FRESH else "stale", "age": round(max(0.0, age.total_seconds()), 1)}


CHECKS = {"/healthz": healthz, "/readyz": readyz}

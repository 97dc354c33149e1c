"""Commands of the lab about deliveries: messages to extensions, what became of them."""

import time
import uuid
from typing import Any


def extensions(*urls: str) -> dict[str, Any]:
    """An extension at each of these URLs, in a workspace of their own; their ids and secrets in that order."""
    from tests.engine.graphs import Scene
    from tests.extensions.scene import online

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    made = [online(scene.workspace, scene.user, url, f"at {url}") for url in urls]
    return {
        "ids": [extension.pk for extension, _secret in made],
        "secrets": [secret for _extension, secret in made],
    }


def events(count: str, pause: str, *ids: str) -> dict[str, float]:
    """Messages to these extensions of one workspace, ``pause`` seconds apart; when each was committed."""
    from extensions.models import Enablement
    from tests.extensions.scene import open_event

    found = Enablement.objects.filter(extension__in=map(int, ids)).select_related(
        "extension__owner", "workspace__tenant"
    )
    listeners = list(found.order_by("pk"))
    first, committed = listeners[0], {}
    for _ in range(int(count)):
        event = open_event(first.workspace, first.extension.owner, listeners)
        committed[str(event.pk)] = time.time()
        time.sleep(float(pause))
    return committed


def flood(count: str, *ids: str) -> float:
    """So many messages to these extensions of one workspace, committed at once; when that was."""
    from django.db import transaction

    with transaction.atomic():
        events(count, "0", *ids)
    return time.time()


def forget(*ids: str) -> None:
    """What still waits for these extensions is not needed any more."""
    from extensions import deliveries
    from extensions.models import Check

    deliveries.end_pending(Check.objects.filter(extension__in=map(int, ids)))


def check_states(*ids: str) -> list[str]:
    """The states of the checks by these extensions."""
    from extensions.models import Check

    return list(Check.objects.filter(extension__in=map(int, ids)).order_by("pk").values_list("state", flat=True))


def deliveries(*ids: str) -> list[dict[str, int]]:
    """For each extension, how many of its deliveries are in each state."""
    from django.db.models import Count

    from extensions.models import Delivery

    found = []
    for pk in ids:
        rows = Delivery.objects.filter(extension=int(pk)).values("status").annotate(n=Count("pk"))
        found.append({row["status"]: row["n"] for row in rows})
    return found


def couriers() -> int:
    """How many are at work."""
    from opscenter.base import heartbeat
    from opscenter.base.models import Process

    return heartbeat.alive(Process.Kind.COURIER).count()


COMMANDS = (extensions, events, flood, forget, check_states, deliveries, couriers)

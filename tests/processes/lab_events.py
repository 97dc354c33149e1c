"""Commands of the lab about regular events: subscribers, changes of status at a steady pace, what was told."""

import time
import uuid
from typing import Any


def subscribers(count: str, *urls: str) -> dict[str, Any]:
    """An extension at each of these URLs that listens to changes of status, and ``count`` instances in their workspace that
    nobody runs; it is not enabled yet."""
    from opscenter.production.rules.states import State
    from tests.engine.graphs import Scene
    from tests.extensions.scene import online

    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    made = [online(scene.workspace, scene.user, url, f"at {url}")[0] for url in urls]
    for one in made:
        one.points = ["instance-status-changes"]
        one.save(update_fields=["points"])
    instances = scene.instances(scene.task("shell"), int(count), frozen=True, state=State.FAILURE, unmet=1)
    listen("0", *[str(one.pk) for one in made])
    return {"ids": [one.pk for one in made], "instances": [instances[0].pk, instances[-1].pk]}


def listen(on: str, *ids: str) -> None:
    """Enable these extensions or disable them; what still waits for them then is not needed any more."""
    from extensions import lifecycle
    from extensions.models import Change, Delivery, Enablement, Extension
    from opscenter.base import clock

    found = Enablement.objects.filter(extension__in=map(int, ids))
    found.update(is_enabled=on == "1")
    lifecycle.watch(Extension.objects.get(pk=int(ids[0])).tenant_id)
    if on != "1":
        Change.objects.all().delete()
        waiting = Delivery.objects.filter(extension__in=map(int, ids), status="pending")
        waiting.update(status="ended", due_at=None, finished_at=clock.now())


def pace(first: str, last: str, rate: str, seconds: str) -> int:
    """Change the status of these instances, again and again, so many times a second; how many changes that were."""
    from django.db import transaction

    from opscenter.production.rules.states import State
    from opscenter.production.transitions import transition

    ids = list(range(int(first), int(last) + 1))
    batch = max(1, int(rate) // 20)
    before, after, count, place = State.FAILURE, State.NOT_RUN, 0, 0
    began = time.monotonic()
    while time.monotonic() < began + float(seconds):
        some = ids[place : place + batch]
        with transaction.atomic():
            count += len(transition(some, {before}, after))
        place += batch
        if place >= len(ids):
            place, before, after = 0, after, before
        time.sleep(max(0.0, began + count / int(rate) - time.monotonic()))
    return count


def told(*ids: str) -> dict[str, int]:
    """How many messages to these extensions are in each state, and how many changes are noted and not told yet."""
    from django.db.models import Count

    from extensions.models import Change, Delivery

    rows = Delivery.objects.filter(extension__in=map(int, ids)).values("status").annotate(n=Count("pk"))
    return {row["status"]: row["n"] for row in rows} | {"noted": Change.objects.count()}


def watched_layers(depth: str, width: str, watched: str) -> list[int]:
    """Layers of virtual instances as ``layers`` makes them; with 1, their changes are noted."""
    from extensions.models import Watch
    from opscenter.base import notify
    from opscenter.production.models import TaskInstance
    from tests.engine.graphs import Scene

    high, wide = int(depth), int(width)
    scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
    if watched == "1":
        Watch.objects.create(workspace=scene.workspace)
    edges = [
        ((row - 1) * wide + above, row * wide + column)
        for row in range(1, high)
        for column in range(wide)
        for above in (column, (column + 1) % wide)
    ]
    made = scene.instances(scene.task("virtual"), high * wide, edges)
    assert TaskInstance.objects.filter(pk=made[0].pk).exists()
    notify.notify(notify.DUE)
    return [instance.pk for instance in made]


def unwatch() -> None:
    """Nothing is noted any more."""
    from extensions.models import Change, Watch

    Watch.objects.all().delete()
    Change.objects.all().delete()


COMMANDS = (subscribers, listen, pace, told, watched_layers, unwatch)

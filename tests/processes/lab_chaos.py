"""The laboratory's part for chaos: a graph of shell and virtual instances, and what is recorded of its runs."""

import uuid

STAMPS = """echo "${{me}} $$ start $EPOCHREALTIME" >> {file}
sleep 0.1
echo "${{me}} $$ end $EPOCHREALTIME" >> {file}
"""
WIDTH = 20


def mixed(file: str, count: str) -> list[int]:
    """Layers of shell and virtual instances in turn, each of which waits for two of the layer above.

    A shell appends two lines (instance, process, start or end, time) to ``file``.
    """
    from django.db import transaction

    from opscenter.base import notify
    from tests.engine.graphs import Scene

    with transaction.atomic():  # nothing runs before its edges are there
        scene = Scene(f"lab-{uuid.uuid4().hex[:12]}")
        shell = scene.task("shell", STAMPS.format(file=file), parameters="me=$taskid")
        shells = scene.instances(shell, int(count) // 2)
        virtuals = scene.instances(scene.task("virtual"), int(count) // 2)
        everyone = [one for pair in zip(shells, virtuals, strict=True) for one in pair]
        pairs = [
            (everyone[above], one)
            for index, one in enumerate(everyone[WIDTH:])
            for above in (index, index - index % WIDTH + (index + 1) % WIDTH)
        ]
        scene.connect(pairs)
        notify.notify(notify.WORK)
        notify.notify(notify.DUE)
    return [one.pk for one in [*shells, *virtuals]]


def recorded(first: str, last: str) -> list[tuple[int, int, str, float, float]]:
    """Instance, number, state, start and end (as times of the Unix clock) of each attempt that was started and ended."""
    from opscenter.production.models import Attempt

    rows = Attempt.objects.filter(instance__gte=first, instance__lte=last, started_at__isnull=False)
    rows = rows.filter(finished_at__isnull=False).order_by("instance_id", "number")
    return [
        (one.instance_id, one.number, str(one.state), one.started_at.timestamp(), one.finished_at.timestamp())
        for one in rows
        if one.started_at and one.finished_at
    ]


COMMANDS = (mixed, recorded)

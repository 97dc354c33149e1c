"""Many nodes that poll a slow service keep their intervals; ``python -m bench polling`` does the same with thousands."""

import json
import time
from statistics import median

import pytest

from opscenter.production.models import TaskInstance
from opscenter.production.rules.states import State
from tests.engine.graphs import Scene
from tests.http_node.slow_service import SlowService
from tests.http_node.test_runs import courier

pytestmark = pytest.mark.django_db(transaction=True)

NODES = 200
INTERVAL = 2
POLLS = 3


def test_two_hundred_nodes_are_polled_as_often_as_they_ask(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]
    scene = Scene()
    with SlowService(pause=1.0) as service:
        callback = {"url": f"{service.url}/status", "interval": INTERVAL, "success": ["SUCCESS"]}
        document = {"url": f"{service.url}/run", "method": "POST", "body": {}, "callback": callback}
        scene.instances(scene.task("http", json.dumps(document)), NODES)
        with courier():
            until(lambda: sum(len(times) >= POLLS for times in list(service.polls.values())) == NODES)
            intervals = service.intervals()
            service.finish()
            until(lambda: TaskInstance.objects.filter(state=State.SUCCESS).count() == NODES)
    # a busy machine keeps requests on their way; but counted from the answers, an interval would be half as long again
    assert INTERVAL * 0.9 < median(intervals) < INTERVAL * 1.4
    assert service.most_at_once > FEW_AT_ONCE


FEW_AT_ONCE = NODES // 4
"""Each answer takes half of an interval, so that one after the other would be far too slow."""


def until(holds, seconds=90.0):
    give_up = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < give_up, "it did not come true in time"
        time.sleep(0.1)

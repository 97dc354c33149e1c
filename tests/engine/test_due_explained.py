"""Whatever waits for a moment says for which, and says so when the moment has come and nobody is there to act on it."""

from datetime import timedelta
from typing import Any

import pytest

from opscenter.base import clock, heartbeat
from opscenter.base.models import Process
from opscenter.base.reasons import say
from opscenter.engine import due
from opscenter.production.explaining import explain_instance, short_reasons
from opscenter.production.models import TaskInstance
from opscenter.production.rules.states import State
from tests.engine.graphs import PAST, Scene
from tests.engine.runs import execute, shell

pytestmark = pytest.mark.django_db
HOUR = timedelta(hours=1)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def read(instance: TaskInstance) -> TaskInstance:
    return TaskInstance.objects.select_related("task", "resource_group").get(pk=instance.pk)


def headline(instance: TaskInstance) -> tuple[str, Any]:
    """Its code and the moment that it names; the list says the same in short."""
    found = explain_instance(read(instance)).headline
    assert short_reasons([read(instance)])[instance.pk].code == f"{found.code}.short"
    assert say(found.code, found.params)
    return found.code.removeprefix("explain."), found.params.get("at")


def test_between_automatic_reruns_the_next_is_named_until_none_is_left(scene: Scene) -> None:
    instance = shell(scene, "exit 1", rerun_times=2, rerun_interval=600)
    for left in (2, 1):
        execute(instance)
        assert headline(instance) == ("failed_rerun", instance.due_at)
        assert explain_instance(read(instance)).headline.params["reruns_left"] == left
        TaskInstance.objects.update(due_at=PAST)
        assert headline(instance) == ("failed_overdue", PAST), "no scheduler is there"
        heartbeat.register(Process.Kind.SCHEDULER)
        assert headline(instance) == ("failed_rerun", PAST), "it is there, and will come to it"
        due.run_due_instances()
        assert headline(instance)[0] in ("run_next", "resources_unserved")
        Process.objects.all().delete()
    execute(instance)
    assert headline(instance) == ("failed", None)


def test_a_rerun_that_waits_counts_against_the_maximum_of_its_task(scene: Scene) -> None:
    task = scene.task("shell", "exit 1", max_parallel=1, rerun_times=1, rerun_interval=60)
    instance, other = scene.instances(task, 2, reruns_left=1)
    execute(instance)
    TaskInstance.objects.filter(pk=other.pk).update(state=State.RUNNING)
    TaskInstance.objects.filter(pk=instance.pk).update(due_at=PAST)
    due.run_due_instances()
    assert headline(instance)[0] == "parallel_full"


def test_a_scheduled_time_is_named_before_it_comes_and_after(scene: Scene) -> None:
    at = clock.now() + HOUR
    (instance,) = scene.instances(scene.task("shell"), 1, state=State.WAIT_TIME, not_before=at, due_at=at)
    assert headline(instance) == ("time_unmet", at)
    past = at - 2 * HOUR
    TaskInstance.objects.update(not_before=past, due_at=past)
    assert headline(instance) == ("time_unreleased", past)
    heartbeat.register(Process.Kind.SCHEDULER)
    heartbeat.register(Process.Kind.WORKER, {"groups": None})
    assert headline(instance)[0] == "run_next"
    due.run_due_instances()
    assert read(instance).state == State.WAIT_RESOURCE and headline(instance)[0] == "run_next"

"""Completing is advancing: counts are right, nothing is stranded, whatever races."""

import random
import threading
import uuid

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opscenter.engine import advance
from opscenter.production.models import InstanceEdge, TaskInstance, Transition
from opscenter.production.rules.states import State
from tests.engine.graphs import Scene


def counts_agree() -> bool:
    """Every count equals the number of edges that are not met; every met edge has an upstream that succeeded."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM production_taskinstance i WHERE i.unmet <> (
                   SELECT count(*) FROM production_instanceedge e WHERE e.downstream_id = i.id AND NOT e.met)"""
        )
        wrong_counts = cursor.fetchone()[0]
        cursor.execute(
            f"""SELECT count(*) FROM production_instanceedge e JOIN production_taskinstance u ON u.id = e.upstream_id
                WHERE e.met <> (u.state = {State.SUCCESS:d})"""
        )
        return wrong_counts == 0 and cursor.fetchone()[0] == 0


@pytest.mark.django_db(transaction=True)
def test_a_wave_ends_its_instances_and_promotes_those_whose_last_edge_it_was():
    scene = Scene()
    first, second, both = scene.instances(scene.task(), 3, [(0, 2), (1, 2)])
    advance.finish([first.pk], {State.WAIT_RESOURCE}, State.SUCCESS)
    both.refresh_from_db()
    assert (both.unmet, both.state) == (1, State.NOT_RUN)
    advance.finish([second.pk], {State.WAIT_RESOURCE}, State.SUCCESS)
    both.refresh_from_db()
    assert (both.unmet, both.state) == (0, State.WAIT_RESOURCE)
    assert list(Transition.objects.filter(instance=both).values_list("before", "after")) == [
        (State.NOT_RUN, State.WAIT_RESOURCE)
    ]


@pytest.mark.django_db(transaction=True)
def test_ending_again_changes_nothing():
    scene = Scene()
    first, then = scene.instances(scene.task(), 2, [(0, 1)])
    assert advance.finish([first.pk], {State.WAIT_RESOURCE}, State.SUCCESS).done
    assert advance.finish([first.pk], {State.WAIT_RESOURCE}, State.SUCCESS).done == []
    then.refresh_from_db()
    assert then.unmet == 0
    assert counts_agree()


@pytest.mark.django_db(transaction=True)
def test_a_failure_releases_nothing():
    scene = Scene()
    first, then = scene.instances(scene.task(), 2, [(0, 1)])
    advance.finish([first.pk], {State.WAIT_RESOURCE}, State.FAILURE)
    then.refresh_from_db()
    assert (then.unmet, then.state) == (1, State.NOT_RUN)


@pytest.mark.django_db(transaction=True)
def test_a_frozen_virtual_instance_blocks_what_is_behind_it():
    scene = Scene()
    made = scene.instances(scene.task(), 3, [(0, 1), (1, 2)])
    TaskInstance.objects.filter(pk=made[1].pk).update(frozen=True)
    assert advance.drain() == 1
    states = dict(TaskInstance.objects.values_list("pk", "state"))
    assert states == {
        made[0].pk: State.SUCCESS,
        made[1].pk: State.WAIT_RESOURCE,
        made[2].pk: State.NOT_RUN,
    }


@pytest.mark.django_db
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_graph_of_virtual_nodes_runs_to_its_end_in_order(data):
    """Whatever the graph and whatever the order of ending: everything succeeds, and never before its upstream."""
    size = data.draw(st.integers(2, 30))
    pairs = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1)).filter(lambda p: p[0] < p[1])
    edges = data.draw(st.lists(pairs, unique=True, max_size=90))
    scene = Scene(f"graph-{uuid.uuid4().hex}")
    made = scene.instances(scene.task(), size, edges)
    order = []
    while ready := [pk for pk in advance.ready_inline() if pk in {i.pk for i in made}]:
        chosen = data.draw(st.lists(st.sampled_from(ready), min_size=1, unique=True))
        order += [row.id for row in advance.finish(chosen, {State.WAIT_RESOURCE}, State.SUCCESS).done]
    assert sorted(order) == [instance.pk for instance in made]
    place = {pk: index for index, pk in enumerate(order)}
    assert all(place[made[a].pk] < place[made[b].pk] for a, b in edges)
    assert counts_agree()


@pytest.mark.django_db(transaction=True)
def test_a_fan_in_ended_by_eight_at_once_is_counted_right():
    """400 upstreams of each of 50 instances, ended by eight connections in random order."""
    scene = Scene()
    edges = [(a, 400 + b) for a in range(400) for b in range(50)]
    made = scene.instances(scene.task(), 450, edges)
    upstream = [instance.pk for instance in made[:400]]
    random.shuffle(upstream)
    errors: list[BaseException] = []

    def end(part: list[int]) -> None:
        try:
            for start in range(0, len(part), 7):
                advance.finish(part[start : start + 7], {State.WAIT_RESOURCE}, State.SUCCESS)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=end, args=(upstream[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert counts_agree()
    assert set(TaskInstance.objects.filter(pk__gt=made[399].pk).values_list("state", "unmet")) == {
        (State.WAIT_RESOURCE, 0)
    }
    assert InstanceEdge.objects.filter(met=False).count() == 0

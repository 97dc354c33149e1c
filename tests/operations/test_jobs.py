"""Jobs: operations on all that match a filter, batch by batch, interrupted, cancelled, checked."""

import random
import uuid
from typing import Any

import pytest
from django.db.models import QuerySet
from django_q.models import OrmQ

from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.operations import bulk, jobs, roles
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.production.models import InstanceEdge, TaskInstance, TaskVersion
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, Member, User, WorkspaceRole
from opscenter.workspaces.roles import Permission
from tests.engine.graphs import Scene
from tests.engine.test_advance import counts_agree
from tests.operations.guarded import Guarded, check_of, say
from tests.operations.test_instances import actor, one, staffed, state, told
from tests.processes.lab import wrong_counts

pytestmark = pytest.mark.django_db


@pytest.fixture
def scene() -> Scene:
    return staffed()


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "BATCH", 2)


def everything(scene: Scene) -> "QuerySet[TaskInstance]":
    return TaskInstance.objects.filter(workspace=scene.workspace)


def ask(scene: Scene, code: str = "rerun", found: Any = None, **options: Any) -> Operation:
    options.setdefault("asked", {"filter": "state=Failure"})
    by = options.pop("by", None)
    found = everything(scene) if found is None else found
    return bulk.apply_to_all(code, by or actor(scene), scene.workspace, "Prod", found, **options)


def test_a_job_is_done_by_a_worker_with_a_result_for_each(scene: Scene) -> None:
    failed = [one(scene, State.FAILURE) for _ in range(3)]
    running = one(scene, State.RUNNING)
    operation = ask(scene, comment="after the outage")
    assert (operation.status, operation.settled_at) == ("running", None)
    assert {target.done for target in operation.targets.all()} == {None}
    assert OrmQ.objects.count() == 1
    jobs.run(operation.pk)
    operation.refresh_from_db()
    assert operation.status == "partly" and operation.settled_at is not None
    assert told(operation) == {**{instance.pk: None for instance in failed}, running.pk: "operation.state"}
    assert {state(instance) for instance in failed} == {State.WAIT_RESOURCE}
    trail = AuditEntry.objects.filter(object_id=str(operation.pk)).order_by("pk").values_list("action", "params")
    assert [action for action, _ in trail] == ["operation.start", "operation.finish"]
    assert trail[0][1] == {"operation": "rerun", "count": 4, "comment": "after the outage"}
    assert trail[1][1] == {"operation": "rerun", "done": 3, "refused": 1, "comment": "after the outage"}


def test_a_job_that_was_interrupted_goes_on_where_it_was(scene: Scene) -> None:
    failed = [one(scene, State.FAILURE) for _ in range(5)]
    operation = ask(scene)
    assert jobs._step(operation.pk)
    assert operation.targets.filter(done=True).count() == 2
    jobs.run(operation.pk)
    jobs.run(operation.pk)  # the same chore once more, because nobody heard that it had ended
    assert set(told(operation).values()) == {None}
    assert TaskInstance.objects.filter(pk__in=[i.pk for i in failed], state=State.WAIT_RESOURCE).count() == 5
    assert AuditEntry.objects.filter(action="operation.finish").count() == 1


@pytest.mark.parametrize("upstream_first", [True, False])
def test_what_is_rerun_waits_for_its_upstream_in_another_batch(
    scene: Scene, upstream_first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 1)
    order = [(0, 1)] if upstream_first else [(1, 0)]
    made = scene.instances(scene.task("shell"), 2, order, state=State.SUCCESS)
    InstanceEdge.objects.update(met=True)
    TaskInstance.objects.update(unmet=0, state=State.SUCCESS)
    up, down = made if upstream_first else reversed(made)
    jobs.run(ask(scene).pk)
    assert (state(up), state(down)) == (State.WAIT_RESOURCE, State.NOT_RUN)
    assert counts_agree()


def test_nothing_waits_for_an_upstream_that_is_not_rerun_after_all(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "BATCH", 1)
    down, up = scene.instances(scene.task("shell"), 2, [(1, 0)], state=State.SUCCESS)
    InstanceEdge.objects.update(met=True)
    TaskInstance.objects.update(unmet=0, state=State.SUCCESS)
    never = scene.task("shell", rerun_mode=TaskVersion.RerunMode.ALL_DENIED)
    TaskInstance.objects.filter(pk=up.pk).update(task=never, version=never.version)
    operation = ask(scene)
    assert jobs._step(operation.pk)
    assert state(down) is State.NOT_RUN
    jobs.run(operation.pk)
    assert told(operation) == {down.pk: None, up.pk: "operation.rerun_denied"}
    assert state(down) is State.WAIT_RESOURCE
    assert counts_agree()


def test_a_cancelled_job_leaves_the_rest_as_it_is_and_nothing_waiting_for_it(scene: Scene) -> None:
    made = scene.instances(scene.task("shell"), 6, [(5, 0)], state=State.SUCCESS)
    InstanceEdge.objects.update(met=True)
    TaskInstance.objects.update(unmet=0, state=State.SUCCESS)
    operation = ask(scene)
    assert jobs._step(operation.pk)
    assert state(made[0]) is State.NOT_RUN  # it waits for the last one, which is to come
    jobs.cancel(actor(scene), scene.workspace, operation.pk)
    operation.refresh_from_db()
    assert operation.status == "cancelled"
    assert list(told(operation).values()) == [None, None, *["operation.stopped"] * 4]
    assert [state(instance) for instance in made] == [State.WAIT_RESOURCE] * 2 + [State.SUCCESS] * 4
    assert counts_agree()
    jobs.run(operation.pk)
    assert [state(instance) for instance in made[2:]] == [State.SUCCESS] * 4
    with pytest.raises(Refused, match="not under way any more"):
        jobs.cancel(actor(scene), scene.workspace, operation.pk)


def test_who_may_cancel_a_job(scene: Scene) -> None:
    operation = ask(scene, found=everything(scene).filter(pk=one(scene, State.FAILURE).pk))
    people = {}
    for role in ("role_project_pe", "role_project_dev", "role_project_guest"):
        people[role] = User.objects.create_user(role.replace("_", "-"), tenant=scene.tenant)
        Member.objects.create(workspace=scene.workspace, user=people[role], roles=[role])
    stranger = User.objects.create_user("stranger", tenant=scene.tenant)
    for who in (people["role_project_dev"], people["role_project_guest"]):
        with pytest.raises(Forbidden):
            jobs.cancel(Actor(who, AuditEntry.Face.CONSOLE), scene.workspace, operation.pk)
    with pytest.raises(NotFound):
        jobs.cancel(Actor(stranger, AuditEntry.Face.CONSOLE), scene.workspace, operation.pk)
    jobs.cancel(Actor(people["role_project_pe"], AuditEntry.Face.CONSOLE), scene.workspace, operation.pk)


def test_who_may_not_operate_cannot_start_a_job(scene: Scene) -> None:
    one(scene, State.FAILURE)
    visitor = User.objects.create_user("visitor", tenant=scene.tenant)
    with pytest.raises(NotFound):
        ask(scene, by=Actor(visitor, AuditEntry.Face.CONSOLE))
    Member.objects.create(workspace=scene.workspace, user=visitor, roles=["role_project_guest"])
    with pytest.raises(Forbidden):
        ask(scene, by=Actor(visitor, AuditEntry.Face.CONSOLE))
    assert not Operation.objects.exists()


def test_own_only_counts_for_each_object(scene: Scene) -> None:
    mine, other = one(scene, State.FAILURE), one(scene, State.FAILURE)
    developer = User.objects.create_user("developer", tenant=scene.tenant)
    Member.objects.create(workspace=scene.workspace, user=developer, roles=["role_project_dev"])
    mine.task.owner = developer
    mine.task.save()
    operation = ask(scene, by=Actor(developer, AuditEntry.Face.CONSOLE))
    jobs.run(operation.pk)
    assert told(operation) == {mine.pk: None, other.pk: "permission.missing"}


def test_who_leaves_while_it_runs_does_no_more(scene: Scene) -> None:
    failed = [one(scene, State.FAILURE) for _ in range(3)]
    operation = ask(scene)
    jobs._step(operation.pk)
    Member.objects.all().delete()
    jobs.run(operation.pk)
    assert told(operation) == {failed[0].pk: None, failed[1].pk: None, failed[2].pk: "operation.asker_left"}


def test_a_role_that_is_changed_while_it_runs_counts_from_the_next_batch_on(scene: Scene) -> None:
    failed = [one(scene, State.FAILURE) for _ in range(5)]
    night = User.objects.create_user("night", tenant=scene.tenant)
    role = WorkspaceRole.objects.create(
        workspace=scene.workspace, code="role_custom_1", name="Night shift", modified_by=scene.user,
        grants=["workspace.view", "instance.operate"], own_only=[],
    )  # fmt: skip
    Member.objects.create(workspace=scene.workspace, user=night, roles=[role.code])
    operation = ask(scene, by=Actor(night, AuditEntry.Face.CONSOLE))
    jobs._step(operation.pk)
    roles.change(
        actor(scene), scene.workspace, role.pk, name=role.name, description="", grants=[],
        own_only=[Permission.OPERATE_INSTANCE],
    )  # fmt: skip
    failed[4].task.owner = night
    failed[4].task.save()
    jobs.run(operation.pk)
    assert list(told(operation).values()) == [None, None, "permission.missing", "permission.missing", None]
    operation.refresh_from_db()
    assert operation.status == "partly"


def test_an_object_that_is_gone_is_told(scene: Scene) -> None:
    failed = [one(scene, State.FAILURE) for _ in range(2)]
    operation = ask(scene)
    failed[1].delete()
    jobs.run(operation.pk)
    assert list(told(operation).values()) == [None, "instance.unknown"]


def test_the_same_client_token_is_the_same_job(scene: Scene) -> None:
    one(scene, State.FAILURE)
    token = uuid.uuid4().hex
    assert ask(scene, client_token=token) == ask(scene, client_token=token)
    assert OrmQ.objects.count() == 1
    with pytest.raises(Invalid, match="client token"):
        ask(scene, client_token=token, asked={"filter": "state=Success"})


def test_nothing_and_too_much_are_refused_with_a_sentence(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Invalid, match="Nothing matches any more"):
        ask(scene)
    monkeypatch.setattr(bulk, "LARGEST", 1)
    one(scene, State.FAILURE), one(scene, State.FAILURE)
    with pytest.raises(Invalid, match="More than 1 objects match"):
        ask(scene)
    assert not Operation.objects.exists()


def test_an_operation_with_arguments(scene: Scene) -> None:
    waiting = one(scene, State.WAIT_RESOURCE)
    operation = ask(scene, "set_priority", arguments={"priority": 8})
    assert operation.params == {"matching": {"filter": "state=Failure"}, "arguments": {"priority": 8}}
    jobs.run(operation.pk)
    waiting.refresh_from_db()
    assert waiting.priority == 8


def test_another_workspaces_objects_are_never_reached(scene: Scene) -> None:
    other = staffed("other")
    one(other, State.FAILURE)
    mine = one(scene, State.FAILURE)
    operation = ask(scene, found=TaskInstance.objects.all())
    assert list(told(operation)) == [mine.pk]


def test_counts_and_edges_agree_however_the_batches_fall(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(7)
    for _ in range(5):
        count = 12
        edges = [(a, b) for a in range(count) for b in range(a + 1, count) if rng.random() < 0.3]
        places = list(range(count))
        rng.shuffle(places)  # ids are in no order of dependencies
        made = scene.instances(scene.task("shell"), count, [(places[a], places[b]) for a, b in edges])
        ids = [instance.pk for instance in made]
        InstanceEdge.objects.filter(downstream__in=ids).update(met=True)
        everything(scene).filter(pk__in=ids).update(unmet=0, state=State.SUCCESS)
        monkeypatch.setattr(jobs, "BATCH", rng.randint(1, 4))
        chosen = [pk for pk in ids if rng.random() < 0.7]
        jobs.run(ask(scene, found=everything(scene).filter(pk__in=chosen)).pk)
        assert wrong_counts(str(min(ids)), str(max(ids))) == 0
        assert not InstanceEdge.objects.filter(upstream__state=State.SUCCESS, met=False).exists()
        for instance in everything(scene).filter(pk__in=chosen):
            waits = instance.upstream_edges.filter(upstream__in=chosen).exists()
            assert instance.state == (State.NOT_RUN if waits else State.WAIT_RESOURCE)


# tasks that extensions guard


def test_extensions_are_asked_once_about_all_and_the_rest_is_a_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "MOST", 2)
    cast = Guarded()
    cast.extension()
    tasks = [cast.task(f"t{n}") for n in range(5)]
    found = type(tasks[0]).objects.filter(pk__in=[task.pk for task in tasks])
    operation = bulk.apply_to_all("freeze_task", cast.actor(), cast.workspace, "Prod", found, {"filter": ""})
    assert operation.status == "checking"
    say(check_of(operation), "OK")
    operation.refresh_from_db()
    assert operation.status == "running"
    assert not found.filter(recurrence="Pause").exists()
    jobs.run(operation.pk)
    operation.refresh_from_db()
    assert operation.status == "applied"
    assert found.filter(recurrence="Pause").count() == 5
    assert not operation.targets.exclude(open_code=None).exists()

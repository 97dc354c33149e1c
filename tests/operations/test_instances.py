"""Operations on instances beyond the single cell: several at once, who is who, tokens, edges, races."""

import itertools
import threading
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from opscenter.base import clock, heartbeat
from opscenter.base.models import Process
from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused, say
from opscenter.engine import advance
from opscenter.operations import door as operations
from opscenter.operations.actor import Actor
from opscenter.operations.door import apply, raise_if_refused
from opscenter.operations.models import Operation
from opscenter.operations.trigger import trigger
from opscenter.production.models import InstanceEdge, TaskInstance, Transition, TriggerCommand
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, Member, User
from tests.engine.graphs import PAST, Scene
from tests.engine.test_advance import counts_agree

pytestmark = pytest.mark.django_db


def staffed(name: str = "scene") -> Scene:
    """A scene whose user administers the workspace."""
    made = Scene(name)
    Member.objects.create(workspace=made.workspace, user=made.user, roles=["role_project_admin"])
    return made


@pytest.fixture
def scene() -> Scene:
    return staffed()


def actor(scene: Scene) -> Actor:
    return Actor(scene.user, AuditEntry.Face.API)


def do(scene: Scene, code: str, *instances: TaskInstance, **options: Any) -> Operation:
    environment = options.pop("environment", "Prod")
    ids = [instance.pk for instance in instances]
    return apply(code, actor(scene), scene.workspace, environment, ids, **options)


def told(operation: Operation) -> dict[int, str | None]:
    """Instance -> code of its refusal; None if it was done."""
    return {
        target.object_id: target.reason["code"] if target.reason else None
        for target in operation.targets.order_by("pk")
    }


def state(instance: TaskInstance) -> State:
    instance.refresh_from_db()
    return State(instance.state)


def one(scene: Scene, state: State = State.WAIT_RESOURCE, node_type: str = "shell", **fields: Any) -> TaskInstance:
    return scene.instances(scene.task(node_type), 1, state=state, **fields)[0]


# what is asked


def test_each_instance_is_judged_by_itself(scene: Scene) -> None:
    failed, done = one(scene, State.FAILURE), one(scene, State.SUCCESS)
    operation = do(scene, "set_success", failed, done, failed, comment="checked by hand")
    assert told(operation) == {failed.pk: None, done.pk: "operation.state"}
    assert (operation.status, operation.comment, operation.params) == (
        "partly",
        "checked by hand",
        {"instances": [failed.pk, done.pk]},
    )
    assert (operation.actor, operation.face, operation.environment) == (scene.user, "api", "Prod")
    transition = Transition.objects.get(instance=failed)
    assert transition.reason is not None
    assert (transition.operation, transition.reason["code"]) == (operation.pk, "instance.set_success")
    assert not Transition.objects.filter(instance=done).exists()


def test_a_refused_single_target_is_an_error_with_a_sentence(scene: Scene) -> None:
    operation = do(scene, "rerun", one(scene, State.RUNNING))
    with pytest.raises(Refused) as error:
        raise_if_refused(operation)
    assert error.value.reason.code == "operation.state"
    assert "Rerun is possible in" in str(error.value)
    assert str(error.value) == say("operation.state", {"state": "running", "operation": "rerun"})
    raise_if_refused(do(scene, "rerun", one(scene, State.FAILURE)))


@pytest.mark.parametrize("count", [0, operations.MOST + 1])
def test_none_and_too_many_are_refused_as_a_whole(scene: Scene, count: int) -> None:
    with pytest.raises(Invalid) as error:
        apply("stop", actor(scene), scene.workspace, "Prod", range(1, count + 1))
    assert (error.value.reason.code, error.value.reason.params["given"]) == ("operation.count_instance", count)
    assert not Operation.objects.exists()


def test_a_comment_has_its_limit(scene: Scene) -> None:
    failed = one(scene, State.FAILURE)
    with pytest.raises(Invalid) as error:
        do(scene, "rerun", failed, comment="x" * 1001)
    assert error.value.reason.code == "operation.comment"
    assert state(failed) is State.FAILURE
    assert do(scene, "rerun", failed, comment="x" * 1000).status == "applied"


def test_a_stranger_learns_nothing_and_a_former_colleague_neither(scene: Scene) -> None:
    failed = one(scene, State.FAILURE)
    stranger = User.objects.create_user("stranger", tenant=scene.tenant)
    with pytest.raises(NotFound) as unknown:
        apply("rerun", Actor(stranger, AuditEntry.Face.API), scene.workspace, "Prod", [failed.pk])
    assert unknown.value.reason.code == "workspace.unknown"
    scene.user.is_active = False
    scene.user.save()
    with pytest.raises(NotFound):
        do(scene, "rerun", failed)
    assert state(failed) is State.FAILURE and not Operation.objects.exists()


def test_what_is_elsewhere_is_unknown_whoever_can_see_it(scene: Scene) -> None:
    """Another workspace, another environment, no such id: one answer, and nothing happens to them."""
    elsewhere = staffed("elsewhere")
    Member.objects.create(workspace=elsewhere.workspace, user=scene.user, roles=["role_project_admin"])
    theirs, failed = one(elsewhere, State.FAILURE), one(scene, State.FAILURE)
    in_dev = one(scene, State.FAILURE, environment="Dev")
    operation = apply("rerun", actor(scene), scene.workspace, "Prod", [theirs.pk, in_dev.pk, 5, failed.pk])
    assert told(operation) == {
        theirs.pk: "instance.unknown",
        in_dev.pk: "instance.unknown",
        5: "instance.unknown",
        failed.pk: None,
    }
    assert (state(theirs), state(in_dev)) == (State.FAILURE, State.FAILURE)
    assert told(do(scene, "rerun", in_dev, environment="Dev")) == {in_dev.pk: None}


def test_a_developer_may_touch_own_tasks_among_others(scene: Scene) -> None:
    developer = User.objects.create_user("developer", tenant=scene.tenant)
    Member.objects.create(workspace=scene.workspace, user=developer, roles=["role_project_dev"])
    mine, theirs = one(scene, State.FAILURE), one(scene, State.FAILURE)
    mine.task.owner = developer
    mine.task.save()
    operation = apply("rerun", Actor(developer, AuditEntry.Face.CONSOLE), scene.workspace, "Prod", [mine.pk, theirs.pk])
    assert told(operation) == {mine.pk: None, theirs.pk: "permission.missing"}
    reason = operation.targets.get(object_id=theirs.pk).reason
    assert reason is not None and reason["params"]["roles"] == [
        "role_project_owner",
        "role_project_admin",
        "role_project_pe",
    ]


# client tokens


def test_the_same_token_again_answers_with_the_same_operation(scene: Scene) -> None:
    failed = one(scene, State.FAILURE)
    first = do(scene, "rerun", failed, client_token="t-1")
    again = do(scene, "rerun", failed, client_token="t-1")
    assert again.pk == first.pk
    assert (Operation.objects.count(), AuditEntry.objects.count()) == (1, 1)
    assert told(do(scene, "rerun", failed, client_token="t-2")) == {failed.pk: "operation.state"}
    assert told(do(scene, "rerun", failed)) == told(do(scene, "rerun", failed, client_token=""))


def test_a_token_of_another_request_is_refused(scene: Scene) -> None:
    failed, other = one(scene, State.FAILURE), one(scene, State.FAILURE)
    do(scene, "rerun", failed, client_token="t-1")
    colleague = User.objects.create_user("colleague", tenant=scene.tenant)
    Member.objects.create(workspace=scene.workspace, user=colleague, roles=["role_project_pe"])
    calls = [
        lambda: do(scene, "set_success", failed, client_token="t-1"),
        lambda: do(scene, "rerun", other, client_token="t-1"),
        lambda: do(scene, "rerun", failed, client_token="t-1", environment="Dev"),
        lambda: apply(
            "rerun", Actor(colleague, AuditEntry.Face.API), scene.workspace, "Prod", [failed.pk], client_token="t-1"
        ),
    ]
    for call in calls:
        with pytest.raises(Invalid) as error:
            call()
        assert error.value.reason.code == "operation.client_token"
    assert state(other) is State.FAILURE and Operation.objects.count() == 1


def at_once(scene: Scene, calls: int, call: Any) -> list[Any]:
    """The answers of the same call made on several connections at the same moment."""
    start = threading.Barrier(calls)
    answers: list[Any] = []

    def run() -> None:
        try:
            start.wait(timeout=20)
            answers.append(call())
        except BaseException as error:
            answers.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run) for _ in range(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def test_two_reruns_at_once_are_one(transactional_db: None) -> None:
    scene = staffed()
    failed = one(scene, State.FAILURE)
    answers = at_once(scene, 4, lambda: do(scene, "rerun", failed))
    assert sorted(str(told(answer)[failed.pk]) for answer in answers) == ["None"] + ["operation.state"] * 3
    assert Transition.objects.filter(instance=failed, after=State.WAIT_RESOURCE).count() == 1


def test_a_token_that_cannot_be_kept_is_refused(scene: Scene) -> None:
    failed = one(scene, State.FAILURE)
    with pytest.raises(Invalid, match="64"):
        do(scene, "rerun", failed, client_token="t" * 65)
    assert not Operation.objects.exists()


def test_one_token_used_at_once_is_one_operation(transactional_db: None) -> None:
    scene = staffed()
    failed = one(scene, State.FAILURE)
    token = uuid.uuid4().hex
    answers = at_once(scene, 4, lambda: do(scene, "rerun", failed, client_token=token))
    assert {answer.pk for answer in answers} == {Operation.objects.get().pk}
    assert told(answers[0]) == {failed.pk: None}


# rerun and what is behind it


def chain(scene: Scene, *states: State, node_type: str = "shell") -> list[TaskInstance]:
    """Instances one behind the other in these states; an edge is met where its upstream succeeded."""
    task = scene.task(node_type)
    count = len(states)
    made = scene.instances(task, count, [(n, n + 1) for n in range(count - 1)])
    for instance, wanted in zip(made, states, strict=True):
        instance.state = wanted
    TaskInstance.objects.bulk_update(made, ["state"])
    for before, after in itertools.pairwise(made):
        if before.state == State.SUCCESS:
            InstanceEdge.objects.filter(upstream=before, downstream=after).update(met=True)
            TaskInstance.objects.filter(pk=after.pk).update(unmet=0)
    return made


@pytest.mark.parametrize(
    ("behind", "becomes", "unmet"),
    [
        (State.WAIT_RESOURCE, State.NOT_RUN, 1),
        (State.WAIT_TIME, State.NOT_RUN, 1),
        (State.WAIT_TRIGGER, State.NOT_RUN, 1),
        (State.CLAIMED, State.CLAIMED, 0),
        (State.RUNNING, State.RUNNING, 0),
        (State.SUCCESS, State.SUCCESS, 0),
        (State.FAILURE, State.FAILURE, 0),
    ],
)
def test_a_rerun_holds_back_what_has_not_started_and_nothing_else(
    scene: Scene, behind: State, becomes: State, unmet: int
) -> None:
    first, then = chain(scene, State.SUCCESS, behind)
    do(scene, "rerun", first)
    assert (state(first), state(then), then.unmet) == (State.WAIT_RESOURCE, becomes, unmet)
    assert InstanceEdge.objects.get().met is (unmet == 0)
    advance.finish([first.pk], {State.WAIT_RESOURCE}, State.SUCCESS)
    assert (state(then), then.unmet) == (State.WAIT_RESOURCE if unmet else becomes, 0)
    assert counts_agree()


def test_an_upstream_and_its_downstream_rerun_together_run_one_after_the_other(scene: Scene) -> None:
    first, middle, last = chain(scene, State.SUCCESS, State.SUCCESS, State.SUCCESS)
    assert do(scene, "rerun", last, first, middle).status == "applied"
    assert [state(first), state(middle), state(last)] == [State.WAIT_RESOURCE, State.NOT_RUN, State.NOT_RUN]
    assert counts_agree()
    advance.finish([first.pk], {State.WAIT_RESOURCE}, State.SUCCESS)
    assert (state(middle), state(last)) == (State.WAIT_RESOURCE, State.NOT_RUN)


@pytest.mark.parametrize("upstream", [State.FAILURE, State.RUNNING, State.WAIT_RESOURCE])
def test_a_rerun_waits_for_an_upstream_that_has_not_succeeded_now(scene: Scene, upstream: State) -> None:
    """The upstream was rerun after this one had run."""
    first, then = chain(scene, State.SUCCESS, State.FAILURE)
    TaskInstance.objects.filter(pk=first.pk).update(state=upstream)
    do(scene, "rerun", then)
    assert (state(then), then.unmet) == (State.NOT_RUN, 1)
    advance.finish([first.pk], {upstream}, State.SUCCESS)
    assert (state(then), then.unmet) == (State.WAIT_RESOURCE, 0)


def test_a_rerun_of_the_past_waits_for_nothing_but_a_worker_and_gets_its_automatic_reruns_back(scene: Scene) -> None:
    task = scene.task("shell", rerun_times=3)
    (failed,) = scene.instances(task, 1, state=State.FAILURE, attempt=4, due_at=PAST)
    do(scene, "rerun", failed)
    assert (state(failed), failed.reruns_left, failed.attempt, failed.due_at) == (State.WAIT_RESOURCE, 3, 4, None)
    early = one(scene, State.FAILURE, not_before=clock.now() + timedelta(hours=1))
    do(scene, "rerun", early)
    assert (state(early), early.due_at) == (State.WAIT_TIME, early.not_before)


def test_set_success_releases_what_waits_and_drops_the_automatic_rerun(scene: Scene) -> None:
    first, then = chain(scene, State.FAILURE, State.NOT_RUN)
    TaskInstance.objects.filter(pk=first.pk).update(due_at=PAST)
    do(scene, "set_success", first)
    assert (state(first), first.due_at, state(then), then.unmet) == (State.SUCCESS, None, State.WAIT_RESOURCE, 0)
    assert first.reason == {"code": "instance.set_success", "params": {"user": scene.user.username}}
    assert counts_agree()


def test_freezing_keeps_the_state_and_blocks_and_unfreezing_goes_on(scene: Scene) -> None:
    first, then = chain(scene, State.WAIT_RESOURCE, State.NOT_RUN, node_type="virtual")
    do(scene, "freeze", first)
    assert (advance.drain(), state(first), state(then)) == (0, State.WAIT_RESOURCE, State.NOT_RUN)
    do(scene, "unfreeze", first)
    assert (advance.drain(), state(first), state(then)) == (2, State.SUCCESS, State.SUCCESS)
    codes = Transition.objects.filter(instance=first).order_by("pk").values_list("reason__code", flat=True)
    assert list(codes) == ["instance.frozen", "instance.unfrozen", None]


# the trigger, when the scheduler has not looked yet


def gate(scene: Scene, **fields: Any) -> tuple[TaskInstance, TaskInstance]:
    """A trigger instance whose time the scheduler still waits for, and the shell instance behind it."""
    worker = heartbeat.register(Process.Kind.WORKER, {"groups": None, "children": 1})
    Process.objects.filter(pk=worker.pk).update(seen_at=clock.now() + timedelta(hours=1))  # nobody beats for it here
    first = one(scene, State.WAIT_TIME, "http_trigger", **{"not_before": PAST, "due_at": PAST} | fields)
    then = one(scene)
    scene.connect([(first, then)])
    return first, then


def call(scene: Scene, instance: TaskInstance) -> TriggerCommand:
    return trigger(actor(scene), task_number=instance.task.number, scheduled_at=instance.scheduled_at)


def test_a_call_at_the_time_fires_at_once_although_the_scheduler_has_not_looked(scene: Scene) -> None:
    first, then = gate(scene)
    command = call(scene, first)
    assert (command.status, command.reason["code"]) == ("fired", "trigger.fired")
    assert (state(first), state(then), first.due_at) == (State.SUCCESS, State.WAIT_RESOURCE, None)
    assert call(scene, first).reason["code"] == "trigger.already_triggered"


def test_a_call_before_the_time_still_waits_for_it(scene: Scene) -> None:
    soon = clock.now() + timedelta(minutes=5)
    first, then = gate(scene, not_before=soon, due_at=soon)
    command = call(scene, first)
    assert (command.status, command.reason["params"]["unmet"]) == ("held", ["time"])
    assert (state(first), state(then)) == (State.WAIT_TIME, State.NOT_RUN)


def test_a_refused_call_at_the_time_opens_nothing(scene: Scene) -> None:
    first, then = gate(scene, frozen=True)
    with pytest.raises(Refused) as error:
        call(scene, first)
    assert error.value.reason.code == "trigger.instance_frozen"
    assert state(then) is State.NOT_RUN and state(first) in (State.WAIT_TIME, State.WAIT_TRIGGER)


def test_a_member_without_the_permission_moves_nothing(scene: Scene) -> None:
    first, _ = gate(scene)
    Member.objects.update(roles=["role_project_guest"])
    with pytest.raises(Forbidden):
        call(scene, first)
    assert state(first) is State.WAIT_TIME

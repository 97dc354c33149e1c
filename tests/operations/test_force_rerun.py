"""Force rerun downstream: who may, from where, how far, and what becomes of what runs meanwhile."""

from datetime import timedelta
from typing import Any

import pytest

from extensions.models import Enablement, Event, Extension
from opscenter.base.reasons import Forbidden, Invalid, Refused, say
from opscenter.engine import advance
from opscenter.operations import force_rerun
from opscenter.operations.actor import Actor
from opscenter.operations.door import apply
from opscenter.operations.models import Operation
from opscenter.production.models import Attempt, InstanceEdge, TaskInstance, TaskVersion, WorkflowInstance
from opscenter.production.rules.states import State
from opscenter.workspaces.models import AuditEntry, Member, Tenant, User, Workspace
from tests.engine.graphs import Scene
from tests.operations.at_once import at_once
from tests.operations.lattice import join, lattice, states, wrongs, yesterday
from tests.operations.test_instances import do, staffed, told

DONE, FAILED, WAITS, RUNS, READY = State.SUCCESS, State.FAILURE, State.NOT_RUN, State.RUNNING, State.WAIT_RESOURCE


@pytest.fixture
def scene(db: None) -> Scene:
    return staffed()


def force(scene: Scene, *start: TaskInstance, **changes: Any) -> Operation:
    arguments = {"start": "self", "workspaces": [scene.workspace.pk], "cross_day": False} | changes
    return do(scene, "force_rerun", *start, arguments=arguments)


def elsewhere(scene: Scene, state: State, name: str = "elsewhere", *roles: str) -> TaskInstance:
    """An instance in another workspace of the tenant, of which the user is a member with these roles."""
    workspace = Workspace.objects.create(tenant=scene.tenant, name=name)
    if roles:
        Member.objects.create(workspace=workspace, user=scene.user, roles=list(roles))
    family = WorkflowInstance.objects.create(
        workspace=workspace, environment="Prod", type="Normal", name="run", bizdate=yesterday()
    )
    (made,) = lattice(scene, [state], [], workspace=workspace, workflow_instance=family)
    return made


def started(instance: TaskInstance) -> None:
    Attempt.objects.create(instance=instance, number=1, state=Attempt.State.RUNNING, claimed_at=instance.scheduled_at)


def standing(operation: Operation) -> tuple[str, dict[int, bool | None]]:
    operation.refresh_from_db()
    return operation.status, dict(operation.targets.values_list("object_id", "done"))


# from where, and how far


def test_everything_downstream_goes_back_whatever_its_rerun_setting(scene: Scene) -> None:
    made = lattice(scene, [DONE, DONE, FAILED, DONE], [(0, 1), (1, 2), (2, 3)])
    TaskVersion.objects.update(rerun_mode="AllDenied")
    operation = force(scene, made[0])
    assert states(made) == [READY, WAITS, WAITS, WAITS]
    assert standing(operation) == ("applied", {one.pk: True for one in made})
    assert wrongs() == []
    for number, one in enumerate(made):
        advance.finish([one.pk], {READY}, DONE)
        assert states(made)[number] is DONE
    assert set(states(made)) == {DONE}


def test_it_may_start_from_the_children(scene: Scene) -> None:
    made = lattice(scene, [DONE, DONE, DONE], [(0, 1), (1, 2)])
    operation = force(scene, made[0], start="children")
    assert states(made) == [DONE, READY, WAITS]
    assert standing(operation) == ("applied", {one.pk: True for one in made})


def test_only_in_the_chosen_workspaces(scene: Scene) -> None:
    (first,) = lattice(scene, [DONE], [])
    theirs = elsewhere(scene, DONE, "theirs", "role_project_admin")
    join([first, theirs], [(0, 1)])
    force(scene, first)
    assert states([first, theirs]) == [READY, DONE]
    TaskInstance.objects.filter(pk=first.pk).update(state=DONE)
    force(scene, first, workspaces=[scene.workspace.pk, theirs.workspace_id])
    assert states([first, theirs]) == [READY, WAITS]


@pytest.mark.parametrize("roles", [(), ("role_project_pe",), ("role_project_dev",)])
def test_not_in_workspaces_that_one_does_not_administer(scene: Scene, roles: tuple[str, ...]) -> None:
    (first,) = lattice(scene, [DONE], [])
    theirs = elsewhere(scene, DONE, "theirs", *roles)
    join([first, theirs], [(0, 1)])
    with pytest.raises(Forbidden) as error:
        force(scene, first, workspaces=[scene.workspace.pk, theirs.workspace_id])
    assert error.value.reason.params["permission"] == "instance.force_rerun"
    assert states([first, theirs]) == [DONE, DONE]
    assert not Operation.objects.exists()


@pytest.mark.parametrize(("cross_day", "then"), [(False, DONE), (True, WAITS)])
def test_later_days_on_request_alone(scene: Scene, cross_day: bool, then: State) -> None:
    (first,) = lattice(scene, [DONE], [])
    (later,) = lattice(scene, [DONE], [], bizdate=yesterday() + timedelta(days=1))
    join([first, later], [(0, 1)])
    force(scene, first, cross_day=cross_day)
    assert states([first, later]) == [READY, then]


@pytest.mark.parametrize(("age", "refused"), [(0, True), (1, False), (2, False), (3, True)])
def test_only_of_yesterday_and_the_day_before(scene: Scene, age: int, refused: bool) -> None:
    (one,) = lattice(scene, [DONE], [], bizdate=yesterday() + timedelta(days=1 - age))
    assert told(force(scene, one)) == {one.pk: "force_rerun.bizdate" if refused else None}


def test_a_bound(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(force_rerun, "MOST", 2)
    made = lattice(scene, [DONE] * 4, [(0, 1), (0, 2), (0, 3)])
    with pytest.raises(Refused, match="More than 2"):
        force(scene, made[0])
    assert set(states(made)) == {DONE} and not Operation.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"start": "everything"},
        {"start": None},
        {"cross_day": "yes"},
        {"workspaces": []},
        {"workspaces": [1]},
        {"workspaces": "all"},
        {"depth": 3},
    ],
)
def test_wrong_arguments(scene: Scene, changes: dict[str, Any]) -> None:
    made = lattice(scene, [DONE], [])
    with pytest.raises(Invalid):
        force(scene, made[0], **changes)


# what runs meanwhile


def test_what_runs_is_stopped_and_put_back_when_it_has_ended(scene: Scene) -> None:
    made = lattice(scene, [DONE, RUNS, WAITS], [(0, 1), (1, 2)])
    started(made[1])
    operation = force(scene, made[0])
    assert Attempt.objects.get().stop_requested_at is not None
    assert states(made) == [READY, RUNS, WAITS]
    assert standing(operation) == ("running", {made[0].pk: True, made[1].pk: None, made[2].pk: True})
    assert force_rerun.run() is not None, "it is looked at again"
    advance.finish([made[1].pk], {RUNS}, FAILED)
    assert force_rerun.run() is None
    assert states(made) == [READY, WAITS, WAITS]
    assert standing(operation) == ("applied", {one.pk: True for one in made})
    assert wrongs() == []


def test_a_claim_that_was_not_started_goes_back_at_once(scene: Scene) -> None:
    made = lattice(scene, [DONE, State.CLAIMED], [(0, 1)])
    operation = force(scene, made[0])
    assert states(made) == [READY, WAITS]
    assert standing(operation)[0] == "applied"


def test_what_succeeded_before_it_was_stopped_runs_again_and_so_does_what_it_let_start(scene: Scene) -> None:
    made = lattice(scene, [DONE, RUNS, WAITS], [(0, 1), (1, 2)])
    operation = force(scene, made[0])
    advance.finish([made[1].pk], {RUNS}, DONE)
    TaskInstance.objects.filter(pk=made[2].pk, state=READY).update(state=RUNS)
    force_rerun.run()
    assert states(made) == [READY, WAITS, RUNS]
    assert standing(operation) == ("running", {made[0].pk: True, made[1].pk: True, made[2].pk: None})
    advance.finish([made[2].pk], {RUNS}, FAILED)
    force_rerun.run()
    assert states(made) == [READY, WAITS, WAITS]
    assert standing(operation)[0] == "applied"
    assert wrongs() == []


def test_what_was_removed_meanwhile_holds_nothing_up(scene: Scene) -> None:
    made = lattice(scene, [DONE, RUNS], [(0, 1)])
    operation = force(scene, made[0])
    InstanceEdge.objects.all().delete()
    made[1].delete()
    force_rerun.run()
    assert standing(operation)[0] == "applied"


def test_one_at_a_time_in_a_tenant(scene: Scene) -> None:
    made = lattice(scene, [DONE, RUNS, DONE], [(0, 1)])
    first = force(scene, made[0])
    second = force(scene, made[2])
    assert told(second) == {made[2].pk: "force_rerun.busy"}
    reason = second.targets.get().reason
    assert reason is not None
    assert f"operation {first.pk}" in say(reason["code"], reason["params"])
    other = staffed("other")
    (theirs,) = lattice(other, [DONE], [])
    assert told(force(other, theirs)) == {theirs.pk: None}, "another tenant does not wait"
    advance.finish([made[1].pk], {RUNS}, FAILED)
    force_rerun.run()
    assert told(force(scene, made[2])) == {made[2].pk: None}


def test_of_two_at_once_one_is_done(transactional_db: None) -> None:
    scene = staffed()
    made = lattice(scene, [DONE, RUNS, DONE, RUNS], [(0, 1), (2, 3)])
    answers = at_once(lambda: force(scene, made[0]), lambda: force(scene, made[2]))
    assert sorted(answer.status for answer in answers) == ["refused", "running"]


# who may


def test_it_is_written_down_with_what_was_asked_for(scene: Scene) -> None:
    made = lattice(scene, [DONE], [])
    force(scene, made[0])
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.params["arguments"]["start"]) == ("instance.force_rerun", "self")


def test_subscribers_are_told_what_was_stopped_and_what_is_rerun(scene: Scene) -> None:
    made = lattice(scene, [DONE, DONE, RUNS], [(0, 1), (0, 2)])
    started(made[2])
    guarded = Extension.objects.create(
        tenant=scene.tenant,
        name="listener",
        owner=scene.user,
        points=["rerun-instance", "kill-instance"],
        webhook_url="https://listener.example.com/",
        status=Extension.Status.ONLINE,
        test_workspace=scene.workspace,
    )
    Enablement.objects.create(extension=guarded, workspace=scene.workspace, is_enabled=True)
    force(scene, made[0])
    said = {event.point: event.message["data"]["taskIds"] for event in Event.objects.all()}
    assert said == {"rerun-instance": [made[0].pk, made[1].pk], "kill-instance": [made[2].pk]}


def test_an_operator_may_not(scene: Scene) -> None:
    made = lattice(scene, [DONE], [])
    user = User.objects.create_user("operator", tenant=scene.tenant)
    Member.objects.create(workspace=scene.workspace, user=user, roles=["role_project_pe"])
    with pytest.raises(Forbidden):
        apply(
            "force_rerun", Actor(user, AuditEntry.Face.API), scene.workspace, "Prod", [made[0].pk],
            arguments={"start": "self", "workspaces": [scene.workspace.pk], "cross_day": False},
        )  # fmt: skip
    assert states(made) == [DONE]


def test_workspaces_of_other_tenants_do_not_exist(scene: Scene) -> None:
    made = lattice(scene, [DONE], [])
    foreign = Workspace.objects.create(tenant=Tenant.objects.create(name="foreign"), name="foreign")
    with pytest.raises(Invalid, match="no workspace"):
        force(scene, made[0], workspaces=[foreign.pk])

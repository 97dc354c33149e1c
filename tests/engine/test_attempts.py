"""The life of attempts: numbers that fence late answers, automatic reruns, losses, stops."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import connection

from opscenter.base import clock
from opscenter.engine import attempts, claim, due
from opscenter.engine.attempts import LEASE, LOST_LIMIT, Outcome, Running
from opscenter.engine.run import run_attempt
from opscenter.engine.runners import process as process_runner
from opscenter.engine.stopping import ABANDON_SIGNAL, STOP_SIGNAL
from opscenter.operations.actor import Actor
from opscenter.operations.door import apply
from opscenter.production.models import Attempt, LogChunk, ResourceGroup, TaskInstance, TaskVersion, Transition
from opscenter.production.rules.states import State
from opscenter.production.selectors import log_text
from opscenter.workspaces.models import AuditEntry, Member
from tests.engine.graphs import PAST, Scene
from tests.engine.runs import WORKER, code_of, execute, shell
from tests.stack import ROOT, Stack

pytestmark = pytest.mark.django_db
SUCCESS = Outcome(Attempt.State.SUCCESS, 0)
FAILURE = Outcome(Attempt.State.FAILURE, 1, {"code": "attempt.exit_code", "params": {"exit_code": 1}})
STOPPED = {"code": "attempt.stopped", "params": {}}


def staffed(name: str = "scene") -> Scene:
    """A scene whose user may stop and rerun."""
    made = Scene(name)
    Member.objects.create(workspace=made.workspace, user=made.user, roles=["role_project_admin"])
    return made


@pytest.fixture
def scene() -> Scene:
    return staffed()


def started(instance: TaskInstance) -> Running:
    """The instance's next attempt, running in nobody's hands."""
    (claimed,) = claim.claim(WORKER, 1)
    assert claimed.instance == instance.pk
    running = attempts.start(claimed.instance, claimed.attempt, pid=os.getpid(), host="here")
    assert running is not None
    return running


def state(instance: TaskInstance) -> State:
    instance.refresh_from_db()
    return State(instance.state)


def states(instance: TaskInstance) -> list[str]:
    """How the attempts ended, in the order of their numbers."""
    found = Attempt.objects.filter(instance=instance).order_by("number").values_list("number", "state")
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    return [state for _, state in found]


def stop(scene: Scene, instance: TaskInstance) -> None:
    operation = apply("stop", Actor(scene.user, AuditEntry.Face.API), scene.workspace, "Prod", [instance.pk])
    assert operation.status == "applied"


# numbers


def test_a_late_answer_under_an_old_number_changes_nothing(scene: Scene) -> None:
    instance = shell(scene, "true")
    first = started(instance)
    attempts.lose(first.id)
    second = started(instance)
    assert (first.number, second.number) == (1, 2)
    late = LogChunk(attempt_id=first.id, seq=0, bizdate=first.bizdate, text="late")
    assert attempts.end(first, FAILURE, [late]) is None
    assert (state(instance), states(instance)) == (State.RUNNING, ["lost", "running"])
    assert not LogChunk.objects.exists()
    assert attempts.end(second, SUCCESS, []) is not None
    assert attempts.end(second, FAILURE, []) is None
    assert (state(instance), states(instance)) == (State.SUCCESS, ["lost", "success"])


def test_a_claim_is_started_once_however_often_it_is_delivered(scene: Scene) -> None:
    instance = shell(scene, "echo ran")
    (claimed,) = claim.claim(WORKER, 1)
    run_attempt(claimed.instance, claimed.attempt)
    run_attempt(claimed.instance, claimed.attempt)
    run_attempt(claimed.instance, claimed.attempt + 1)
    assert (state(instance), states(instance)) == (State.SUCCESS, ["success"])
    assert log_text(Attempt.objects.get()) == "ran\n"


def test_an_attempt_belongs_to_the_worker_that_starts_it(scene: Scene) -> None:
    """A job that comes late may start a claim that another worker made under the same number."""
    instance = shell(scene, "true")
    claim.claim(WORKER, 1)
    claim.give_back(instance.pk, 1)
    claim.claim(WORKER + 1, 1)
    assert attempts.start(instance.pk, 1, worker=WORKER, pid=4, host="late") is not None
    assert attempts.start(instance.pk, 1, worker=WORKER + 1, pid=5, host="right") is None
    attempt = Attempt.objects.get()
    assert (attempt.worker, attempt.pid, attempt.host) == (WORKER, 4, "late")


def test_an_attempt_runs_and_pins_what_is_deployed_when_it_starts(scene: Scene) -> None:
    instance = shell(scene, "echo old")
    version = TaskVersion.objects.create(
        task=instance.task, number=2, content="echo new", cron="00 00 00 * * ?",
        published_by=scene.user, first_day=instance.bizdate,
    )  # fmt: skip
    instance.task.version = version
    instance.task.save()
    attempt = execute(instance)
    assert (log_text(attempt), attempt.version) == ("new\n", version)


# ends


def test_success_makes_ready_what_waited_and_failure_does_not(scene: Scene) -> None:
    first, second = shell(scene, "exit 1"), shell(scene, "true")
    scene.connect([(first, second)])
    execute(first)
    assert (state(second), second.unmet) == (State.NOT_RUN, 1)
    TaskVersion.objects.filter(task=first.task).update(content="true")
    apply("rerun", Actor(scene.user, AuditEntry.Face.API), scene.workspace, "Prod", [first.pk])
    execute(first)
    assert (states(first), state(second), second.unmet) == (["failure", "success"], State.WAIT_RESOURCE, 0)


def test_a_runner_that_breaks_is_a_failed_attempt_with_a_log_line(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process_runner, "SHELL", "/no/such/shell")
    instance = shell(scene, "true", rerun_times=1)
    attempt = execute(instance)
    assert (attempt.state, code_of(attempt)) == (Attempt.State.FAILURE, "attempt.error")
    assert "/no/such/shell" in log_text(attempt)
    assert instance.due_at is not None


def test_a_child_ends_a_run_and_takes_the_next_in_its_group(scene: Scene) -> None:
    ResourceGroup.objects.update(slots=1)
    elsewhere = ResourceGroup.objects.create(tenant=scene.tenant, name="elsewhere")
    task = scene.task("shell", "true")
    first, frozen, other, then = scene.instances(task, 4)
    TaskInstance.objects.filter(pk=frozen.pk).update(frozen=True)
    TaskInstance.objects.filter(pk=other.pk).update(resource_group=elsewhere)
    running = started(first)
    wave, following = attempts.end_and_take(running, SUCCESS, [], worker=WORKER, groups=[scene.group.pk])
    assert wave is not None and following is not None
    assert (following.instance, following.number, following.content) == (then.pk, 1, "true")
    assert (state(first), state(then)) == (State.SUCCESS, State.RUNNING)
    attempt = Attempt.objects.get(instance=then)
    assert (attempt.state, attempt.worker, attempt.version) == ("running", WORKER, task.version)
    _, following = attempts.end_and_take(following, SUCCESS, [], worker=WORKER, groups=[scene.group.pk])
    assert following is None
    assert (state(frozen), state(other)) == (State.WAIT_RESOURCE, State.WAIT_RESOURCE)


# automatic reruns


def test_a_failed_instance_is_rerun_as_often_and_as_late_as_its_setting_says(scene: Scene) -> None:
    instance = shell(scene, "exit 1", rerun_times=2, rerun_interval=600)
    for left in (2, 1):
        attempt = execute(instance)
        assert (instance.state, instance.reruns_left) == (State.FAILURE, left)
        assert instance.due_at is not None and attempt.finished_at is not None
        wait = instance.due_at - attempt.finished_at
        assert timedelta(seconds=599) < wait < timedelta(seconds=601)
        due.run_due_instances()
        assert state(instance) is State.FAILURE
        TaskInstance.objects.update(due_at=PAST)
        due.run_due_instances()
        assert (state(instance), instance.reruns_left) == (State.WAIT_RESOURCE, left - 1)
    execute(instance)
    assert (instance.state, instance.due_at, instance.reruns_left) == (State.FAILURE, None, 0)
    assert states(instance) == ["failure"] * 3
    again = Transition.objects.filter(instance=instance, before=State.FAILURE)
    assert [code_of(row) for row in again] == ["rerun.automatic"] * 2


@pytest.mark.parametrize(("mode", "again"), [("AllAllowed", True), ("FailureAllowed", True), ("AllDenied", False)])
def test_the_rerun_setting_decides_whether_there_is_one(scene: Scene, mode: str, again: bool) -> None:
    instance = shell(scene, "exit 1", rerun_times=2, rerun_mode=mode)
    execute(instance)
    assert (instance.due_at is not None) is again


# losses


def test_a_lost_attempt_is_followed_by_another_until_it_looks_like_the_cause(scene: Scene) -> None:
    instance = shell(scene, "true")
    for number in range(1, LOST_LIMIT + 1):
        running = started(instance)
        assert attempts.lose(running.id)
        assert not attempts.lose(running.id)
        assert state(instance) is (State.WAIT_RESOURCE if number < LOST_LIMIT else State.FAILURE)
    assert instance.reason == {"code": "attempt.lost", "params": {"host": "here"}}
    assert (states(instance), instance.due_at) == (["lost"] * LOST_LIMIT, None)


def test_a_loss_costs_no_automatic_rerun_and_is_not_repeated_where_reruns_are_denied(scene: Scene) -> None:
    allowed = shell(scene, "true", rerun_times=1)
    attempts.lose(started(allowed).id)
    assert (state(allowed), allowed.reruns_left) == (State.WAIT_RESOURCE, 1)
    attempts.end(started(allowed), SUCCESS, [])
    denied = shell(scene, "true", rerun_mode="AllDenied")
    attempts.lose(started(denied).id)
    assert (state(denied), states(denied)) == (State.FAILURE, ["lost"])


def test_a_lost_attempt_that_was_to_stop_is_not_repeated(scene: Scene) -> None:
    instance = shell(scene, "true")
    running = started(instance)
    stop(scene, instance)
    attempts.lose(running.id)
    assert state(instance) is State.FAILURE


def test_an_ended_attempt_cannot_be_lost(scene: Scene) -> None:
    instance = shell(scene, "true")
    attempt = execute(instance)
    assert not attempts.lose(attempt.pk)
    assert (state(instance), states(instance)) == (State.SUCCESS, ["success"])


# stops


@pytest.mark.parametrize("waiting", [State.WAIT_TIME, State.WAIT_TRIGGER, State.WAIT_RESOURCE])
def test_stopped_while_waiting_it_fails_at_once_and_stays_so(scene: Scene, waiting: State) -> None:
    instance = shell(scene, "true", rerun_times=3)
    TaskInstance.objects.filter(pk=instance.pk).update(state=waiting, due_at=PAST)
    stop(scene, instance)
    assert (state(instance), instance.reason, instance.due_at) == (State.FAILURE, STOPPED, None)
    due.run_due_instances()
    assert (state(instance), claim.claim(WORKER, 5), states(instance)) == (State.FAILURE, [], [])


def test_stopped_while_claimed_it_is_not_started(scene: Scene) -> None:
    instance = shell(scene, "true", rerun_times=3)
    (claimed,) = claim.claim(WORKER, 1)
    stop(scene, instance)
    run_attempt(claimed.instance, claimed.attempt)
    assert (state(instance), instance.reason, instance.due_at) == (State.FAILURE, STOPPED, None)
    assert states(instance) == ["stopped"]
    Attempt.objects.update(lease_until=PAST)
    due.run_leases()
    assert (state(instance), states(instance)) == (State.FAILURE, ["stopped"])


def test_a_failure_after_a_request_to_stop_is_the_stop_and_a_success_remains_one(scene: Scene) -> None:
    for outcome, ended, recorded in ((FAILURE, State.FAILURE, "stopped"), (SUCCESS, State.SUCCESS, "success")):
        instance = shell(scene, "true", rerun_times=3)
        running = started(instance)
        stop(scene, instance)
        assert state(instance) is State.RUNNING
        attempts.end(running, outcome, [])
        assert (state(instance), states(instance), instance.due_at) == (ended, [recorded], None)
        assert instance.reason == (STOPPED if ended is State.FAILURE else None)


def signalled(instance: TaskInstance, act: Callable[[], None]) -> tuple[Attempt, float]:
    """Run the instance, act once its first line is stored; the attempt, and the seconds from the act to its end."""
    acted: list[float] = []

    def watch() -> None:
        give_up = time.monotonic() + 15
        while not LogChunk.objects.exists() and time.monotonic() < give_up:
            time.sleep(0.02)
        acted.append(time.monotonic())
        act()
        connection.close()

    watcher = threading.Thread(target=watch)
    watcher.start()
    attempt = execute(instance)
    ended = time.monotonic()
    watcher.join()
    return attempt, ended - acted[0]


@pytest.mark.django_db(transaction=True)
def test_stopped_while_running_it_is_killed_and_not_rerun(scene: Scene) -> None:
    instance = shell(scene, "echo begun\nsleep 20", rerun_times=3)

    def act() -> None:
        stop(scene, instance)
        os.kill(os.getpid(), STOP_SIGNAL)

    attempt, seconds = signalled(instance, act)
    assert seconds < 2
    assert (attempt.state, attempt.reason, attempt.exit_code) == ("stopped", STOPPED, -9)
    assert (instance.state, instance.due_at, instance.reason) == (State.FAILURE, None, STOPPED)


@pytest.mark.django_db(transaction=True)
def test_a_signal_that_was_meant_for_an_earlier_attempt_stops_nothing(scene: Scene) -> None:
    instance = shell(scene, "echo begun\nsleep 1\necho ended")
    attempt, _ = signalled(instance, lambda: os.kill(os.getpid(), STOP_SIGNAL))
    assert (attempt.state, log_text(attempt)) == ("success", "begun\nended\n")


@pytest.mark.django_db(transaction=True)
def test_what_is_abandoned_because_no_lease_could_be_renewed_is_lost_and_runs_again(scene: Scene) -> None:
    instance = shell(scene, "echo begun\nsleep 20")
    attempt, seconds = signalled(instance, lambda: os.kill(os.getpid(), ABANDON_SIGNAL))
    assert seconds < 2
    assert (attempt.state, code_of(attempt), log_text(attempt)) == ("lost", "attempt.lost", "begun\n")
    assert (instance.state, instance.attempt) == (State.WAIT_RESOURCE, 1)


def test_a_running_attempt_has_a_lease(scene: Scene) -> None:
    running = started(shell(scene, "true"))
    lease = Attempt.objects.get(pk=running.id).lease_until
    assert lease is not None
    assert timedelta() <= LEASE - (lease - clock.now()) < timedelta(seconds=2)


STOP_IT = """
import json, time, django
django.setup()
from django.db import connection
from opscenter.base import notify
from opscenter.production.models import Attempt, TaskInstance
from tests.engine import test_attempts as here
scene = here.staffed("stopped-by-hand")
instance = here.shell(scene, "trap '' TERM INT\\nsleep 300 &\\nsleep 300", rerun_times=3, rerun_interval=1)
notify.notify(notify.WORK)
give_up = time.monotonic() + 20
while here.state(instance) is not here.State.RUNNING and time.monotonic() < give_up:
    time.sleep(0.05)
began = time.monotonic()
here.stop(scene, instance)
while here.state(instance) is not here.State.FAILURE and time.monotonic() < began + 10:
    time.sleep(0.02)
seconds = time.monotonic() - began
time.sleep(2)
print(json.dumps([seconds, here.state(instance).name, instance.reason, here.states(instance)]))
"""


@pytest.mark.processes
def test_a_worker_stops_what_it_runs_within_three_seconds(shared_stack: Stack) -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOP_IT],
        env=shared_stack.env | {"DJANGO_SETTINGS_MODULE": "opscenter.settings"},
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    seconds, ended, reason, ways = json.loads(done.stdout.splitlines()[-1])
    assert seconds < 3
    assert (ended, reason, ways) == ("FAILURE", STOPPED, ["stopped"])

"""HTTP nodes run by a courier in this process, against real services: good, slow, lying, hanging, redirecting, dying."""

import json
import multiprocessing
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest
from django.db import connection, connections

from opscenter.base import clock, due, heartbeat, notify
from opscenter.base.models import Process
from opscenter.base.reasons import say
from opscenter.engine import advance, http_calls
from opscenter.engine import due as engine_due
from opscenter.engine.http_courier import FEW, HttpCourier, rooms
from opscenter.production.explaining import explain_instances, short_reasons
from opscenter.production.models import Attempt, HttpCall, SharedParameter, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import Kind, State
from opscenter.production.selectors import log_text
from tests.engine.graphs import PAST, Scene
from tests.engine.runs import code_of
from tests.http_node.service import Service

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def allowed(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def service():
    with Service() as running:
        yield running


def work(stop: threading.Event) -> None:
    with HttpCourier(patience=0.2) as calls:
        due.loop([due.Source("calls", calls.run_due)], [notify.COURIER], stop, lambda: True)
    connection.close()


@contextmanager
def courier():
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        notify.notify(notify.COURIER)
        thread.join(10)
        assert not thread.is_alive()


def node(scene, service, polls=True, parameters="", timeout=0, reruns=0, callback=None, **document) -> TaskInstance:
    document = {"url": f"{service.url}/run_code", "method": "POST", "body": {"code": "ok"}, **document}
    if polls:
        accepted = ["SUCCESS", "FINISHED"]
        document["callback"] = {
            "url": f"{service.url}/status",
            "interval": 1,
            "success": accepted,
            **(callback or {}),
        }
    task = scene.task("http", json.dumps(document), parameters=parameters, timeout=timeout, rerun_times=reruns)
    return scene.instances(task, 1, reruns_left=reruns)[0]


def ended(instance, seconds=15.0) -> Attempt:
    wait_for(lambda: TaskInstance.objects.get(pk=instance.pk).state in (State.SUCCESS, State.FAILURE), seconds)
    instance.refresh_from_db()
    assert not HttpCall.objects.filter(attempt__instance=instance).exists()
    return Attempt.objects.get(instance=instance, number=instance.attempt)


def wait_for(done, seconds=15.0):
    give_up = time.monotonic() + seconds
    while not (value := done()):
        assert time.monotonic() < give_up, "not in time"
        time.sleep(0.01)
    return value


def test_the_documented_service(scene, service):
    instance = node(scene, service, token="s3cret-token", apiKey={"value": "k3y-value"})
    with courier():
        attempt = ended(instance)
    assert (instance.state, attempt.state) == (State.SUCCESS, "success")
    method, path, headers, body = service.got[0]
    assert (method, path, json.loads(body)) == ("POST", "/run_code", {"code": "ok"})
    assert headers["Authorization"] == "Bearer s3cret-token"
    assert headers["X-API-Key"] == "k3y-value"
    assert headers["Idempotency-Key"] == f"opscenter-{instance.pk}-1"
    assert service.got[1][1] == f"/status/{next(iter(service.tasks))}"
    log = log_text(attempt)
    assert f"POST {service.url}/run_code" in log
    assert '"status": "FINISHED"' in log
    assert "s3cret-token" not in log
    assert "k3y-value" not in log


def test_polling_goes_on_and_explains_itself(scene, service):
    instance = node(scene, service, body={"code": "hold"})
    with courier():
        wait_for(lambda: HttpCall.objects.filter(polls__gte=1, phase="poll").exists())
        instance.refresh_from_db()
        assert explain_instances([instance])[instance.pk].headline.code == "explain.http_uncalled", (
            "none says it is alive"
        )
        heartbeat.register(Process.Kind.COURIER)
        told = explain_instances([instance])[instance.pk].headline
        assert told.code == "explain.http_polling"
        assert "next poll" in say(told.code, told.params)
        assert short_reasons([instance])[instance.pk].code == "explain.http_polling.short"
        assert instance.state == State.RUNNING
        service.go.set()
        ended(instance)
    assert instance.state == State.SUCCESS
    assert service.submits == 1


def test_a_service_that_says_its_task_failed(scene, service):
    instance = node(scene, service, body={"code": "fail"})
    with courier():
        ended(instance)
    assert (instance.state, code_of(instance)) == (State.FAILURE, "http.status")


def test_a_refused_submit_is_rerun_as_often_as_the_node_says(scene, service):
    instance = node(scene, service, body={"code": ""}, reruns=1)
    with courier():
        ended(instance)
        assert (code_of(instance), instance.due_at is not None) == ("http.status", True)
        TaskInstance.objects.filter(pk=instance.pk).update(due_at=PAST)
        engine_due.run_due_instances()
        wait_for(lambda: service.submits == 2)
        wait_for(lambda: TaskInstance.objects.get(pk=instance.pk, attempt=2).state == State.FAILURE)
    instance.refresh_from_db()
    assert (instance.attempt, instance.due_at) == (2, None)
    keys = [headers["Idempotency-Key"][-2:] for _method, _path, headers, _body in service.got]
    assert keys == ["-1", "-2"]


@pytest.mark.parametrize(
    ("submit", "code"),
    [
        ((302, {"taskId": "x"}), "http.status"),
        ((307, {"taskId": "x"}), "http.status"),
        ((200, b"<html>"), "http.task_id"),
        ((200, {"status": "PROCESSING"}), "http.task_id"),
        ((200, b""), "http.task_id"),
        ((200, {"taskId": "../.."}), None),
        ((200, {"taskId": ".."}), "http.task_id"),
    ],
)
def test_services_that_redirect_or_lie(scene, service, submit, code):
    service.submit = lambda _given: submit
    service.poll = lambda _task: (200, {"status": "SUCCESS"})
    instance = node(scene, service)
    with courier():
        ended(instance)
    assert code_of(instance) == code
    assert [path for _m, path, _h, _b in service.got] == ["/run_code"] + ["/status/..%2F.."] * (code is None)


POLLED = [
    ((200, {"status": "SUCCESS"}), None),
    ((201, {"status": "FINISHED", "log": "x"}), None),
    ((200, {"status": "FAILED"}), "http.callback_status"),
    ((200, {"status": "success"}), "http.callback_status"),
    ((200, {"state": "SUCCESS"}), "http.answer"),
    ((200, b"SUCCESS"), "http.answer"),
    ((200, b""), "http.answer"),
    ((404, {"status": "SUCCESS"}), "http.status"),
    ((500, {"status": "PROCESSING"}), "http.status"),
    ((302, {"status": "SUCCESS"}), "http.status"),
]


def test_what_answers_to_a_poll_come_to(scene, service):
    """Of each the first poll goes on, and the second one ends it. Where a redirect leads is not asked."""
    asked = Counter()

    def poll(task):
        asked[task] += 1
        return (200, {"status": "PROCESSING"}) if asked[task] == 1 else POLLED[int(task)][0]

    service.submit = lambda given: (200, {"taskId": given["code"]})
    service.poll = poll
    url = f"{service.url}/status/?from=opscenter&x=1"
    instances = [node(scene, service, body={"code": str(at)}, callback={"url": url}) for at in range(len(POLLED))]
    with courier():
        for instance in instances:
            ended(instance)
    for (answer, code), instance in zip(POLLED, instances, strict=True):
        assert (instance.state, code_of(instance)) == (State.FAILURE if code else State.SUCCESS, code), answer
    assert asked == {str(at): 2 for at in range(len(POLLED))}
    paths = Counter(path for _method, path, _headers, _body in service.got)
    assert paths == {f"/status/{at}?from=opscenter&x=1": 2 for at in range(len(POLLED))} | {"/run_code": len(POLLED)}


def test_the_documented_services_word_succeeds_only_where_the_node_says_so(scene, service):
    instance = node(scene, service, callback={"success": ["SUCCESS"]})
    with courier():
        ended(instance)
    assert instance.reason == {"code": "http.callback_status", "params": {"status": "FINISHED"}}


def test_a_slow_service_is_waited_for(scene, service):
    """Each answer takes its time, and less than the node allows."""
    late = threading.Event()

    def slowly(answer):
        late.wait(0.7)
        return answer

    service.submit = lambda _given: slowly((200, {"taskId": "slow"}))
    service.poll = lambda _task: slowly((200, {"status": "SUCCESS"}))
    instance = node(scene, service, requestTimeout=5)
    with courier():
        ended(instance)
    assert (instance.state, service.submits, len(service.got)) == (State.SUCCESS, 1, 2)


def test_a_service_that_lies_about_the_status_and_says_our_secret(scene, service):
    service.poll = lambda _task: (200, {"status": "bad s3cret-token"})
    instance = node(scene, service, token="s3cret-token")
    with courier():
        attempt = ended(instance)
    assert instance.reason == {"code": "http.callback_status", "params": {"status": "bad ***"}}
    assert "s3cret-token" not in log_text(attempt)


def test_a_hanging_submit_is_not_made_again(scene, service):
    service.submit = lambda _given: (service.hang.wait(20), (200, {"taskId": "x"}))[1]
    instance = node(scene, service, requestTimeout=1, reruns=1)
    with courier():
        ended(instance)
    assert (code_of(instance), instance.due_at, service.submits) == ("http.no_answer", None, 1)


def test_a_hanging_poll_is_asked_again_and_then_fails(scene, service):
    service.poll = lambda _task: (service.hang.wait(20), (200, {"status": "SUCCESS"}))[1]
    instance = node(scene, service, requestTimeout=1)
    with courier():
        ended(instance)
    assert (code_of(instance), service.submits, len(service.got)) == ("outbound.timeout", 1, 4)


def test_a_target_that_may_not_be_reached(scene, service, settings):
    settings.OUTBOUND_ALLOW = []
    instance = node(scene, service)
    with courier():
        ended(instance)
    assert (code_of(instance), service.got) == ("outbound.address", [])


def test_the_timeout_ends_polling(scene, service):
    instance = node(scene, service, body={"code": "hold"}, timeout=2, reruns=1)
    with courier():
        attempt = ended(instance)
    assert (code_of(instance), instance.due_at) == ("attempt.timeout", None)
    assert 1.9 < (attempt.finished_at - attempt.started_at).total_seconds() < 3


@pytest.mark.parametrize("while_asked", [False, True])
def test_a_stop_ends_it_at_once(scene, service, while_asked):
    if while_asked:
        service.submit = lambda _given: (service.hang.wait(20), (200, {"taskId": "x"}))[1]
    instance = node(scene, service, body={"code": "hold"}, callback={"interval": 600}, reruns=1)
    with courier():
        wait_for(lambda: service.got if while_asked else HttpCall.objects.filter(phase="poll").exists())
        Attempt.objects.update(stop_requested_at=clock.now())
        http_calls.hurry([instance.pk])
        attempt = ended(instance, 3)
        service.hang.set()
    assert (attempt.state, code_of(instance), instance.due_at) == ("stopped", "attempt.stopped", None)


def test_parameters_are_put_in(scene, service):
    body = {"code": "${bizdate} ${a}"}
    instance = node(
        scene,
        service,
        polls=False,
        parameters="a=1 bizdate=$bizdate",
        body=body,
        params={"d": "${a}"},
        url=service.url + "/r",
    )
    with courier():
        attempt = ended(instance)
    assert instance.state == State.SUCCESS
    assert (service.got[0][1], json.loads(service.got[0][3])) == ("/r?d=1", {"code": "20261120 1"})
    assert attempt.parameters == {"a": "1", "bizdate": "20261120"}


def test_parameters_of_every_level_go_into_url_headers_query_and_body_of_both_requests(scene, service):
    for workspace, name, expression in [(None, "g", "$bizdate"), (scene.workspace, "w", "$[hh24]")]:
        SharedParameter.objects.create(
            tenant=scene.tenant,
            workspace=workspace,
            environment="Prod" if workspace else "",
            name=name,
            expression=expression,
            modified_by=scene.user,
        )
    text = "${g}-${w}-${r}-${n}-${yyyymm}-$[mi]"
    instance = node(
        scene,
        service,
        parameters="n=own",
        url=service.url + "/${g}/run",
        headers={"X-Day": text},
        params={"${n}": text},
        body={"code": "ok", "all": [text]},
        callback={"url": service.url + "/status?g=${g}", "method": "POST", "headers": {"X-Day": text}, "body": text},
    )
    content = instance.task.version.content.replace(f'"body": "{text}"', f'"body": {{"a": "{text}"}}')
    type(instance.task.version).objects.update(content=content)
    WorkflowInstance.objects.update(parameters={"workflow": {"r": "run"}})
    with courier():
        attempt = ended(instance)
    value = "20261120-00-run-own-202611-00"
    (_, submit, headers, body), (method, poll, poll_headers, poll_body) = service.got
    assert (submit, headers["X-Day"]) == (f"/20261120/run?own={value}", value)
    assert json.loads(body) == {"code": "ok", "all": [value]}
    assert (method, poll.endswith("?g=20261120"), poll_headers["X-Day"]) == ("POST", True, value)
    assert json.loads(poll_body) == {"a": value}
    assert attempt.parameters == {"n": "own", "g": "20261120", "w": "00", "r": "run"}
    assert attempt.parameter_sources["w"]["level"] == "workspace"
    assert instance.state == State.SUCCESS


@pytest.mark.parametrize(("success", "state"), [("2xx", State.FAILURE), ("2xx,400", State.SUCCESS)])
def test_the_success_rule(scene, service, success, state):
    instance = node(scene, service, polls=False, body={"code": ""}, success=success)
    with courier():
        ended(instance)
    assert instance.state == state


def test_do_not_execute_is_a_dry_run(scene, service):
    instance = node(scene, service, runStatus="DoNotExecute")
    with courier():
        ended(instance)
    assert (instance.state, service.got) == (State.SUCCESS, [])
    assert explain_instances([instance])[instance.pk].headline.code == "explain.succeeded_dry_run"


def test_settings_nobody_can_read_fail_and_say_so(scene, service):
    task = scene.task("http", "curl")
    (instance,) = scene.instances(task, 1)
    with courier():
        ended(instance)
    assert (code_of(instance), instance.due_at) == ("http.document", None)


def test_downstream_goes_on(scene, service):
    instance = node(scene, service)
    (after,) = scene.instances(scene.task(), 1)
    scene.connect([(instance, after)])
    with courier():
        ended(instance)
    after.refresh_from_db()
    assert after.state == State.WAIT_RESOURCE
    advance.drain()
    after.refresh_from_db()
    assert after.state == State.SUCCESS


def test_frozen_ones_and_dry_runs_are_not_called(scene, service):
    task = node(scene, service).task
    TaskInstance.objects.update(frozen=True)
    (dry,) = scene.instances(scene.task("http", task.version.content), 1, kind=Kind.SKIP)
    assert advance.drain() == 1
    assert http_calls.start_ready() == 0
    dry.refresh_from_db()
    assert dry.state == State.SUCCESS


def test_ready_ones_do_not_succeed_by_themselves(scene, service):
    node(scene, service)
    assert advance.drain() == 0


def test_a_late_answer_changes_nothing(scene, service):
    instance = node(scene, service)
    http_calls.start_ready()
    (parcel,) = http_calls.claim({service.url.removeprefix("http://"): 9}, [])
    HttpCall.objects.update(due_at=PAST)
    (again,) = http_calls.claim({parcel.host: 9}, [])
    assert (again.repeats, again.outcome.reason["code"]) == (True, "http.unknown")
    http_calls.record([http_calls.Result(parcel, None, ["late"], task_id="x")])
    assert HttpCall.objects.get().task_id == ""
    http_calls.record([http_calls.Result(again, again.outcome)])
    http_calls.record([http_calls.Result(parcel, http_calls.failed("late"))])
    instance.refresh_from_db()
    assert (instance.state, code_of(instance), instance.attempt) == (State.FAILURE, "http.unknown", 1)


def dying() -> None:
    """A courier in a process of its own."""
    connections.close_all()
    work(threading.Event())


@pytest.mark.parametrize(
    ("safe", "code", "submits"), [(False, "http.unknown", 1), (True, None, 2)], ids=["by default", "where it is safe"]
)
def test_a_courier_killed_before_the_answer(scene, service, safe, code, submits):
    """The service has the request, the courier is killed: no second submit, unless the node allows it."""
    service.submit = lambda _given: (service.hang.wait(20), (200, {"taskId": "x"}))[1]
    service.poll = lambda _task: (200, {"status": "SUCCESS"})
    instance = node(scene, service, reruns=1, safeToRepeat=safe)
    killed(lambda: service.submits == 1)
    assert HttpCall.objects.get().phase == "submitting"
    service.hang.set()
    HttpCall.objects.update(due_at=PAST)
    with courier():
        ended(instance)
    assert (code_of(instance), service.submits, instance.due_at) == (code, submits, None)
    keys = {headers.get("Idempotency-Key") for _m, path, headers, _b in service.got if path == "/run_code"}
    assert keys == {f"opscenter-{instance.pk}-1"}


def test_a_courier_killed_between_submit_and_poll(scene, service):
    instance = node(scene, service, body={"code": "hold"}, callback={"interval": 2})
    killed(lambda: HttpCall.objects.filter(phase="poll").exists())
    service.go.set()
    with courier():
        ended(instance)
    assert (instance.state, service.submits) == (State.SUCCESS, 1)


def killed(when) -> None:
    """Run a courier in a process of its own until ``when``, and kill it."""
    connections.close_all()
    process = multiprocessing.get_context("fork").Process(target=dying)
    process.start()
    try:
        wait_for(when)
    finally:
        process.kill()
        process.join()


def test_room_at_hosts():
    assert rooms(["a", "b"], Counter(), most=400) == {"a": 256, "b": 44}
    assert rooms(["a"], Counter(a=256)) == {}
    assert rooms(["a", "b"], Counter(a=256, c=50)) == {"b": FEW}
    assert rooms(["b"], Counter(a=256, c=144)) == {}

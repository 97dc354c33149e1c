"""The demo's data, made at several times of day: what it promises, and that its past is consistent."""

import json
import stat
import subprocess
from collections import Counter
from datetime import date, datetime, timedelta
from itertools import pairwise
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import pytest
from django.core.management import CommandError, call_command

from extensions import lifecycle
from extensions.models import Extension
from opscenter.base import clock
from opscenter.base.models import Process
from opscenter.base.secrets import decrypt
from opscenter.operations import drafts
from opscenter.operations.models import Operation
from opscenter.processes import guard
from opscenter.processes.demo import audit_export, cast, documents, past, record, retail
from opscenter.processes.demo.make import Made, make, trigger_time
from opscenter.production.models import (
    Attempt,
    GenerationRun,
    InstanceEdge,
    LogChunk,
    Task,
    TaskInstance,
    Transition,
    TriggerCommand,
    WorkflowInstance,
)
from opscenter.production.rules.states import State, may_follow
from opscenter.workspaces.models import AccessKey, AuditEntry, Member, Tenant, Workspace
from opscenter.workspaces.roles import ROLES

pytestmark = pytest.mark.django_db
ZONE = ZoneInfo(cast.TIME_ZONE)
CLOCKS = [
    datetime(2026, 3, 1, 0, 0, 5, tzinfo=ZONE),
    datetime(2026, 3, 1, 0, 10, tzinfo=ZONE),
    datetime(2026, 3, 1, 0, 31, tzinfo=ZONE),
    datetime(2026, 3, 1, 14, 30, tzinfo=ZONE),
    datetime(2026, 3, 1, 23, 50, tzinfo=ZONE),
    datetime(2027, 1, 1, 9, 0, tzinfo=ZONE),
]


def of_today(made: Made, now: datetime):
    today = now.astimezone(ZONE).date()
    return TaskInstance.objects.filter(workspace=made.party.workspace, bizdate=today - timedelta(days=1))


@pytest.mark.parametrize("now", CLOCKS, ids=str)
def test_made_at_any_time_of_day(now):
    b, a = make(now)
    check_today(b, a, now)
    check_past(now)


def check_today(b: Made, a: Made, now: datetime):
    """The trigger waits already, the pipeline is about to run."""
    trigger = of_today(b, now).get(task__number=b.tasks["http_trigger"])
    assert trigger.state == State.WAIT_TRIGGER
    assert trigger.scheduled_at <= now
    assert trigger.unmet == 0
    assert trigger.scheduled_at.astimezone(ZONE).date() == now.date()
    shell = of_today(b, now).get(task__number=b.tasks["shell_1"])
    assert (shell.state, shell.unmet) == (State.NOT_RUN, 1)
    assert a.tasks.keys() == {"trigger_http_node"}
    waiting = of_today(b, now).filter(state=State.WAIT_TIME)
    assert {one.due_at for one in waiting} == {one.not_before for one in waiting}
    assert waiting.count() >= 10


def check_past(now: datetime):
    """Rows are as the engine would have left them."""
    today = now.astimezone(ZONE).date()
    instances = {one.pk: one for one in TaskInstance.objects.select_related("task", "workflow_instance")}
    steps: dict[int, list[Transition]] = {}
    for step in Transition.objects.order_by("at", "pk"):
        steps.setdefault(step.instance_id, []).append(step)
    for pk, instance in instances.items():
        line = steps.get(pk, [])
        assert all(may_follow(State(one.before), State(one.after)) for one in line)
        assert all(one.after == two.before and one.at <= two.at for one, two in pairwise(line))
        if line:
            assert (line[-1].after, line[-1].at, line[-1].attempt) == (
                instance.state,
                instance.state_at,
                instance.attempt,
            )
            assert line[-1].at <= now
    edges = list(InstanceEdge.objects.all())
    assert all(edge.met == (instances[edge.upstream_id].state == State.SUCCESS) for edge in edges)
    unmet = Counter(edge.downstream_id for edge in edges if not edge.met)
    assert all(one.unmet == unmet[pk] for pk, one in instances.items())
    for edge in edges:
        before, after = instances[edge.upstream_id], instances[edge.downstream_id]
        if after.started_at:
            assert before.finished_at and before.finished_at <= after.started_at
    by_hand = [one for one in instances.values() if one.workflow_instance.type != WorkflowInstance.Type.NORMAL]
    for instance in instances.values():
        if instance in by_hand:
            assert instance.started_at is not None and instance.finished_at is not None
            assert instance.created_at <= instance.started_at <= instance.finished_at < now
            continue
        assert instance.not_before is not None
        if instance.started_at:
            assert instance.finished_at is not None
            assert instance.not_before <= instance.started_at <= instance.finished_at
        assert instance.created_at < instance.not_before
    assert GenerationRun.objects.order_by("day").values_list("day", flat=True).last() == today
    assert GenerationRun.objects.count() == 2 * (past.DAYS + 1)


def test_history_has_failures_and_receipts():
    b, _ = make(datetime(2026, 3, 1, 14, 30, tzinfo=ZONE))
    check_failures(b)
    check_receipts(b)


def check_failures(b: Made):
    """Two, of which one was rerun by hand."""
    states = Counter(
        TaskInstance.objects.filter(workspace=b.party.workspace, bizdate__lt=date(2026, 2, 28)).values_list(
            "state", flat=True
        )
    )
    assert states[State.FAILURE] == 1
    assert states[State.NOT_RUN] == 1  # the report behind it
    assert set(states) == {State.FAILURE, State.NOT_RUN, State.SUCCESS}
    again = Attempt.objects.get(number=2)
    assert again.state == Attempt.State.SUCCESS
    assert again.instance.attempts.get(number=1).state == Attempt.State.FAILURE
    step = Transition.objects.get(instance=again.instance, before=State.FAILURE)
    assert step.operation is not None
    failed = TaskInstance.objects.get(state=State.FAILURE)
    assert failed.reason == {"code": "attempt.exit_code", "params": {"exit_code": 1}}
    assert "FAIL" in LogChunk.objects.get(attempt__instance=failed).text


def check_receipts(b: Made):
    """Each day's trigger has one that fired."""
    receipts = TriggerCommand.objects.all()
    assert Counter(receipts.values_list("status", flat=True)) == {"fired": past.DAYS, "no_effect": 1}
    for receipt in receipts.filter(status="fired"):
        assert receipt.settled_at is not None and receipt.held_until is not None
        assert receipt.received_at < receipt.settled_at < receipt.held_until
        assert receipt.instance is not None and receipt.instance.started_at is not None
        assert receipt.instance.started_at >= max(receipt.received_at, receipt.instance.scheduled_at)
    assert receipts.filter(reason__code="trigger.held").count() == 1
    assert not receipts.exclude(access_key_id=b.party.access_key_id).exists()


def test_the_manual_workflow_was_run_twice():
    """Through the operation that everybody uses, by O&M, with the workflow's parameter."""
    now = datetime(2026, 3, 1, 14, 30, tzinfo=ZONE)
    b, _ = make(now)
    runs = WorkflowInstance.objects.filter(workspace=b.party.workspace, type=WorkflowInstance.Type.MANUAL_WORKFLOW)
    assert [run.name for run in runs] == [audit_export.WORKFLOW] * 2
    for run in runs:
        assert run.created_by.username == "b-pe" and run.created_at < now
        first, second = run.task_instances.order_by("started_at")
        assert (first.task.name, second.task.name) == ("export_sales", "seal_export")
        assert (first.state, second.state) == (State.SUCCESS, State.SUCCESS)
        attempt = first.attempts.get()
        assert attempt.parameters == {"bizdate": f"{run.bizdate:%Y%m%d}", "currency": "EUR"}
        assert {name: told["level"] for name, told in attempt.parameter_sources.items()} == {
            "bizdate": "node", "currency": "workflow",
        }  # fmt: skip
        operation = Operation.objects.get(params__workflow_instance=run.pk)
        entry = AuditEntry.objects.get(params__workflow_instance=run.pk)
        assert operation.at == entry.at == run.created_at


STEPS = [step for step in (*retail.STEPS, *audit_export.STEPS) if not step.is_virtual]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.name)
def test_past_logs_are_what_the_scripts_print(step, tmp_path):
    values = {"hour": "2026022815"} if step.name == "store_events" else {"bizdate": "20260228"}
    values |= {"currency": "EUR"} if step.name == "export_sales" else {}
    script = step.script
    for name, value in values.items():
        assert f"${{{name}}}" in script
        script = script.replace(f"${{{name}}}", value)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = audit_export if step in audit_export.STEPS else retail
    assert done.stdout == told.past_log(step.name, values)


def test_documents_are_read_without_a_warning():
    b, a = cast.make_tenant_b(), cast.make_tenant_a()
    for party, text in (
        (b, documents.http_workflow(trigger_time(datetime(2026, 3, 1, 12).time()))),
        (b, documents.retail_workflow("b-dev")),
        (b, documents.audit_workflow("b-dev")),
        (a, documents.calling_workflow(7, trigger_time(datetime(2026, 3, 1, 12).time()), "/opt/has space/python")),
    ):
        report = drafts.import_document(party.actor, party.workspace, text)
        assert report.warnings == ()
    caller = report.nodes[0].definition
    assert "'/opt/has space/python' trigger_http_node.py 7 Prod \"${day} 00:30:00\"" in caller["content"]


def test_command_prints_the_record_in_its_shape(capsys):
    call_command("demo", json=True)
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"console", "endpoint", "accounts", "tenants", "extension"}
    b, a = found["tenants"]
    assert (b["name"], a["name"]) == ("tenant-b", "tenant-a")
    assert [account["role"] for account in found["accounts"]] == list(ROLES)
    for account in found["accounts"]:
        member = Member.objects.get(user__username=account["username"], workspace=account["workspace_id"])
        assert member.roles == [account["role"]]
        assert member.user.check_password(account["password"])
        assert account["workspace_id"] == b["workspace_id"]
    for tenant in (a, b):
        key = AccessKey.objects.get(key_id=tenant["access_key_id"])
        assert decrypt(key.secret) == tenant["access_key_secret"]
        assert key.user.memberships.get(workspace=tenant["workspace_id"]).roles == ["role_project_admin"]
        for name, number in tenant["tasks"].items():
            assert Task.objects.get(number=number, environment="Prod").name == name
    assert {"http_trigger", "shell_1"} <= b["tasks"].keys()
    assert stat.S_IMODE(record.path().stat().st_mode) == 0o600
    check_guard(found)

    check_again(json.dumps(found, indent=2), capsys)
    check_lost()


def check_guard(found):
    """The extension is asked in tenant B's workspace; its key answers, and is of nobody who may have asked."""
    told = found["extension"]
    extension = Extension.objects.get(code=told["code"])
    assert (extension.name, extension.status) == (told["name"], Extension.Status.ONLINE)
    assert extension.webhook_url == told["webhook_url"]
    assert lifecycle.valid_secrets(extension) == [told["secret"]]
    workspace = Workspace.objects.get(pk=found["tenants"][0]["workspace_id"])
    for point in ("freeze-node", "unfreeze-node"):
        (asked,) = lifecycle.listeners(workspace, point)
        assert asked.extension == extension
        assert (asked.is_mandatory, asked.silence_blocks, asked.answer_limit) == (True, True, 60)
        assert asked.agreed_at == extension.created_at < clock.now() - timedelta(days=past.DAYS)
    key = AccessKey.objects.get(key_id=told["access_key_id"])
    assert decrypt(key.secret) == told["access_key_secret"]
    assert lifecycle.speaks_for(extension, key.user, key.key_id)
    assert key.user == extension.owner
    assert key.user.username not in {account["username"] for account in found["accounts"]}
    assert key.user.check_password(told["account"]["password"])
    check_guard_files(told)


def check_guard_files(told):
    """Made with the demo, for us alone; what people change in them stays, and the address is today's."""
    config, rules = guard.config_path(), guard.rules_path()
    assert str(rules) == told["rules_file"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (config, rules)} == {0o600}
    made = json.loads(config.read_text())
    assert json.loads(rules.read_text()) == {"most_tasks_at_once": 2, "protected_tasks": []}
    config.write_text(json.dumps(made | {"secrets": ["whsec_bmV3", told["secret"]], "endpoint": "127.0.0.1:1"}))
    rules.write_text("{}")
    guard.write_files(told)
    assert json.loads(config.read_text()) == made | {"secrets": ["whsec_bmV3", told["secret"]]}
    assert rules.read_text() == "{}"
    guard.write_files(told | {"code": "of another demo"})
    assert json.loads(config.read_text()) == made | {"extension_code": "of another demo"}
    assert json.loads(rules.read_text())["most_tasks_at_once"] == 2


def check_again(first, capsys):
    """A second call changes nothing, and says the same."""
    call_command("demo", json=True)
    assert capsys.readouterr().out.strip() == first
    assert Tenant.objects.count() == 2
    call_command("demo")
    for_people = capsys.readouterr().out
    for account in json.loads(first)["accounts"]:
        assert for_people.count(account["password"]) == 1


@pytest.mark.parametrize(
    ("seen", "told"), [(timedelta(seconds=2), "127.0.0.1:9412"), (timedelta(minutes=1), "ops.example.com")]
)
def test_command_prints_where_the_product_listens_if_it_runs(seen, told, settings, capsys):
    """Not what this shell's settings say, which may be those of nobody."""
    settings.PUBLIC_URL = "https://ops.example.com"
    call_command("demo", json=True)
    capsys.readouterr()
    now = clock.now()
    for port, started, last in ((9999, timedelta(hours=2), timedelta(minutes=2)), (9412, timedelta(hours=1), seen)):
        Process.objects.create(
            kind=Process.Kind.WEB, host="box", pid=port, started_at=now - started, seen_at=now - last,
            details={"port": port, "url": f"http://127.0.0.1:{port}"},
        )  # fmt: skip
    call_command("demo", json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["endpoint"] == told
    assert found["console"].endswith(f"//{told}/")


def check_lost():
    """Without the record, which cannot be made again, it says so."""
    record.path().unlink()
    with pytest.raises(CommandError, match="made already"):
        call_command("demo")
    assert not record.path().exists()


def test_making_the_guard_opens_no_way_for_others(settings):
    settings.OUTBOUND_ALLOW = ["10.0.0.0/8"]
    made, _ = make(datetime(2026, 3, 1, 14, 30, tzinfo=ZONE))
    assert settings.OUTBOUND_ALLOW == ["10.0.0.0/8"]
    target = urlsplit(made.guard.extension.webhook_url)
    guard.allow(target.geturl())
    assert ["10.0.0.0/8", f"127.0.0.1:{target.port}"] == settings.OUTBOUND_ALLOW


def test_record_of_another_database_is_made_anew(capsys):
    record.write({"tenants": [{"access_key_id": "LTAI5tOfAnotherDatabase"}]})
    call_command("demo", json=True)
    assert json.loads(capsys.readouterr().out) == json.loads(record.path().read_text())

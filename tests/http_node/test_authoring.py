"""HTTP nodes from a document to production: defaults, secrets at rest and on the wire, settings that publishing refuses."""

import json
from zoneinfo import ZoneInfo

import pytest

from opscenter.openapi import shapes
from opscenter.operations import drafts, publish
from opscenter.operations.actor import Actor
from opscenter.operations.publish_candidates import PublishRefused
from opscenter.production import http_settings
from opscenter.production.models import TaskVersion
from opscenter.workspaces.models import AuditEntry
from tests.cast import Cast
from workflows.models import Node, NodeVersion

pytestmark = pytest.mark.django_db
SETTINGS = {"url": "https://jobs.example/run", "token": "t0p-secret", "callback": {"url": "https://jobs.example/s"}}


def document(settings, **node):
    script = {"runtime": {"command": "HTTP"}, "content": settings}
    schedule = {"type": "Scheduler", "cron": "00 00 00 * * ?"}
    return json.dumps(
        {
            "version": "1.1.0",
            "spec": {"nodes": [{"id": "n1", "name": "call", "script": script, "trigger": schedule, **node}]},
        }
    )


@pytest.fixture
def cast():
    return Cast()


def imported(cast, settings, **node):
    actor = Actor(cast.owner, AuditEntry.Face.CONSOLE)
    return actor, drafts.import_document(actor, cast.workspace, document(settings, **node))


def test_from_a_document_to_a_draft(cast):
    _actor, report = imported(cast, SETTINGS)
    (node,) = report.nodes
    assert (node.node_type, node.definition["rerun_times"], node.definition["rerun_interval"]) == ("http", 1, 300)
    stored = [node.definition["content"], NodeVersion.objects.get(node=node).definition["content"]]
    assert not any("t0p-secret" in content for content in stored)


def test_reruns_that_the_document_names_are_kept(cast):
    _actor, report = imported(cast, SETTINGS, rerunTimes=3)
    assert report.nodes[0].definition["rerun_times"] == 3


def test_the_same_document_again_changes_nothing(cast):
    imported(cast, SETTINGS)
    _actor, again = imported(cast, SETTINGS)
    assert (len(again.unchanged), Node.objects.get().version) == (1, 1)
    _actor, other = imported(cast, {**SETTINGS, "token": "other"})
    assert len(other.updated) == 1


def test_settings_that_publishing_refuses(cast):
    actor, report = imported(cast, {**SETTINGS, "method": "PUT"})
    with pytest.raises(PublishRefused) as refused:
        publish.publish(actor, cast.workspace, report.nodes, "first")
    codes = [problem.reason.code for problem in refused.value.problems]
    assert "http.field" in codes


def test_secrets_are_masked_wherever_a_version_is_shown(cast):
    content = http_settings.seal(json.dumps(SETTINGS))
    task = cast.task(node_type="http", content=content)
    assert "gAAAA" in TaskVersion.objects.get(task=task).content
    assert "gAAAA" not in task.version.shown_content
    shown = shapes.task_details(task, ZoneInfo("UTC"))["Script"]["Content"]
    assert "gAAAA" not in shown
    assert http_settings.MASK in shown

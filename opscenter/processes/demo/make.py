"""Makes the demo: as of days ago, so that it lives when it is first looked at, at whatever time of whatever day."""

import sys
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from django.conf import settings

from opscenter.operations import drafts, publish, resources
from opscenter.processes.demo import audit_export, cast, documents, guard, history, past
from opscenter.processes.demo.cast import Party
from opscenter.processes.demo.guard import Guard

TRIGGER_AT = time(0, 30)
"""Local scheduled time of the demo's trigger."""

_FIRST_PUBLISHED = "First version"
_PROGRAM = Path("examples") / "cross_tenant_trigger" / documents.PROGRAM
_DEVELOPER = "role_project_dev"


@dataclass(frozen=True)
class Made:
    """One tenant of the demo.

    Attributes:
        tasks: the numbers of its tasks in production, by the names of their nodes.
        guard: the extension that guards them.
    """

    party: Party
    tasks: dict[str, int]
    guard: Guard | None = None


def make(now: datetime) -> tuple[Made, Made]:
    """Make the demo's tenants, B first. Must run in a transaction.

    Args:
        now: the moment that is taken for now; today is its day in the tenants' zone.
    """
    local = now.astimezone(ZoneInfo(cast.TIME_ZONE))
    at = trigger_time(local.time())
    b, a = cast.make_tenant_b(), cast.make_tenant_a()
    developer = next(account.user.username for account in b.accounts if account.role == _DEVELOPER)
    texts_b = (
        documents.http_workflow(at),
        documents.retail_workflow(developer),
        documents.audit_workflow(developer),
    )
    tasks_b = {name: number for text in texts_b for name, number in _publish(b, text).items()}
    resources.upload(a.actor, a.workspace, documents.PROGRAM, program(b))
    tasks_a = _publish(a, documents.calling_workflow(tasks_b[documents.TRIGGER], at, sys.executable))
    guard_b = guard.make(b)
    for party in (b, a):
        tenant = party.workspace.tenant
        moment = past.publishing_moment(local.date(), local.tzinfo)
        past.backdate(tenant, moment)
        past.generate_days(tenant, local.date())
    operator = next(account.user for account in b.accounts if account.role == history.OPERATOR)
    audit_export.tell(b, operator, local.date(), audit_export.RUNS[:1])  # in the order in which things happened
    for party in (b, a):
        history.tell(party, local.date(), past.DAYS)
    audit_export.tell(b, operator, local.date(), audit_export.RUNS[1:])
    return Made(b, tasks_b, guard_b), Made(a, tasks_a)


def trigger_time(now: time) -> time:
    """The scheduled time of the demo's trigger: 00:30; where the demo is made before that, 00:00, so that the trigger of
    today waits already."""
    return TRIGGER_AT if now > TRIGGER_AT else time(0)


def program(party: Party) -> bytes:
    """The example program with the endpoint and the access key of the party that it triggers filled in."""
    public = urlsplit(settings.PUBLIC_URL)
    text = (settings.BASE_DIR / _PROGRAM).read_text(encoding="utf-8")
    for gap, value in (
        ('"<endpoint>"', public.netloc),
        ('"<access key id>"', party.access_key_id),
        ('"<access key secret>"', party.access_key_secret),
        ('"http"', public.scheme),
    ):
        assert text.count(gap) == 1, gap
        text = text.replace(gap, f'"{value}"')
    return text.encode()


def _publish(party: Party, document: str) -> dict[str, int]:
    """Import and publish a document; the numbers of its tasks."""
    report = drafts.import_document(party.actor, party.workspace, document)
    published = publish.publish(party.actor, party.workspace, report.nodes, _FIRST_PUBLISHED)
    return {task.name: task.number for task in published.tasks}

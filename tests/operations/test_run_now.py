"""Run now: which business dates it takes, and what the parameters of such a run are."""

from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from opscenter.base import clock
from opscenter.base.reasons import Invalid
from opscenter.engine import claim
from opscenter.engine.run import run_attempt
from opscenter.operations.actor import Actor
from opscenter.operations.smoke_test import run_now
from opscenter.production.models import Attempt, Task, TaskInstance, WorkflowInstance
from opscenter.production.rules.states import State
from opscenter.production.selectors import log_text
from opscenter.workspaces.models import AuditEntry
from tests.cast import Cast

pytestmark = pytest.mark.django_db
ZONE = "Pacific/Kiritimati"
"""Fourteen hours ahead of UTC: its date is mostly another one than the database's."""


@pytest.fixture
def cast() -> Cast:
    return Cast(time_zone=ZONE)


def run(cast: Cast, task: Task, bizdate: date) -> TaskInstance:
    actor = Actor(cast.owner, AuditEntry.Face.CONSOLE)
    return run_now(actor, task, bizdate=bizdate, at=time(6, 30)).task_instances.get()


def execute(instance: TaskInstance) -> Attempt:
    """The one attempt of the only instance that is ready, run to its end."""
    (claimed,) = claim.claim(77, 1)
    assert claimed.instance == instance.pk
    run_attempt(claimed.instance, claimed.attempt)
    return Attempt.objects.get(instance=instance)


@pytest.mark.parametrize("bizdate", [date.max, date.min, date(1970, 1, 1), date(2199, 12, 31)])
def test_a_date_out_of_reach_is_refused_with_a_sentence(cast: Cast, bizdate: date) -> None:
    with pytest.raises(Invalid) as caught:
        run(cast, cast.task(), bizdate)
    assert caught.value.reason.code == "smoke_test.bizdate"
    assert f"{bizdate.isoformat()} is more than ten years away" in str(caught.value)
    assert not WorkflowInstance.objects.exists()


def test_the_scheduled_day_is_the_day_after(cast: Cast) -> None:
    bizdate = clock.now().date() - timedelta(days=3650)
    local = run(cast, cast.task(), bizdate).scheduled_at.astimezone(ZoneInfo(ZONE))
    assert (local.date(), local.time()) == (bizdate + timedelta(days=1), time(6, 30))


def test_gmtdate_of_a_run_for_a_past_day_is_the_tenants_today(cast: Cast) -> None:
    bizdate = clock.now().date() - timedelta(days=40)
    task = cast.task(content="echo $1 $2", version={"parameters": "1=$gmtdate 2=$bizdate"})
    before = clock.now().astimezone(ZoneInfo(ZONE)).date()
    told = log_text(execute(run(cast, task, bizdate))).split()
    after = clock.now().astimezone(ZoneInfo(ZONE)).date()
    assert told[0] in (f"{before:%Y%m%d}", f"{after:%Y%m%d}")
    assert told[1] == f"{bizdate:%Y%m%d}"


def test_a_parameter_without_a_value_is_told_in_the_log_and_kept_as_a_code(cast: Cast) -> None:
    task = cast.task(version={"parameters": "x=$nothing"})
    instance = run(cast, task, clock.now().date())
    attempt = execute(instance)
    assert attempt.reason is not None
    assert attempt.reason["code"] == "attempt.parameters"
    assert attempt.reason["params"]["problem"]["code"] == "parameters.unknown_name"
    assert "“$nothing” is not known. Write one of $bizdate" in log_text(attempt)
    instance.refresh_from_db()
    assert instance.state == State.FAILURE

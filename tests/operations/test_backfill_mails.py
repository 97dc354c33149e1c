"""The mail that a backfill has ended: owed with the end, sent once, tried again, never lost; a real mail server takes it."""

from collections.abc import Iterator
from datetime import timedelta
from threading import Barrier, Thread
from typing import Any

import pytest
from django.db import connection

from opscenter.base import clock
from opscenter.base.reasons import say
from opscenter.console.ended_letters import write
from opscenter.engine import backfill_jobs, backfill_mail, backfill_watch
from opscenter.engine.backfill_mail import Mailer, send_due
from opscenter.engine.locks import repeated
from opscenter.production.models import Backfill, BackfillMail, Task
from opscenter.production.rules.backfill import OnFailure
from opscenter.workspaces.models import Member
from tests.base.mailbox import Mailbox
from tests.operations.backfilling import backfill, fail, get, instances, pass_by, succeed
from tests.operations.guarded import Guarded

pytestmark = pytest.mark.django_db(transaction=True)
EITHER = {"type": "SuccessFailure", "notice": "Mail", "language": "en"}


@pytest.fixture
def box(settings: Any) -> Iterator[Mailbox]:
    with Mailbox() as opened:
        opened.use(settings)
        settings.PUBLIC_URL = "https://ops.example.com"
        yield opened


@pytest.fixture
def cast(transactional_db: None) -> Guarded:
    made = Guarded()
    made.operator.email = "operator@example.com"
    made.operator.save(update_fields=["email"])
    return made


@pytest.fixture
def task(cast: Guarded) -> Task:
    return cast.task("a")


def ended(cast: Guarded, task: Task, *, well: bool = True, **how: Any) -> BackfillMail:
    """A backfill that has ended, and its mail."""
    job = backfill(cast, task, alert=how.pop("alert", EITHER), **how)
    (succeed if well else fail)(*instances(job))
    pass_by()
    return BackfillMail.objects.get(backfill=job)


def due_now(mail: BackfillMail) -> None:
    BackfillMail.objects.filter(pk=mail.pk).update(due_at=clock.now())


def test_who_asked_for_it_gets_a_mail_with_the_way_to_its_page(cast: Guarded, task: Task, box: Mailbox) -> None:
    mail = ended(cast, task, name="lost week")
    send_due(write)
    (letter,) = box.mails
    assert box.recipients == [["operator@example.com"]]
    assert letter["Subject"].strip() == "[Opscenter] The backfill “lost week” has succeeded"
    assert letter["Message-ID"] == f"<{mail.key}@ops.example.com>"
    assert letter["Auto-Submitted"] == "auto-generated"
    text = letter.get_content()
    page = f"https://ops.example.com/w/{cast.workspace.pk}/prod/backfills/{mail.backfill_id}/"
    for part in (page, "All of its instances succeeded.", "Business dates: 2026-11-01", f"{cast.workspace} (Prod)"):
        assert part in text, part
    mail.refresh_from_db()
    assert (mail.state, mail.tries, mail.due_at, mail.reason) == (BackfillMail.State.SENT, 1, None, None)
    send_due(write)
    assert len(box.mails) == 1


def test_a_failure_tells_how_many(cast: Guarded, task: Task, box: Mailbox) -> None:
    ended(cast, task, well=False)
    send_due(write)
    assert "has failed" in box.mails[0]["Subject"]
    assert "Of its 1 instances 1 failed and 0 succeeded" in box.mails[0].get_content()


def test_in_the_language_in_which_it_was_asked_for(cast: Guarded, task: Task, box: Mailbox) -> None:
    ended(cast, task, alert=EITHER | {"language": "zh-hans"})
    send_due(write)
    assert "已成功" in box.mails[0]["Subject"]
    assert "业务日期" in box.mails[0].get_content()


@pytest.mark.parametrize(
    ("alert", "well", "mails"),
    [
        ({"type": "Success", "notice": "Mail"}, True, 1),
        ({"type": "Success", "notice": "Mail"}, False, 0),
        ({"type": "Failure", "notice": "SmsMail"}, False, 1),
        ({"type": "SUCCESS_FAILURE", "notice": "SMS_MAIL"}, False, 1),
        ({"type": "SUCCESS", "notice": "SMS"}, True, 0),
        ({"type": "Success"}, True, 0),
        (None, True, 0),
    ],
)
def test_only_at_the_ends_and_in_the_way_that_were_asked_for(
    cast: Guarded, task: Task, alert: dict[str, str] | None, well: bool, mails: int
) -> None:
    job = backfill(cast, task, alert=alert)
    (succeed if well else fail)(*instances(job))
    pass_by()
    pass_by()
    assert BackfillMail.objects.count() == mails


def test_a_stop_by_failure_is_an_end(cast: Guarded, task: Task) -> None:
    job = backfill(cast, task, count=2, alert=EITHER, on_failure=OnFailure.STOP)
    fail(instances(job)[0])
    pass_by()
    assert BackfillMail.objects.get().outcome == Backfill.Alert.FAILURE


def test_every_end_has_its_mail(cast: Guarded, task: Task, box: Mailbox) -> None:
    mail = ended(cast, task, well=False)
    job = mail.backfill
    _rerun(job)
    succeed(get(job, instances(job)[0].bizdate, "a"))
    pass_by()
    send_due(write)
    assert [one["Subject"].rpartition(" ")[2] for one in box.mails] == ["failed", "succeeded"]


def test_looking_again_at_the_same_end_tells_nothing_new(cast: Guarded, task: Task) -> None:
    mail = ended(cast, task, well=False)
    Backfill.objects.filter(pk=mail.backfill_id).update(is_watched=True)
    pass_by()
    assert BackfillMail.objects.count() == 1
    _rerun(mail.backfill)
    fail(*instances(mail.backfill))
    pass_by()
    assert BackfillMail.objects.count() == 2, "it failed again"


@repeated
def _rerun(job: Backfill) -> None:
    backfill_jobs.rerun(Backfill.objects.select_for_update().get(pk=job.pk), 1)


def test_the_mail_is_written_with_the_end_or_not_at_all(
    cast: Guarded, task: Task, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = backfill(cast, task, alert=EITHER)
    succeed(*instances(job))

    def broken(*_args: Any) -> None:
        raise RuntimeError("in the middle")

    monkeypatch.setattr(backfill_mail.notify, "notify", broken)
    with pytest.raises(RuntimeError):
        backfill_watch.run_backfills()
    job.refresh_from_db()
    assert (job.alert, job.is_watched, BackfillMail.objects.count()) == ("", True, 0)
    monkeypatch.undo()
    pass_by()
    assert BackfillMail.objects.count() == 1


def test_a_server_that_is_away_is_tried_again_until_it_is_back(cast: Guarded, task: Task, settings: Any) -> None:
    mail = ended(cast, task)
    with Mailbox() as gone:
        gone.use(settings)
    send_due(write)
    mail.refresh_from_db()
    assert (mail.state, mail.tries) == (BackfillMail.State.WAITING, 1)
    assert mail.due_at is not None and timedelta(seconds=20) < mail.due_at - clock.now() < timedelta(seconds=40)
    assert mail.reason is not None and "refused" in say(mail.reason["code"], mail.reason["params"])
    with Mailbox() as back:
        back.use(settings)
        due_now(mail)
        send_due(write)
        assert len(back.mails) == 1
    mail.refresh_from_db()
    assert (mail.state, mail.tries) == (BackfillMail.State.SENT, 2)


@pytest.mark.parametrize(
    ("command", "answer", "state"),
    [
        ("RCPT", "550 no such person", BackfillMail.State.GIVEN_UP),
        ("RCPT", "451 later", BackfillMail.State.WAITING),
        (".", "554 spam", BackfillMail.State.GIVEN_UP),
        (".", "452 full", BackfillMail.State.WAITING),
        ("MAIL", "530 not you", BackfillMail.State.WAITING),
        ("EHLO", "", BackfillMail.State.WAITING),
        (".", "", BackfillMail.State.WAITING),
    ],
)
def test_what_the_server_says_for_good_is_not_asked_again(
    cast: Guarded, task: Task, box: Mailbox, command: str, answer: str, state: str
) -> None:
    mail = ended(cast, task)
    box.answers[command] = answer
    send_due(write)
    mail.refresh_from_db()
    assert mail.state == state
    assert (mail.due_at is None) is (state == BackfillMail.State.GIVEN_UP)
    assert mail.reason is not None and answer in say(mail.reason["code"], mail.reason["params"])


def test_one_that_may_have_arrived_comes_again_under_the_same_name(cast: Guarded, task: Task, box: Mailbox) -> None:
    mail = ended(cast, task)
    box.answers["."] = ""  # kept, but the answer is lost
    send_due(write)
    box.answers.clear()
    due_now(mail)
    send_due(write)
    assert [one["Message-ID"] for one in box.mails] == [f"<{mail.key}@ops.example.com>"] * 2


def test_one_whose_courier_died_is_sent_when_its_lease_ends(cast: Guarded, task: Task, box: Mailbox) -> None:
    mail = ended(cast, task)
    assert backfill_mail._claim() is not None  # and nothing more is heard of it
    send_due(write)
    assert box.mails == []
    due_now(mail)
    send_due(write)
    mail.refresh_from_db()
    assert (len(box.mails), mail.state, mail.tries) == (1, BackfillMail.State.SENT, 2)


def test_a_late_result_changes_nothing(cast: Guarded, task: Task, box: Mailbox) -> None:
    mail = ended(cast, task)

    def meanwhile() -> None:
        BackfillMail.objects.filter(pk=mail.pk).update(tries=7)
        connection.close()

    box.on_data = meanwhile
    send_due(write)
    mail.refresh_from_db()
    assert (mail.state, mail.tries) == (BackfillMail.State.WAITING, 7)


def test_after_a_day_it_is_given_up(cast: Guarded, task: Task, box: Mailbox) -> None:
    mail = ended(cast, task)
    BackfillMail.objects.filter(pk=mail.pk).update(ended_at=clock.now() - timedelta(hours=25))
    box.answers["MAIL"] = "451 later"
    send_due(write)
    mail.refresh_from_db()
    assert (mail.state, mail.due_at) == (BackfillMail.State.GIVEN_UP, None)


def test_couriers_that_race_send_each_mail_once(cast: Guarded, task: Task, box: Mailbox) -> None:
    for _ in range(6):
        ended(cast, task)
    together = Barrier(4)

    def courier() -> None:
        try:
            together.wait()
            send_due(write)
        finally:
            connection.close()

    threads = [Thread(target=courier) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    keys = {f"<{key}@ops.example.com>" for key in BackfillMail.objects.values_list("key", flat=True)}
    assert len(box.mails) == 6
    assert {one["Message-ID"] for one in box.mails} == keys


def test_the_couriers_thread_sends_and_says_when_to_look_again(
    cast: Guarded, task: Task, box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_mail, "_PATIENCE", 20.0)
    first = ended(cast, task)
    mailer = Mailer(write)
    assert mailer.run_due() is None
    mailer.close()
    first.refresh_from_db()
    assert first.state == BackfillMail.State.SENT
    assert mailer.run_due() is None
    second = ended(cast, task)
    box.answers["MAIL"] = "451 later"
    mailer.run_due()
    mailer.close()
    second.refresh_from_db()
    assert mailer.run_due() == second.due_at


def _nobody(cast: Guarded) -> None:
    Member.objects.filter(user=cast.operator).delete()


def _no_address(cast: Guarded) -> None:
    cast.operator.email = ""
    cast.operator.save(update_fields=["email"])


def _gone(cast: Guarded) -> None:
    cast.operator.is_active = False
    cast.operator.save(update_fields=["is_active"])


@pytest.mark.parametrize(
    ("change", "words"), [(_nobody, "no member"), (_no_address, "no mail address"), (_gone, "no member")]
)
def test_nothing_is_told_to_who_must_not_know_or_has_no_address(
    cast: Guarded, task: Task, box: Mailbox, change: Any, words: str
) -> None:
    mail = ended(cast, task)
    change(cast)
    send_due(write)
    mail.refresh_from_db()
    assert (mail.state, box.mails) == (BackfillMail.State.GIVEN_UP, [])
    assert mail.reason is not None and words in say(mail.reason["code"], mail.reason["params"])


def test_without_a_server_the_page_says_so(cast: Guarded, task: Task, settings: Any) -> None:
    settings.EMAIL_HOST = ""
    mail = ended(cast, task)
    send_due(write)
    mail.refresh_from_db()
    assert mail.reason == {"code": "mail.off", "params": {}}

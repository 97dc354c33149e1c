"""Mails about backfills that have ended: owed by the transaction that noticed the end, sent by couriers, tried again for a day.

A mail is claimed before it is sent, for longer than sending can take, and the row says afterwards that it was sent: nobody
sends one again that is known to have been. One that a courier was sending when it died is sent again, under the same
Message-ID, by which receivers know it: a mail that may be lost is worse than one that may come twice.
"""

import smtplib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import connection, transaction
from django.db.models import Min
from django.utils.translation import gettext as _

from opscenter.base import clock, notify
from opscenter.base.reasons import sentence
from opscenter.production.models import Backfill, BackfillMail, TaskInstance
from opscenter.workspaces.models import Member

logger = structlog.get_logger(__name__)

RETRY_AFTER = (30, 120, 600, 1800, 3600)
"""Seconds until the next try, by how many there were; the last one counts for all that follow."""
GIVE_UP_AFTER = timedelta(days=1)
LEASE = timedelta(minutes=5)
"""How long sending one may take: each answer of the server may take EMAIL_TIMEOUT, and there are about ten."""
_LONGEST_REASON = 300
_PATIENCE = 1.5
"""Seconds that a mail which is being sent has when the courier stops."""


@dataclass(frozen=True)
class Letter:
    """What a mail says."""

    subject: str
    text: str


Writer = Callable[[BackfillMail], Letter]


def is_wanted(request: Mapping[str, Any]) -> bool:
    """Whether a request asks for a mail. Both APIs' kinds are read: ``SMS_MAIL``, ``SmsMail``."""
    return "mail" in str((request.get("alert") or {}).get("notice", "")).lower()


def is_on() -> bool:
    """Whether this installation has a mail server."""
    return bool(settings.EMAIL_HOST)


def owe(job: Backfill, outcome: Backfill.Alert, now: datetime) -> None:
    """Have it sent once the current transaction commits; not again where nothing has changed since the last one."""
    last = job.mails.order_by("pk").last()
    inside = TaskInstance.objects.filter(workflow_instance__backfill_date__backfill=job)
    if last is not None and last.outcome == outcome and not inside.filter(state_at__gt=last.ended_at).exists():
        return
    BackfillMail.objects.create(backfill=job, outcome=outcome, ended_at=now, due_at=now)
    notify.notify(notify.COURIER)


def send_due(write: Writer) -> None:
    """Send all that is due, one after the other."""
    while mail := _claim():
        _settle(mail, write)


@transaction.atomic
def _claim() -> BackfillMail | None:
    """The mail that has been due for longest, ours until its lease ends."""
    now = clock.now()
    due = BackfillMail.objects.filter(due_at__lte=now).order_by("due_at")
    mail = due.select_for_update(skip_locked=True, no_key=True, of=("self",)).first()
    if mail is not None:
        mail.tries += 1
        mail.due_at = now + LEASE
        mail.save(update_fields=["tries", "due_at"])
    return mail


def _settle(mail: BackfillMail, write: Writer) -> None:
    mail = BackfillMail.objects.select_related("backfill__workspace__tenant", "backfill__created_by").get(pk=mail.pk)
    now = clock.now()
    if reason := _obstacle(mail):
        _record(mail, state=BackfillMail.State.GIVEN_UP, due_at=None, reason=reason)
        return
    try:
        _send(mail, write(mail))
    except Exception as error:  # whatever it was: the next try may go better, and others are not held up
        reason = {"code": "mail.failed", "params": {"error": _words(error)}}
        is_over = _is_final(error) or now - mail.ended_at > GIVE_UP_AFTER
        later = now + timedelta(seconds=RETRY_AFTER[min(mail.tries, len(RETRY_AFTER)) - 1])
        fate = {"state": BackfillMail.State.GIVEN_UP, "due_at": None} if is_over else {"due_at": later}
        _record(mail, reason=reason, **fate)
        logger.warning("mail.failed", mail=mail.pk, backfill=mail.backfill_id, given_up=is_over, error=_words(error))
        return
    _record(mail, state=BackfillMail.State.SENT, due_at=None, sent_at=clock.now(), reason=None)
    logger.info("mail.sent", mail=mail.pk, backfill=mail.backfill_id, tries=mail.tries)


def _record(mail: BackfillMail, **fate: Any) -> None:
    """Under the number of the try: who took it meanwhile knows better."""
    BackfillMail.objects.filter(pk=mail.pk, tries=mail.tries, state=BackfillMail.State.WAITING).update(**fate)


def _obstacle(mail: BackfillMail) -> dict[str, Any] | None:
    """Why it must not, or cannot, be sent now."""
    user = mail.backfill.created_by
    if not is_on():
        return {"code": "mail.off", "params": {}}
    if not user.is_active or not Member.objects.filter(workspace=mail.backfill.workspace_id, user=user).exists():
        return {"code": "mail.no_member", "params": {}}
    return None if user.email else {"code": "mail.no_address", "params": {}}


def _send(mail: BackfillMail, letter: Letter) -> None:
    headers = {
        "Message-ID": f"<{mail.key}@{urlsplit(settings.PUBLIC_URL).hostname}>",
        "Date": format_datetime(mail.ended_at),
        "Auto-Submitted": "auto-generated",
    }
    subject = " ".join(letter.subject.split())
    EmailMessage(subject, letter.text, to=[mail.backfill.created_by.email], headers=headers).send()


def _is_final(error: Exception) -> bool:
    """Whether the server will not take it later either. That it does not let us in, somebody may repair."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return all(code >= 500 for code, _said in error.recipients.values())
    return isinstance(error, smtplib.SMTPDataError) and error.smtp_code >= 500


def _words(error: Exception) -> str:
    """What went wrong, in the server's words; passwords are in none of them."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        told = [f"{code} {text.decode(errors='replace')}" for code, text in error.recipients.values()]
        return "; ".join(told)[:_LONGEST_REASON]
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return f"{error.smtp_code} {text.decode(errors='replace') if isinstance(text, bytes) else text}"[
            :_LONGEST_REASON
        ]
    return f"{type(error).__name__}: {error}"[:_LONGEST_REASON]


@sentence("mail.off")
def _off(params: Mapping[str, Any]) -> str:
    return _("This installation has no mail server.")


@sentence("mail.no_address")
def _no_address(params: Mapping[str, Any]) -> str:
    return _("Who asked for it has no mail address.")


@sentence("mail.no_member")
def _no_member(params: Mapping[str, Any]) -> str:
    return _("Who asked for it is no member of the workspace any more.")


@sentence("mail.failed")
def _failed(params: Mapping[str, Any]) -> str:
    return _("The mail server did not take it: %(error)s") % params


class Mailer:
    """Sends mails in a thread of its own while any is due; ``run_due`` is its due source, ``close`` its end."""

    def __init__(self, write: Writer) -> None:
        self._write = write
        self._thread: Thread | None = None
        self._is_busy = False

    def run_due(self) -> datetime | None:
        """Start sending what is due; returns when to look again."""
        if self._is_busy:
            return None  # the thread wakes us when it is done
        nearest: datetime | None = BackfillMail.objects.filter(due_at__isnull=False).aggregate(at=Min("due_at"))["at"]
        if nearest is None or nearest > clock.now():
            return nearest
        self._is_busy = True
        self._thread = Thread(target=self._run, name="mails", daemon=True)
        self._thread.start()
        return None

    def _run(self) -> None:
        try:
            send_due(self._write)
            self._is_busy = False
            notify.notify(notify.COURIER)
        except Exception:
            logger.exception("mail.broken")  # looked at again when the courier wakes next
        finally:
            self._is_busy = False
            connection.close()

    def close(self) -> None:
        """What is being sent has a moment; what is not then is sent again by whoever comes next."""
        if self._thread is not None:
            self._thread.join(_PATIENCE)

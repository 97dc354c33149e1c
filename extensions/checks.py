"""Checks: opened with an event, ended once and for good (DESIGN.md 5).

All functions that change a check must run in a transaction that has locked its operation (or its event, for a test
delivery): ``operations.checked`` does. They end the check; what follows for the operation is decided there.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from extensions import deliveries, rules
from extensions.envelope import data_of, envelope
from extensions.models import Check, Delivery, Enablement, Event, Extension
from extensions.rules import Outcome, Standing
from opscenter.base import clock, notify
from opscenter.base.reasons import NotFound, Reason, Refused, sentence
from opscenter.workspaces.models import Tenant, User, Workspace

State, Verdict = Check.State, Check.Verdict
LONGEST_WORDS = 2000
"""Characters of an extension's words that are kept."""
_LONGEST_PROGRESS, _LONGEST_NAME = 1000, 64
_PASSING = frozenset({Verdict.OK, Verdict.WARN})
_TOO_LATE = {
    "check.silent": "verdict.late",
    "check.unreachable": "verdict.late",
    "check.extension_disabled": "verdict.disabled",
}
"""How a verdict is refused, by how the check ended without it."""


def open_event(
    point: str,
    workspace: Workspace,
    environment: str,
    operator: User,
    listeners: Sequence[Enablement],
    data: Mapping[str, Any],
    *,
    operation: int | None,
    about: str = "",
    asked_in: Workspace | None = None,
) -> Event:
    """One event, one check and one delivery for each listener.

    An operation may have several events, of several workspaces: it waits for the checks of all of them.

    Args:
        workspace: whose extensions are asked.
        data: what the message says of its own: ``envelope.nodes``, ``instances`` or ``backfill``.
        operation: the operation that waits; None for a test delivery.
        about: what it is done to, for people; the message's ``extensionBizName``.
        asked_in: where the operation was asked for, if in another workspace.
    """
    now = clock.now()
    event = Event(
        point=point,
        tenant=workspace.tenant,
        workspace=workspace,
        environment=environment,
        operator=operator,
        operation=operation,
        at=now,
    )
    event.message = envelope(event, data_of(event, data, about, asked_in or workspace))
    event.save(force_insert=True)
    opened = Check.objects.bulk_create(
        Check(
            event=event,
            extension=listener.extension,
            is_mandatory=listener.is_mandatory,
            silence_blocks=listener.silence_blocks,
            answer_limit=listener.answer_limit,
            opened_at=now,
            due_at=now + timedelta(seconds=listener.answer_limit),
        )
        for listener in listeners
    )
    deliveries.enqueue(opened)
    notify.notify(notify.DUE)  # the scheduler minds the answer limits
    for check in opened:
        if check.extension.gone_at is not None:
            unreachable(check)
    return event


def find(tenant: Tenant, message_id: str, extension_code: str) -> Check:
    """The check that a verdict names.

    Raises:
        NotFound: no such message in the tenant, no such extension, or the extension was not asked about this message.
    """
    known, code = _uuid(message_id), _kept(extension_code, _LONGEST_NAME)
    event = Event.objects.filter(tenant=tenant, pk=known).first() if known else None
    if event is None:
        raise NotFound("verdict.unknown_message", message=_kept(message_id, _LONGEST_NAME))
    if not Extension.objects.filter(tenant=tenant, code=code).exists():
        raise NotFound("verdict.unknown_extension", extension=code)
    check = Check.objects.filter(event=event, extension__code=code).first()
    if check is None:
        raise NotFound("verdict.not_asked", extension=code, message=str(event.pk))
    return check


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _kept(given: str, most: int) -> str:
    """Of a text that comes from outside what can be stored: PostgreSQL takes no NUL, and nobody half characters."""
    return given.replace("\0", "").encode(errors="replace").decode()[:most]


def outcome(operation: int) -> Outcome:
    """What the checks of an operation decide together, over all of its events."""
    rows = Check.objects.filter(event__operation=operation).values_list("state", "is_mandatory")
    return rules.decide(Standing(state, is_mandatory) for state, is_mandatory in rows)


def answer(check: Check, verdict: Check.Verdict, words: str, *, via: str, by: User | None) -> bool:
    """Record an extension's final verdict; the first one stands.

    Returns:
        True when this ended the check, False when it repeats what was said before.

    Raises:
        Refused: the check ended before, without or with a different verdict.
    """
    if check.state != State.CHECKING:
        if check.verdict == verdict:
            return False
        raise Refused(*_over(check), **_over_params(check, verdict))
    check.verdict, check.words, check.answered_via = verdict, _kept(words, LONGEST_WORDS), via
    _end(check, State.PASSED if verdict in _PASSING else State.FAILED, Reason("check.answered"), by)
    return True


def report(check: Check, percent: int | None, words: str) -> None:
    """Record that an extension is still at work; its answer limit starts anew, up to an hour in all.

    Raises:
        Refused: the check is over, or there were too many reports.
    """
    if check.state != State.CHECKING:
        raise Refused(*_over(check), **_over_params(check, ""))
    if check.reports >= rules.MOST_REPORTS:
        raise Refused("verdict.too_many_reports", most=rules.MOST_REPORTS)
    check.progress, check.progress_words, check.progress_at = percent, _kept(words, _LONGEST_PROGRESS), clock.now()
    check.reports += 1
    check.due_at = rules.due_after_report(check.opened_at, check.answer_limit, check.progress_at)
    check.save(update_fields=["progress", "progress_words", "progress_at", "reports", "due_at"])


def expire(check: Check) -> None:
    """The answer limit is over: what silence means was set when the extension was enabled."""
    was_told = check.deliveries.filter(status=Delivery.Status.DELIVERED).exists()
    _silence(check, "check.silent" if was_told else "check.unreachable")


def unreachable(check: Check) -> None:
    """The message can never be delivered: nobody needs to wait for the limit."""
    _silence(check, "check.unreachable")


def _silence(check: Check, code: str) -> None:
    """Nobody waited for an advisory one: its silence means nothing."""
    blocks = check.silence_blocks if check.is_mandatory else None
    after = {True: State.FAILED, False: State.PASSED, None: State.ENDED}[blocks]
    seconds = round((clock.now() - check.opened_at).total_seconds())
    _end(check, after, Reason(code, {"seconds": seconds, "blocks": blocks}), None)


def mark_passed(check: Check, by: User, comment: str) -> None:
    """A workspace administrator passes it by hand.

    Raises:
        Refused: the extension does not allow it, or the check is over.
    """
    if check.state != State.CHECKING:
        raise Refused("check.over")
    if not check.extension.allows_mark_passed:
        raise Refused("check.no_mark_passed", extension=check.extension.name)
    _end(check, State.PASSED, Reason("check.marked_passed", {"user": str(by), "comment": comment}), by)


def release(check: Check, by: User) -> None:
    """Its extension was disabled: the check ends as passed (DESIGN.md 5)."""
    _end(check, State.PASSED, Reason("check.extension_disabled", {"user": str(by)}), by)


def end_open(operation: int, reason: Reason, by: User | None) -> int:
    """End what is still open of an operation that was cancelled or blocked; how many checks that were."""
    left = list(Check.objects.filter(event__operation=operation, state=State.CHECKING).order_by("pk"))
    for check in left:
        _end(check, State.ENDED, reason, by)
    return len(left)


def due(before: int = 500) -> list[Check]:
    """Checks whose answer limit is over, the longest first."""
    open_ones = Check.objects.filter(state=State.CHECKING, due_at__lte=clock.now())
    return list(open_ones.select_related("event", "extension").order_by("due_at")[:before])


def _end(check: Check, state: Check.State, reason: Reason, by: User | None) -> None:
    check.state, check.reason, check.ended_by = state, reason.as_json(), by
    check.ended_at, check.due_at = clock.now(), None
    check.save(update_fields=["state", "reason", "ended_by", "ended_at", "due_at", "verdict", "words", "answered_via"])
    deliveries.end_pending([check])


def _over(check: Check) -> tuple[str]:
    """Why a verdict comes too late or against another."""
    if check.verdict:
        return ("verdict.contradiction",)
    code = (check.reason or {}).get("code", "")
    return (_TOO_LATE.get(code, "verdict.over"),)


def _over_params(check: Check, verdict: str) -> dict[str, Any]:
    at = check.ended_at.isoformat(timespec="seconds") if check.ended_at else ""
    return {
        "stands": check.verdict,
        "given": str(verdict),
        "at": at,
        "why": check.reason,
        "extension": check.extension.name,
    }


def open_of(extensions: Iterable[int]) -> list[Check]:
    """The open checks of some extensions."""
    found = Check.objects.filter(extension__in=list(extensions), state=State.CHECKING)
    return list(found.select_related("event", "extension").order_by("pk"))


@sentence("verdict.unknown_message")
def _unknown_message(params: Mapping[str, Any]) -> str:
    return _("There is no message “%(message)s”. MessageId is the “id” of the message that the extension got.") % params


@sentence("verdict.unknown_extension")
def _unknown_extension(params: Mapping[str, Any]) -> str:
    return _("There is no extension “%(extension)s”. ExtensionCode is the code on the extension's page.") % params


@sentence("verdict.not_asked")
def _not_asked(params: Mapping[str, Any]) -> str:
    return _("The extension “%(extension)s” was not asked about the message “%(message)s”.") % params


@sentence("verdict.contradiction")
def _contradiction(params: Mapping[str, Any]) -> str:
    return _("The verdict %(stands)s was given at %(at)s and stands; %(given)s comes after it.") % {
        **params,
        "given": params["given"] or _("a progress report"),
    }


@sentence("verdict.late")
def _late(params: Mapping[str, Any]) -> str:
    return _("The wait for the verdict ended at %(at)s. Answer sooner, or report progress while you work.") % params


@sentence("verdict.over")
def _verdict_over(params: Mapping[str, Any]) -> str:
    from opscenter.base.reasons import say

    why = params.get("why") or {"code": "check.over", "params": {}}
    return _("This check needs no verdict any more: %(why)s") % {"why": say(why["code"], why["params"])}


@sentence("verdict.disabled")
def _disabled(params: Mapping[str, Any]) -> str:
    return _("The extension “%(extension)s” is disabled; its verdicts do not count.") % params


@sentence("verdict.too_many_reports")
def _too_many(params: Mapping[str, Any]) -> str:
    return _("There were %(most)s progress reports of this check; give the verdict.") % params


@sentence("check.answered")
def _answered(params: Mapping[str, Any]) -> str:
    return _("The extension gave its verdict.")


@sentence("check.silent")
def _silent(params: Mapping[str, Any]) -> str:
    text = ngettext(
        "The extension got the message and did not answer within %(seconds)s second.",
        "The extension got the message and did not answer within %(seconds)s seconds.",
        params["seconds"],
    )
    return f"{text} {_what_silence_means(params)}" % params


@sentence("check.unreachable")
def _unreachable(params: Mapping[str, Any]) -> str:
    text = _("The message could not be delivered to the extension.")
    return f"{text} {_what_silence_means(params)}"


def _what_silence_means(params: Mapping[str, Any]) -> str:
    if params["blocks"] is None:
        return _("It only advises here, so nothing waited for it.")
    if params["blocks"]:
        return _("In this workspace no answer counts as FAIL.")
    return _("In this workspace no answer counts as passed.")


@sentence("check.marked_passed")
def _marked(params: Mapping[str, Any]) -> str:
    return _("%(user)s marked it as passed: “%(comment)s”") % params


@sentence("check.no_mark_passed")
def _no_mark_passed(params: Mapping[str, Any]) -> str:
    return _("The extension “%(extension)s” does not allow its checks to be marked as passed.") % params


@sentence("check.over")
def _check_over(params: Mapping[str, Any]) -> str:
    return _("The check has ended already.")


@sentence("check.extension_disabled")
def _extension_disabled(params: Mapping[str, Any]) -> str:
    return _("%(user)s disabled the extension; its open checks ended as passed.") % params


@sentence("check.cancelled")
def _cancelled(params: Mapping[str, Any]) -> str:
    return _("%(user)s cancelled the operation.") % params


@sentence("check.blocked_by")
def _blocked_by(params: Mapping[str, Any]) -> str:
    return _("“%(extension)s” blocked the operation, so this verdict is not needed.") % params

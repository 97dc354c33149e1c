"""Operations under check: verdicts come in, limits run out, people cancel or pass; what was decided is carried out.

Each entry is one transaction that locks the operation first, so an operation is settled exactly once, together with
what decided it. A crash leaves either all of it or nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import structlog
from django.db import DatabaseError
from django.db.models import Min
from django.utils.translation import gettext as _

from extensions import checks, lifecycle, tokens
from extensions.models import Check, Event, Extension
from extensions.rules import Outcome
from opscenter.base import clock
from opscenter.base.due import Source
from opscenter.base.reasons import Forbidden, NotFound, Reason, Refused, sentence
from opscenter.engine.locks import repeated
from opscenter.operations import jobs
from opscenter.operations.actor import Actor
from opscenter.operations.models import Operation
from opscenter.operations.permits import member_of, membership, missing, require
from opscenter.operations.results import carry_out, check_comment, waiting_of
from opscenter.workspaces import audit
from opscenter.workspaces.models import AuditEntry, Workspace
from opscenter.workspaces.roles import Permission

logger = structlog.get_logger(__name__)

API, CALLBACK = "api", "callback"
"""Ways in which a verdict comes."""


def answer_by_key(actor: Actor, message_id: str, extension_code: str, verdict: Check.Verdict, words: str) -> Check:
    """A verdict through the API: ``UpdateWorkbenchEventResult`` and ``CallbackExtension``.

    Raises:
        NotFound: unknown message or extension, or one that was not asked.
        Forbidden: the key does not speak for the extension, or belongs to who asked for the operation.
        Refused: too late, contradictory, or the extension is disabled.
    """
    check = checks.find(actor.user.tenant, message_id, extension_code)
    if not lifecycle.speaks_for(check.extension, actor.user, actor.access_key_id):
        raise Forbidden("verdict.foreign_key", extension=check.extension.name)
    is_granted = check.extension.keys.filter(access_key__key_id=actor.access_key_id).exists()
    if check.event.operation is not None and actor.user.pk == check.event.operator_id and not is_granted:
        raise Forbidden("verdict.requester", extension=check.extension.name)
    return _answer(check.pk, verdict, words, via=API, by=actor)


def answer_by_token(check_id: int, token: str, verdict: Check.Verdict, words: str) -> Check:
    """A verdict through the callback URL of a message.

    Raises:
        NotFound: no such check.
        Forbidden: the token is not the check's.
        Refused: too late, contradictory, or the extension is disabled.
    """
    return _answer(_by_token(check_id, token).pk, verdict, words, via=CALLBACK, by=None)


@repeated
def report_by_token(check_id: int, token: str, percent: int | None, words: str) -> Check:
    """A progress report through the callback URL; raises as ``answer_by_token``."""
    check, _operation = _locked(_by_token(check_id, token).pk)
    checks.report(check, percent, words)
    return check


def _by_token(check_id: int, token: str) -> Check:
    check = Check.objects.filter(pk=check_id).select_related("extension").first()
    if check is None:
        raise NotFound("verdict.unknown_check", check=check_id)
    if not tokens.is_token_of(check, token):
        raise Forbidden("verdict.forged")
    return check


@repeated
def _answer(check_id: int, verdict: Check.Verdict, words: str, *, via: str, by: Actor | None) -> Check:
    check, operation = _locked(check_id)
    if checks.answer(check, verdict, words, via=via, by=by.user if by else None) and operation is not None:
        settle(operation)
    return check


def _locked(check_id: int) -> tuple[Check, Operation | None]:
    """The check as it is now, with what it belongs to locked: its operation, or its event where there is none."""
    event = Event.objects.get(checks=check_id)
    operation = None
    if event.operation is not None:
        operation = _lock_operation(event.operation)
    else:
        Event.objects.select_for_update(no_key=True).get(pk=event.pk)
    check = Check.objects.select_related("extension", "event__tenant").get(pk=check_id)
    return check, operation


def _lock_operation(pk: int) -> Operation:
    locked = Operation.objects.select_for_update(no_key=True, of=("self",)).select_related("workspace", "actor")
    return locked.get(pk=pk)


def settle(operation: Operation, address: str | None = None) -> None:
    """Carry out or block an operation whose checks have decided; the caller holds its row.

    Args:
        address: the requester's, while they are still here.
    """
    if operation.status != Operation.Status.CHECKING:
        return
    match checks.outcome(operation.pk):
        case Outcome.GO:
            if len(waiting_of(operation)) > jobs.MOST:
                jobs.go_on(operation, address)
            else:
                carry_out(operation, membership(operation.actor, operation.workspace_id), address)
                jobs.hand_over(operation, address)
        case Outcome.BLOCKED:
            _block(operation)


def _block(operation: Operation) -> None:
    failed = Check.objects.filter(
        event__operation=operation.pk, state=Check.State.FAILED, is_mandatory=True
    ).select_related("extension")
    by = failed.order_by("ended_at", "pk")[0]
    checks.end_open(operation.pk, Reason("check.blocked_by", {"extension": by.extension.name}), None)
    why = {"extension": by.extension.name, "words": by.words, "why": None if by.verdict else by.reason}
    _close(operation, Operation.Status.BLOCKED, Reason("operation.blocked", why))
    audit.record(
        None,
        AuditEntry.Face.SYSTEM,
        "operation.block",
        workspace=operation.workspace,
        obj=("operation", operation.pk, ""),
        params={"operation": operation.code, **why},
    )


def _close(operation: Operation, status: Operation.Status, reason: Reason) -> None:
    """The operation ends without having been applied."""
    operation.targets.filter(done=None).update(done=False, reason=reason.as_json(), open_code=None)
    operation.status, operation.settled_at = status, clock.now()
    operation.save(update_fields=["status", "settled_at"])


@repeated
def cancel(actor: Actor, workspace: Workspace, operation_id: int) -> Operation:
    """Take back an operation that is being checked: its requester may, and who manages extensions.

    Raises:
        NotFound: a stranger, or no such operation in the workspace.
        Forbidden: neither the requester nor a manager of extensions.
        Refused: it is not being checked any more.
    """
    member = member_of(actor.user, workspace.pk)
    if not Operation.objects.filter(pk=operation_id, workspace=workspace).exists():
        raise NotFound("operation.unknown", operation=operation_id)
    operation = _lock_operation(operation_id)
    if operation.actor_id != actor.user.pk and not member.may(Permission.MANAGE_EXTENSIONS):
        raise Forbidden("permission.missing", **missing(Permission.MANAGE_EXTENSIONS, member))
    if operation.status != Operation.Status.CHECKING:
        raise Refused("operation.not_checking", status=operation.status)
    by = {"user": str(actor.user)}
    checks.end_open(operation.pk, Reason("check.cancelled", by), actor.user)
    _close(operation, Operation.Status.CANCELLED, Reason("operation.cancelled", by))
    audit.record(
        actor.user,
        actor.face,
        "operation.cancel",
        workspace=workspace,
        obj=("operation", operation.pk, ""),
        params={"operation": operation.code},
        address=actor.address,
    )
    return operation


@repeated
def mark_passed(actor: Actor, workspace: Workspace, check_id: int, comment: str) -> Check:
    """Pass a check by hand, where its extension allows that; the audit trail keeps who did.

    Args:
        workspace: the check's own, or the one in which its operation was asked for. Only who manages extensions in the
            check's own may pass it.

    Raises:
        NotFound: a stranger, or no such check in the workspace.
        Forbidden: not a manager of extensions.
        Refused: the extension does not allow it, or the check is over.
    """
    member_of(actor.user, workspace.pk)
    found = Check.objects.filter(pk=check_id).select_related("event__workspace").first()
    if found is None or workspace.pk not in (found.event.workspace_id, _asked_in(found)):
        require(actor, workspace, Permission.MANAGE_EXTENSIONS)
        raise NotFound("verdict.unknown_check", check=check_id)
    workspace = found.event.workspace
    require(actor, workspace, Permission.MANAGE_EXTENSIONS)
    check_comment(comment)
    check, operation = _locked(check_id)
    checks.mark_passed(check, actor.user, comment)
    audit.record(
        actor.user,
        actor.face,
        "check.mark_passed",
        workspace=workspace,
        obj=("operation", check.event.operation or 0, check.extension.name),
        params={"extension": check.extension.name, "comment": comment},
        address=actor.address,
    )
    if operation is not None:
        settle(operation)
    return check


def _asked_in(check: Check) -> int | None:
    """The workspace in which the check's operation was asked for."""
    found = Operation.objects.filter(pk=check.event.operation or 0).values_list("workspace", flat=True)
    return found.first()


def release(extension: Extension, actor: Actor, workspace: Workspace | None = None) -> int:
    """End an extension's open checks as passed, because it was disabled; in one workspace only, if one is given.

    Must run in the transaction that disables it, after the extension's row was locked: then no operation opens another
    check meanwhile (``lifecycle.held_listeners``). Returns how many checks ended so.
    """
    found = checks.open_of([extension.pk])
    if workspace is not None:
        found = [check for check in found if check.event.workspace_id == workspace.pk]
    ended = 0
    for check in sorted(found, key=lambda one: (one.event.operation or 0, one.pk)):
        locked, operation = _locked(check.pk)
        if locked.state == Check.State.CHECKING:  # nobody answered while we waited for its operation
            checks.release(locked, actor.user)
            ended += 1
            if operation is not None:
                settle(operation)
    return ended


def unreachable(check_id: int) -> None:
    """The courier found out that a check's message can never be delivered."""
    _end(check_id, checks.unreachable)


def run_limits() -> datetime | None:
    """End checks whose answer limit is over; returns when the next one is.

    One that cannot be ended does not hold up the others; the first such error is raised at the end.
    """
    errors = []
    for check in checks.due():
        try:
            _end(check.pk, _expire)
        except DatabaseError:
            raise
        except Exception as error:
            logger.exception("check_limits.failed", check=check.pk)
            errors.append(error)
    if errors:
        raise errors[0]
    return Check.objects.filter(state=Check.State.CHECKING).aggregate(at=Min("due_at"))["at"]


def _expire(check: Check) -> None:
    if check.due_at is not None and check.due_at <= clock.now():  # a report may have come in between
        checks.expire(check)


@repeated
def _end(check_id: int, how: Any) -> None:
    check, operation = _locked(check_id)
    if check.state == Check.State.CHECKING:
        how(check)
        if operation is not None:
            settle(operation)


SOURCES: Sequence[Source] = [Source("check_limits", run_limits)]
"""What time moves here; the scheduler runs it."""


@sentence("operation.blocked")
def _blocked(params: Mapping[str, Any]) -> str:
    from opscenter.base.reasons import say

    why = params["words"] or (say(params["why"]["code"], params["why"]["params"]) if params.get("why") else "")
    return _("The extension “%(extension)s” blocked it: %(why)s") % {
        "extension": params["extension"],
        "why": why or _("it gave no reason"),
    }


@sentence("operation.cancelled")
def _cancelled(params: Mapping[str, Any]) -> str:
    return _("%(user)s cancelled the operation before the extensions had answered.") % params


@sentence("operation.unknown")
def _unknown(params: Mapping[str, Any]) -> str:
    return _("There is no operation %(operation)s in this workspace.") % params


@sentence("operation.not_checking")
def _not_checking(params: Mapping[str, Any]) -> str:
    return _("The operation is not being checked any more: %(status)s.") % {
        "status": dict(Operation.Status.choices)[params["status"]]
    }


@sentence("verdict.unknown_check")
def _unknown_check(params: Mapping[str, Any]) -> str:
    return _("There is no check %(check)s.") % params


@sentence("verdict.forged")
def _forged(params: Mapping[str, Any]) -> str:
    return _("The token is not this check's. Send the callbackToken of the same message as the callbackUrl.")


@sentence("verdict.foreign_key")
def _foreign_key(params: Mapping[str, Any]) -> str:
    return (
        _(
            "This access key does not speak for the extension “%(extension)s”: use a key of its owner, or one made for it."
        )
        % params
    )


@sentence("verdict.requester")
def _requester(params: Mapping[str, Any]) -> str:
    return (
        _("Who asks for an operation cannot give the verdict on it. Use a key made for the extension “%(extension)s”.")
        % params
    )

"""Endpoints of extensions: those that want nothing more, and those that have done nothing but fail for days."""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import structlog

from extensions.models import Delivery, Extension
from opscenter.base import sql
from opscenter.base.reasons import Reason
from opscenter.workspaces import audit
from opscenter.workspaces.models import AuditEntry

logger = structlog.get_logger(__name__)

DEAD_AFTER = timedelta(days=5)
LEAST_FAILURES = 10
"""An endpoint that only failed for so long, and so many times at least, is sent nothing until a person says so."""


def gone(pk: int, url: str, now: datetime) -> list[int]:
    """The endpoint wants no more messages: the others that wait for it have failed too. Returns their checks.

    Unless its URL was changed meanwhile: the answer was the old one's.
    """
    return _stop(pk, url, Reason("delivery.gone"), now)


def count(well: Collection[int], failed: Mapping[int, str], now: datetime) -> list[int]:
    """Keep how long each endpoint has done nothing but fail, and stop sending to those that are dead.

    Waits for nobody: who changes an extension at this moment is left alone, the next failure counts.

    Args:
        well: extensions whose endpoint took a message.
        failed: the others that were tried, with the URL.

    Returns:
        The checks that can never be delivered any more.
    """
    if well:
        sql.rows(
            """UPDATE extensions_extension SET failing_since = NULL, failures = 0 WHERE id IN (
                   SELECT id FROM extensions_extension WHERE id = ANY(%(ids)s::bigint[]) AND failing_since IS NOT NULL
                   ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)""",
            {"ids": sorted(well)},
        )
    if not failed:
        return []
    counted = sql.rows(
        """UPDATE extensions_extension SET failing_since = coalesce(failing_since, %(now)s::timestamptz), failures = failures + 1
           WHERE id IN (SELECT id FROM extensions_extension WHERE id = ANY(%(ids)s::bigint[]) AND gone_at IS NULL
                        ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)
           RETURNING id, failing_since, failures""",
        {"ids": sorted(failed), "now": now},
    )
    stopped = []
    for pk, since, failures in counted:
        if now - since >= DEAD_AFTER and failures >= LEAST_FAILURES:
            why = Reason("delivery.dead", {"since": since.isoformat(timespec="minutes"), "failures": failures})
            stopped += _stop(pk, failed[pk], why, now)
    return stopped


def _stop(pk: int, url: str, reason: Reason, now: datetime) -> list[int]:
    """Nothing is sent to the extension any more; what waits has failed. Returns the checks concerned."""
    same = Extension.objects.filter(pk=pk, webhook_url=url)
    if not same.update(gone_at=now, gone_reason=reason.as_json()):
        return []
    logger.warning("extension.stopped", extension=pk, reason=reason.code)
    extension = same.select_related("test_workspace__tenant").get()
    audit.record(
        None,
        AuditEntry.Face.SYSTEM,
        "extension.stopped",
        workspace=extension.test_workspace,
        obj=("extension", extension.code, extension.name),
        params={"reason": Reason(reason.code, {**reason.params, "extension": extension.name}).as_json()},
    )
    others = Delivery.objects.filter(extension=pk, status=Delivery.Status.PENDING)
    checks = dict(others.select_for_update(skip_locked=True, no_key=True).order_by("pk").values_list("pk", "of_check"))
    Delivery.objects.filter(pk__in=checks).update(status=Delivery.Status.FAILED, due_at=None, finished_at=now)
    return [check for check in checks.values() if check is not None]

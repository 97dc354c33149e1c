"""What the mail about a backfill that has ended says."""

from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext as _

from opscenter.console.backfill_parts import dates_in_words
from opscenter.engine.backfill_mail import Letter
from opscenter.operations.backfill_request import from_json
from opscenter.production import backfill_counts
from opscenter.production.models import Backfill, BackfillMail


def write(mail: BackfillMail) -> Letter:
    """In the language in which the backfill was asked for."""
    job = mail.backfill
    with translation.override((job.request["alert"] or {}).get("language", settings.LANGUAGE_CODE)):
        counts = backfill_counts.of_jobs([job])[job.pk]
        params = {"name": job.name, "total": counts.total, "done": counts.done, "failed": counts.failed}
        if mail.outcome == Backfill.Alert.SUCCESS:
            subject = _("The backfill “%(name)s” has succeeded") % params
            text = _("All of its instances succeeded.")
        else:
            subject = _("The backfill “%(name)s” has failed") % params
            text = (
                _("Of its %(total)s instances %(failed)s failed and %(done)s succeeded, and nothing goes on.") % params
            )
        zone = job.workspace.tenant.time_zone
        facts = [
            (_("Workspace"), f"{job.workspace} ({job.environment})"),
            (_("Business dates"), dates_in_words(from_json(job.request))),
            (_("Ended"), f"{mail.ended_at.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M:%S} {zone}"),
        ]
        page = reverse(
            "console:backfill", kwargs={"workspace_id": job.workspace_id, "env": job.environment.lower(), "pk": job.pk}
        )
        told = "\n".join(_("%(name)s: %(value)s") % {"name": name, "value": value} for name, value in facts)
        why = _("You get this mail because you asked for it with the backfill.")
        return Letter(
            f"[Opscenter] {subject}", f"{subject}.\n{text}\n\n{told}\n\n{settings.PUBLIC_URL}{page}\n\n{why}\n"
        )

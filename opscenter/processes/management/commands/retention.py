"""manage.py retention: what is older than its workspace keeps it."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from opscenter.engine import retention
from opscenter.workspaces.models import Workspace


class Command(BaseCommand):
    help = "Remove what workspaces no longer keep (the scheduler does it several times a day), or show what that is."
    requires_system_checks: list[str] = []  # made by make lint; here they would only cost time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--preview", action="store_true", help="show it and remove nothing")
        parser.add_argument("--workspace", type=int, metavar="ID", help="only this workspace (default: all)")

    def handle(self, *args: Any, **options: Any) -> None:
        chosen = Workspace.objects.select_related("tenant").order_by("pk")
        if options["workspace"] is not None:
            chosen = chosen.filter(pk=options["workspace"])
            if not chosen:
                raise CommandError(f"There is no workspace {options['workspace']}.")
        total = 0
        for workspace in chosen:
            for old in retention.preview(workspace):
                count = old.count if options["preview"] else _remove(old)
                total += count
                where = f" of {old.day} in {old.environment}" if old.day else ""
                self.stdout.write(f"{workspace.name} ({workspace.pk}): {count} {_NAMES[old.kind]}{where}")
        self.stdout.write(f"{'To remove' if options['preview'] else 'Removed'}: {total}")


_NAMES = {
    "instances": "instances",
    "logs": "logs of attempts",
    "events": "messages to extensions",
    "receipts": "receipts of trigger calls",
}


def _remove(old: retention.Old) -> int:
    total = 0
    while removed := retention.remove_batch(old):
        total += removed
    return total

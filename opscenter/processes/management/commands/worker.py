"""manage.py worker: runs instances."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from opscenter.processes import worker
from opscenter.processes.running import run_until_stopped


class Command(BaseCommand):
    help = "Run task instances."
    requires_system_checks: list[str] = []  # made by make lint; here they would only cost time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--resource-group", nargs="+", metavar="NAME", help="serve only these resource groups (default: all)"
        )
        parser.add_argument(
            "--processes", type=int, default=settings.WORKERS, help="how many instances to run at a time (%(default)s)"
        )

        parser.add_argument(
            "--grace",
            type=int,
            default=settings.STOP_GRACE,
            metavar="SECONDS",
            help="how long running instances may go on when it is stopped; then others run them (%(default)s)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["processes"] < 1:
            raise CommandError("--processes must be at least 1.")
        if options["grace"] < 0:
            raise CommandError("--grace must not be negative.")
        run_until_stopped(
            lambda stop: worker.run(options["resource_group"], options["processes"], stop, options["grace"]),
            options["grace"] + worker.AFTER_GRACE,
        )

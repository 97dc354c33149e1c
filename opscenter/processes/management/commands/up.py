"""manage.py up: all of the product."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from opscenter.processes.up import Up


class Command(BaseCommand):
    help = "Run everything: the embedded database (unless DATABASE_URL is set), web, scheduler, worker and courier."
    requires_system_checks: list[str] = []  # made by make lint; here they would only cost time

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-demo", action="store_true", help="leave an empty database empty")

    def handle(self, *args: Any, **options: Any) -> None:
        Up(with_demo=not options["no_demo"]).run()

"""manage.py up: all of the product."""

from typing import Any

from django.core.management.base import BaseCommand

from opscenter.processes.up import Up


class Command(BaseCommand):
    help = "Run everything: the embedded database (unless DATABASE_URL is set), web, scheduler, worker and courier."
    requires_system_checks: list[str] = []  # made by make lint; here they would only cost time

    def handle(self, *args: Any, **options: Any) -> None:
        Up().run()

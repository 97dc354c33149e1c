"""manage.py scheduler: due work."""

from typing import Any

from django.core.management.base import BaseCommand

from opscenter.processes import scheduler
from opscenter.processes.running import run_until_stopped


class Command(BaseCommand):
    help = "Do what is due: generate instances, start them at their times. Of several, one leads and the others wait."
    requires_system_checks: list[str] = []  # made by make lint; here they would only cost time

    def handle(self, *args: Any, **options: Any) -> None:
        run_until_stopped(scheduler.run)

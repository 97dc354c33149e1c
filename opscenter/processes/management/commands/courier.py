"""manage.py courier: outbound calls."""

from typing import Any

from django.core.management.base import BaseCommand

from opscenter.processes import courier
from opscenter.processes.running import run_until_stopped


class Command(BaseCommand):
    help = "Make the outbound calls: deliveries to extensions, polls of HTTP nodes."
    requires_system_checks: list[str] = []  # made by make lint; here they would only cost time

    def handle(self, *args: Any, **options: Any) -> None:
        run_until_stopped(courier.run)

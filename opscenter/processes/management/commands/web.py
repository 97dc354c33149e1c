"""manage.py web: the console and the OpenAPI endpoint."""

from typing import Any

from django.core.management.base import BaseCommand

from opscenter.processes import web


class Command(BaseCommand):
    help = "Serve the console and the OpenAPI endpoint."
    requires_system_checks: list[str] = []  # made by make lint; here they would only cost time

    def handle(self, *args: Any, **options: Any) -> None:
        web.run()

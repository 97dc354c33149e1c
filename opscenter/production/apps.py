from django.apps import AppConfig


class ProductionConfig(AppConfig):
    name = "opscenter.production"
    label = "production"

    def ready(self) -> None:
        """What this floor's codes say is known from the start, whoever says it first."""
        from opscenter.production import (  # noqa: F401
            http_sentences,
            remedy_sentences,
            schedule_sentences,
            sentences,
            trigger_sentences,
        )

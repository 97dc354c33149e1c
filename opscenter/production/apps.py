from django.apps import AppConfig


class ProductionConfig(AppConfig):
    name = "opscenter.production"
    label = "production"

    def ready(self) -> None:
        """What this floor's codes say is known from the start, whoever says it first."""
        from opscenter.production import http_sentences, schedule_sentences, sentences, trigger_sentences  # noqa: F401

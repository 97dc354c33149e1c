from django.apps import AppConfig


class ExtensionsConfig(AppConfig):
    name = "extensions"

    def ready(self) -> None:
        from extensions import changes
        from opscenter.production import transitions

        transitions.run_along("noted", changes.NOTE)

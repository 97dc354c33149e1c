from django.apps import AppConfig


class EngineConfig(AppConfig):
    name = "opscenter.engine"
    label = "engine"

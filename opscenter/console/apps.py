from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "opscenter.console"
    label = "console"

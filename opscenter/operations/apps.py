from django.apps import AppConfig


class OperationsConfig(AppConfig):
    name = "opscenter.operations"
    label = "operations"

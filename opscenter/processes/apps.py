from django.apps import AppConfig


class ProcessesConfig(AppConfig):
    name = "opscenter.processes"
    label = "processes"

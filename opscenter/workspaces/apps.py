from django.apps import AppConfig


class WorkspacesConfig(AppConfig):
    name = "opscenter.workspaces"
    label = "workspaces"

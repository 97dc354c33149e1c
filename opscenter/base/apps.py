from django.apps import AppConfig


class BaseConfig(AppConfig):
    name = "opscenter.base"
    label = "base"

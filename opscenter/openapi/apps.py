from django.apps import AppConfig


class OpenapiConfig(AppConfig):
    name = "opscenter.openapi"
    label = "openapi"

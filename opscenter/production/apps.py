from django.apps import AppConfig


class ProductionConfig(AppConfig):
    name = "opscenter.production"
    label = "production"

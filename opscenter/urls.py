"""Addresses: the API and the health checks by name, everything else is the console's."""

from django.urls import URLPattern, URLResolver

urlpatterns: list[URLPattern | URLResolver] = []

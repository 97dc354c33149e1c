"""Which address is whose. /healthz, /readyz and the OpenAPI face are answered by middleware, before this table."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("opscenter.console.urls")),
]

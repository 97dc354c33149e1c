"""Which address is whose. /healthz, /readyz and the OpenAPI face are answered by middleware, before this table."""

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("opscenter.console.urls")),
]

handler400 = "opscenter.console.views.errors.bad_request"
handler403 = "opscenter.console.views.errors.forbidden"
handler404 = "opscenter.console.views.errors.not_found"
handler500 = "opscenter.console.views.errors.server_error"

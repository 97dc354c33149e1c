"""Addresses of extensions: those that one makes, and those that a workspace has enabled."""

from django.urls import include, path

from opscenter.console.views import (
    enablements,
    extension_messages,
    extension_secrets,
    extension_sending,
    extensions,
    schemas,
)

_in_workspace = [
    path("extensions/", extensions.show_list, name="extension_list"),
    path("extensions/register/", extensions.register, name="extension_register"),
    path("extensions/review/", extensions.review, name="extension_review"),
    path("extensions/<slug:code>/", extensions.show, name="extension"),
    path("extensions/<slug:code>/edit/", extensions.edit, name="extension_edit"),
    path("extensions/<slug:code>/do/<slug:step>/", extensions.take, name="extension_step"),
    path("extensions/<slug:code>/secret/", extension_secrets.rotate, name="extension_rotate"),
    path("extensions/<slug:code>/keys/new/", extension_secrets.create_key, name="extension_key_create"),
    path("extensions/<slug:code>/keys/<int:pk>/revoke/", extension_secrets.revoke_key, name="extension_key_revoke"),
    path("extensions/<slug:code>/resume/", extension_sending.resume, name="extension_resume"),
    path("extensions/<slug:code>/send-again/", extension_sending.send_again, name="extension_send_again"),
    path("extensions/<slug:code>/test/", extension_messages.send_test, name="extension_send_test"),
    path("extensions/<slug:code>/tests/<int:pk>/", extension_messages.test, name="extension_test"),
    path("extensions/<slug:code>/deliveries/<int:pk>/", extension_messages.delivery, name="extension_delivery"),
    path("extensions/<slug:code>/deliveries/<int:pk>/replay/", extension_messages.replay, name="extension_replay"),
    path("management/extensions/", enablements.show_list, name="enablement_list"),
    path("management/extensions/<slug:code>/enable/", enablements.enable, name="enablement_enable"),
    path("management/extensions/<slug:code>/settings/", enablements.settings, name="enablement_settings"),
    path("management/extensions/<slug:code>/disable/", enablements.disable, name="enablement_disable"),
]

urlpatterns = [
    path("schemas/events/<slug:code>.json", schemas.event_schema, name="event_schema"),
    path("w/<int:workspace_id>/<str:env>/", include(_in_workspace)),
]

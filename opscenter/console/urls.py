"""Addresses of the console. A workspace's pages lie under ``/w/<id>/<env>/``: a link says all of where it leads."""

from django.urls import include, path

from opscenter.console.styleguide import styleguide
from opscenter.console.urls_extensions import urlpatterns as extensions
from opscenter.console.urls_production import urlpatterns as production
from opscenter.console.views import (
    audit,
    authoring,
    data_sources,
    http_node,
    keys,
    members,
    parameters,
    resource_groups,
    resources,
    roles,
    session,
    workspace,
)

app_name = "console"

_in_workspace = [
    path("workspace/", workspace.show, name="workspace"),
    path("workspace/edit/", workspace.edit, name="workspace_edit"),
    path("members/", members.show_list, name="member_list"),
    path("members/add/", members.add, name="member_add"),
    path("members/new-user/", members.create_user, name="member_create_user"),
    path("members/<int:uid>/roles/", members.change, name="member_change"),
    path("members/<int:uid>/remove/", members.remove, name="member_remove"),
    path("members/roles/", roles.show, name="member_roles"),
    path("members/roles/new/", roles.create, name="member_role_create"),
    path("members/roles/<int:pk>/change/", roles.change, name="member_role_change"),
    path("members/roles/<int:pk>/delete/", roles.delete, name="member_role_delete"),
    path("import/", authoring.import_document, name="workflow_import"),
    path("workflows/", authoring.workflow_list, name="workflow_list"),
    path("workflows/<int:pk>/", authoring.workflow, name="workflow"),
    path("workflows/<int:pk>/parameters/", authoring.change_parameters, name="workflow_parameters"),
    path("workflows/publish/", authoring.publish, name="workflow_publish"),
    path("workflows/nodes/", authoring.loose_nodes, name="workflow_loose_nodes"),
    path("workflows/<int:pk>/nodes/http/", http_node.add, name="workflow_http_node_add"),
    path("workflows/nodes/<int:pk>/http/", http_node.edit, name="workflow_http_node"),
    path("workflows/nodes/<int:pk>/http/try/", http_node.try_it, name="workflow_http_node_try"),
    path("resources/", resources.show_list, name="resource_list"),
    path("resources/upload/", resources.upload, name="resource_upload"),
    path("resources/<int:pk>/", resources.show, name="resource"),
    path("resources/<int:pk>/versions/<int:number>/", resources.download, name="resource_download"),
    path("resources/<int:pk>/delete/", resources.delete, name="resource_delete"),
    path("data-sources/", data_sources.show_list, name="data_source_list"),
    path("data-sources/add/<slug:kind>/", data_sources.add, name="data_source_add"),
    path("data-sources/<int:pk>/edit/", data_sources.edit, name="data_source_edit"),
    path("data-sources/<int:pk>/test/", data_sources.test, name="data_source_test"),
    path("data-sources/<int:pk>/delete/", data_sources.delete, name="data_source_delete"),
    path("parameters/", parameters.show_list, name="parameter_list"),
    path("parameters/try/", parameters.try_out, name="parameter_try"),
    path("parameters/add/", parameters.add, name="parameter_add"),
    path("parameters/<int:pk>/edit/", parameters.edit, name="parameter_edit"),
    path("parameters/<int:pk>/delete/", parameters.delete, name="parameter_delete"),
    path("parameters/global/add/", parameters.global_add, name="parameter_global_add"),
    path("parameters/global/<int:pk>/edit/", parameters.global_edit, name="parameter_global_edit"),
    path("parameters/global/<int:pk>/delete/", parameters.global_delete, name="parameter_global_delete"),
    path("resource-groups/", resource_groups.show_list, name="group_list"),
    path("resource-groups/add/", resource_groups.add, name="group_add"),
    path("resource-groups/<slug:name>/edit/", resource_groups.edit, name="group_edit"),
    path("resource-groups/<slug:name>/associate/", resource_groups.associate, name="group_associate"),
    path("resource-groups/<slug:name>/dissociate/", resource_groups.dissociate, name="group_dissociate"),
    path("audit/", audit.show_list, name="audit_list"),
]

urlpatterns = [
    path("", session.home, name="home"),
    path("sign-in/", session.sign_in, name="login"),
    path("sign-out/", session.sign_out, name="logout"),
    path("profile/", keys.profile, name="profile"),
    path("profile/password/", session.change_password, name="password"),
    path("profile/email/", keys.change_email, name="email"),
    path("profile/keys/new/", keys.create, name="key_create"),
    path("profile/keys/<int:pk>/revoke/", keys.revoke, name="key_revoke"),
    path("workspaces/new/", workspace.create, name="workspace_create"),
    path("styleguide/", styleguide, name="styleguide"),
    path("w/<int:workspace_id>/", session.workspace_home, name="workspace_home"),
    path("w/<int:workspace_id>/<str:env>/", include(_in_workspace)),
    *production,
    *extensions,
]

"""Addresses of what is in production: tasks, instances, and what is done to them."""

from django.urls import include, path

from opscenter.console.views import instance, instances, operations, tasks

_in_workspace = [
    path("tasks/", tasks.task_list, name="task_list"),
    path("tasks/<int:number>/", tasks.task, name="task"),
    path("tasks/<int:number>/run/", tasks.run_now, name="task_run"),
    path("instances/", instances.instance_list, name="instance_list"),
    path("test-instances/", instances.test_instance_list, name="test_instance_list"),
    path("instances/<int:pk>/", instance.instance, name="instance"),
    path("instances/<int:pk>/glance/", instance.glance, name="instance_glance"),
    path("instances/<int:pk>/trigger/", operations.trigger, name="instance_trigger"),
    path("instances/<int:pk>/log/", instance.log, name="instance_log"),
    path("instances/<int:pk>/log/<int:number>/more/", instance.log_more, name="instance_log_more"),
    path("instances/<int:pk>/log/<int:number>/raw/", instance.log_raw, name="instance_log_raw"),
    path("instances/do/<slug:code>/", operations.operate, name="instance_operate"),
    path("operations/<int:pk>/", operations.operation, name="instance_operation"),
]

urlpatterns = [path("w/<int:workspace_id>/<str:env>/", include(_in_workspace))]

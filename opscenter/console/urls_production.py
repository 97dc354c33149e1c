"""Addresses of what is in production: tasks, instances, and what is done to them."""

from django.urls import include, path

from opscenter.console.views import (
    backfills,
    dag,
    instance,
    instances,
    manual,
    operation_csv,
    operation_history,
    operation_page,
    operations,
    tasks,
    waiting,
)

_in_workspace = [
    path("tasks/", tasks.task_list, name="task_list"),
    path("tasks/<int:number>/", tasks.task, name="task"),
    path("tasks/<int:number>/dag/", dag.task_dag, name="task_dag"),
    path("tasks/<int:number>/run/", tasks.run_now, name="task_run"),
    path("tasks/do/<slug:code>/", operations.operate_tasks, name="task_operate"),
    path("instances/", instances.instance_list, name="instance_list"),
    path("instances/waiting/", waiting.waiting, name="instance_waiting"),
    path("manual-tasks/", manual.task_list, name="manual_task_list"),
    path("manual-tasks/run/", manual.run_tasks, name="manual_task_run"),
    path("manual-tasks/workflows/", manual.workflow_list, name="manual_task_workflows"),
    path("manual-tasks/workflows/<int:number>/run/", manual.run_workflow, name="manual_task_workflow_run"),
    path("manual-instances/", instances.manual_instance_list, name="manual_instance_list"),
    path("test-instances/", instances.test_instance_list, name="test_instance_list"),
    path("instances/<int:pk>/", instance.instance, name="instance"),
    path("instances/<int:pk>/dag/", dag.instance_dag, name="instance_dag"),
    path("instances/<int:pk>/glance/", instance.glance, name="instance_glance"),
    path("instances/<int:pk>/descendants/", operations.instance_descendants, name="instance_descendants"),
    path("instances/<int:pk>/trigger/", operations.trigger, name="instance_trigger"),
    path("instances/<int:pk>/log/", instance.log, name="instance_log"),
    path("instances/<int:pk>/log/<int:number>/more/", instance.log_more, name="instance_log_more"),
    path("instances/<int:pk>/log/<int:number>/raw/", instance.log_raw, name="instance_log_raw"),
    path("instances/do/<slug:code>/", operations.operate_instances, name="instance_operate"),
    path("backfills/", backfills.backfill_list, name="backfill_list"),
    path("backfills/new/", backfills.new, name="backfill_new"),
    path("backfills/<int:pk>/", backfills.backfill, name="backfill"),
    path("backfills/do/<slug:code>/", operations.operate_backfills, name="backfill_operate"),
    path("backfill-instances/", instances.backfill_instance_list, name="backfill_instance_list"),
    path("operations/", operation_history.operation_list, name="operation_list"),
    path("operations/history.csv", operation_csv.history_csv, name="operation_history_csv"),
    path("operations/<int:pk>/results.csv", operation_csv.results_csv, name="operation_results_csv"),
    path("operations/open/", operation_history.open_list, name="operation_open"),
    path("operations/<int:pk>/", operation_page.operation, name="operation"),
    path("operations/<int:pk>/checks/", operation_page.checks, name="operation_checks"),
    path("operations/<int:pk>/cancel/", operation_page.cancel, name="operation_cancel"),
    path("operations/<int:pk>/checks/<int:check>/pass/", operation_page.mark_passed, name="operation_mark_passed"),
    path("operations/<int:pk>/checks/<int:check>/send/", operation_page.send_again, name="operation_send_again"),
]

urlpatterns = [path("w/<int:workspace_id>/<str:env>/", include(_in_workspace))]

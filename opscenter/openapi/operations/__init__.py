"""What the wire can do: one module a group; each registers its operations."""

from opscenter.openapi.operations import (
    actions,
    backfills,
    extensions,
    instances,
    instances_2020,
    manual_runs,
    projects,
    resource_groups,
    smoke_tests,
    task_changes,
    task_logs,
    tasks,
    triggers,
    workflow_instances,
    workflow_reruns,
    workflow_stops,
)

__all__ = [
    "actions",
    "backfills",
    "extensions",
    "instances",
    "instances_2020",
    "manual_runs",
    "projects",
    "resource_groups",
    "smoke_tests",
    "task_changes",
    "task_logs",
    "tasks",
    "triggers",
    "workflow_instances",
    "workflow_reruns",
    "workflow_stops",
]

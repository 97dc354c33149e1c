"""What the wire can do: one module a group; each registers its operations."""

from opscenter.openapi.operations import (
    actions,
    extensions,
    instances,
    instances_2020,
    projects,
    resource_groups,
    smoke_tests,
    task_changes,
    task_logs,
    tasks,
    triggers,
)

__all__ = [
    "actions",
    "extensions",
    "instances",
    "instances_2020",
    "projects",
    "resource_groups",
    "smoke_tests",
    "task_changes",
    "task_logs",
    "tasks",
    "triggers",
]

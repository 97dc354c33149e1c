"""What the wire can do: one module a group; each registers its operations."""

from opscenter.openapi.operations import (
    actions,
    instances,
    instances_2020,
    projects,
    smoke_tests,
    tasks,
    triggers,
)

__all__ = ["actions", "instances", "instances_2020", "projects", "smoke_tests", "tasks", "triggers"]

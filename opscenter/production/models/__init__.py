"""What is in production."""

from opscenter.production.models.backfills import Backfill, BackfillDate, BackfillMail
from opscenter.production.models.calls import HttpCall
from opscenter.production.models.data_sources import DataSource
from opscenter.production.models.instances import (
    Attempt,
    Attendance,
    GenerationRun,
    InstanceEdge,
    LogChunk,
    TaskInstance,
    Transition,
    WorkflowInstance,
)
from opscenter.production.models.parameters import SharedParameter
from opscenter.production.models.tasks import (
    Environment,
    MisfirePolicy,
    ProductionWorkflow,
    Recurrence,
    Resource,
    ResourceGroup,
    ResourceGroupAssociation,
    ResourceVersion,
    Task,
    TaskDependency,
    TaskOutput,
    TaskVersion,
)
from opscenter.production.models.triggers import TriggerCommand

__all__ = [
    "Attempt",
    "Attendance",
    "Backfill",
    "BackfillDate",
    "BackfillMail",
    "DataSource",
    "Environment",
    "GenerationRun",
    "HttpCall",
    "InstanceEdge",
    "LogChunk",
    "MisfirePolicy",
    "ProductionWorkflow",
    "Recurrence",
    "Resource",
    "ResourceGroup",
    "ResourceGroupAssociation",
    "ResourceVersion",
    "SharedParameter",
    "Task",
    "TaskDependency",
    "TaskInstance",
    "TaskOutput",
    "TaskVersion",
    "Transition",
    "TriggerCommand",
    "WorkflowInstance",
]

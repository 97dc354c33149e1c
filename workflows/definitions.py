"""The normal form of a draft node: what every document, form and API call is turned into before it is stored."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

NORMAL = "Normal"
ON_SELF, ON_CHILDREN, ON_OTHER = (
    "CrossCycleDependsOnSelf",
    "CrossCycleDependsOnChildren",
    "CrossCycleDependsOnOtherNode",
)
"""Types of dependencies on the previous cycle; the wire's names."""
ON_ITSELF = frozenset({ON_SELF, ON_CHILDREN})
"""Those that name no other node."""
"""Same cycle; the only dependency type that is run here."""

SCHEDULER, MANUAL = "Scheduler", "Manual"
"""What makes the instances of a node's task."""

UNKNOWN_TYPE = "UNKNOWN"
"""Type of a node whose document names none."""

DEFAULT_RERUN_INTERVAL = 180
"""Seconds between automatic reruns where the document gives none."""

HTTP_RERUNS = {"rerun_times": 1, "rerun_interval": 300}
"""What an HTTP node gets where the document says nothing of reruns."""


@dataclass(frozen=True)
class Dependency:
    """What a node waits for: an output name, a node of the same workspace by its source id, or both.

    Attributes:
        type: ``Normal`` or one of the wire's cross-cycle types.
        output: name of the upstream's output; empty when only the node is named.
        node: source id of the upstream; empty when only the output is named.
    """

    type: str = NORMAL
    output: str = ""
    node: str = ""


@dataclass(frozen=True)
class NodeDefinition:
    """A draft node, complete: publishing needs nothing else.

    Attributes:
        source_id: its id in the document it came from; unique in the workspace.
        type: our code of a node type, or the wire name of one that is not run here.
        parameters: ``name=expression``, separated by spaces.
        trigger: ``Scheduler``, or ``Manual``: it runs when somebody runs it.
        cron: canonical six fields; empty without a schedule.
        start, end: effective period in the tenant's local time, ``YYYY-MM-DD HH:MM:SS``; empty = unbounded.
        rerun_interval, timeout: seconds; timeout 0 = none.
        max_parallel: how many of its instances run at the same time at most; 0 = no limit.
        misfire_policy: what becomes of missed instances: ``All``, ``Latest`` or ``None``.
        owner: user name; empty = whoever imports.
        resource_group: name; empty = the default one.
        data_source: name of the database that a SQL node runs on.
        outputs: names beside the automatic one.
        settings: what the document says of a type that is not run here (branches, loops), as it was written.
    """

    source_id: str
    name: str
    type: str
    description: str = ""
    owner: str = ""
    content: str = ""
    parameters: str = ""
    trigger: str = SCHEDULER
    cron: str = ""
    start: str = ""
    end: str = ""
    instance_mode: str = "T+1"
    recurrence: str = "Normal"
    rerun_mode: str = "AllAllowed"
    rerun_times: int = 0
    rerun_interval: int = DEFAULT_RERUN_INTERVAL
    timeout: int = 0
    priority: int = 1
    max_parallel: int = 0
    misfire_policy: str = "All"
    resource_group: str = ""
    data_source: str = ""
    outputs: tuple[str, ...] = ()
    dependencies: tuple[Dependency, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form in which it is stored; equal definitions have equal forms."""
        form = asdict(self)
        form["outputs"] = list(form["outputs"])
        form["dependencies"] = list(form["dependencies"])
        return form

    @classmethod
    def from_json(cls, form: Mapping[str, Any]) -> "NodeDefinition":
        """The definition that ``as_json`` stored."""
        values = dict(form)
        values["outputs"] = tuple(values.get("outputs", ()))
        values["dependencies"] = tuple(Dependency(**item) for item in values.get("dependencies", ()))
        return cls(**values)

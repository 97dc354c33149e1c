"""What every runner is given and what it answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from opscenter.engine.attempts import Outcome
from opscenter.engine.joblog import JobLog
from opscenter.engine.stopping import StopSwitch


@dataclass(frozen=True)
class Run:
    """One attempt as a runner sees it.

    Attributes:
        label: says which instance and attempt it is, to other systems.
        content: the script, with scheduling parameters put in.
        values: the scheduling parameters, by name.
        positional: values of those named 1, 2, 3 ...
        time_zone: the tenant's IANA zone, the child's TZ.
        timeout: seconds; 0 for none.
        workspace, environment: where its data source is looked for.
        data_source: its name; empty for a node that needs none.
        files: resource name -> SHA-256 of its content.
        log: where output goes.
        stop: pulled when a person stops the run or the lease is lost.
    """

    label: str
    content: str
    values: Mapping[str, str]
    positional: list[str]
    time_zone: str
    timeout: int
    workspace: int
    environment: str
    data_source: str
    files: dict[str, str]
    log: JobLog
    stop: StopSwitch


Runner = Callable[[Run], Outcome]

"""The SQL node: a program of its own executes the script on the data source that the node names."""

import json
from pathlib import Path
from typing import Any

from opscenter.base.reasons import Refused
from opscenter.engine import data_sources
from opscenter.engine.attempts import Outcome
from opscenter.engine.gate import Gate
from opscenter.engine.runners import process
from opscenter.engine.runners.base import Run
from opscenter.production.models import Attempt, DataSource

GRACE = 2.0
"""Seconds to cancel a statement on its server before the program is killed."""
_REPORT = ".opscenter-report"
_CODES = {
    "own": "attempt.data_source_own",
    "connect": "attempt.sql_connect",
    "statement": "attempt.sql_statement",
    "open_transaction": "attempt.sql_open_transaction",
}
"""What the program tells of its failure, as reasons."""
_NOT_AGAIN = frozenset({"attempt.data_source_own", "attempt.sql_open_transaction"})
"""What no automatic rerun makes better."""


def run(job: Run) -> Outcome:
    """Execute the script, statement by statement; the first that fails ends it. The credentials go through the gate."""
    source = (
        DataSource.objects.select_related("workspace__tenant")
        .filter(workspace=job.workspace, environment=job.environment, name=job.data_source)
        .first()
    )
    if source is None:
        job.log.note(f"[opscenter] There is no data source {job.data_source!r} in this environment.")
        reason = {"code": "attempt.data_source_missing", "params": {"name": job.data_source}}
        return Outcome(Attempt.State.FAILURE, None, reason, rerun=False)
    try:
        target = data_sources.target_of(source, f"opscenter {job.label}")
    except Refused as error:
        job.log.note(f"[opscenter] {error}")
        return Outcome(Attempt.State.FAILURE, None, error.reason.as_json(), rerun=False)
    with process.folder_of(job) as folder, Gate() as gate:
        script, report = folder / process.SCRIPT, folder / _REPORT
        script.write_bytes(job.content.encode())
        job.log.note(f"[opscenter] Data source {source.name}: {source.place}")
        outcome = process.execute(
            job, folder, data_sources.command(gate, report, script), gate, told=target.as_line(), grace=GRACE
        )
        return _explained(outcome, source.name, report)


def _explained(outcome: Outcome, name: str, report: Path) -> Outcome:
    """With what the program told of its failure, instead of its exit code."""
    if outcome.reason is None or outcome.reason["code"] != "attempt.exit_code" or not report.exists():
        return outcome
    told: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    code = _CODES[told.pop("kind")]
    reason = {"code": code, "params": {"name": name, **told}}
    return Outcome(outcome.state, outcome.exit_code, reason, rerun=code not in _NOT_AGAIN)

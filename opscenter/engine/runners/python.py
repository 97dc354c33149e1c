"""The python node: an interpreter of its own on the script, with the scheduling parameters as its arguments."""

import os
import sys
from pathlib import Path

from django.conf import settings

from opscenter.engine.attempts import Outcome
from opscenter.engine.gate import Gate
from opscenter.engine.runners import process
from opscenter.engine.runners.base import Run
from opscenter.production.models import Attempt

_START = Path(__file__).with_name("python_start.py")


def run(job: Run) -> Outcome:
    """Run the script; exit code 0 is success. Modules among its resources can be imported."""
    interpreter = _interpreter()
    if not os.access(interpreter[0], os.X_OK):
        job.log.note(f"[opscenter] OPSCENTER_NODE_PYTHON: there is no program {interpreter[0]} on this host.")
        return Outcome(Attempt.State.FAILURE, None, {"code": "attempt.no_python", "params": {"path": interpreter[0]}})
    with process.folder_of(job) as folder, Gate() as gate:
        script = folder / process.SCRIPT
        script.write_text(job.content, encoding="utf-8")
        # bash waits at the gate, then becomes the interpreter
        begin = [process.SHELL, "-c", gate.in_bash + 'exec "$@"', "python", *interpreter, str(_START)]
        return process.execute(job, folder, [*begin, str(len(job.positional)), str(script), *_arguments(job)], gate)


def _interpreter() -> list[str]:
    """The configured one, with the packages it has; else the one below ours with the standard library alone, since our
    packages are no promise to anybody's scripts."""
    if settings.NODE_PYTHON:
        return [settings.NODE_PYTHON]
    return [getattr(sys, "_base_executable", sys.executable), "-S"]


def _arguments(job: Run) -> list[str]:
    """The values of the parameters named 1, 2 ... as they are, then the others as ``name=value``."""
    positional = {str(number) for number in range(1, len(job.positional) + 1)}
    return [*job.positional, *(f"{name}={value}" for name, value in job.values.items() if name not in positional)]

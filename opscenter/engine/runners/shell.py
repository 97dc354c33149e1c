"""The shell node: bash on the script."""

from opscenter.engine.attempts import Outcome
from opscenter.engine.gate import Gate
from opscenter.engine.runners import process
from opscenter.engine.runners.base import Run


def run(job: Run) -> Outcome:
    """Run the script; exit code 0 is success.

    The gate stands before the script on its first line, so that the line numbers in bash's messages stay those of the node.
    """
    with process.folder_of(job) as folder, Gate() as gate:
        script = folder / process.SCRIPT
        content = job.content.replace("\r\n", "\n")  # to bash a carriage return is part of the command
        script.write_text(gate.in_bash + content, encoding="utf-8")
        return process.execute(job, folder, [process.SHELL, str(script), *job.positional], gate)

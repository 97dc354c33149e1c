"""Many freezes at once while processes are killed; ``python -m bench freezes`` does the same with many more."""

import pytest

from tests.processes.freezing import Trial
from tests.processes.lab import Lab
from tests.stack import Stack

pytestmark = pytest.mark.processes

FREEZES = 400


def test_every_freeze_ends_as_its_verdict_says_exactly_once() -> None:
    with Stack({"OPSCENTER_OUTBOUND_ALLOW": "127.0.0.1"}, demo=False) as stack, Lab(stack.env) as lab:
        trial = Trial(stack, lab)
        trial.run(FREEZES)
        trial.check()

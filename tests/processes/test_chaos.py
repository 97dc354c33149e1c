"""Everything is killed at random while a graph runs; ``python -m bench chaos`` does the same for long."""

import pytest

from tests.processes.chaos import Chaos
from tests.processes.lab import Lab
from tests.stack import Stack

pytestmark = pytest.mark.processes
INSTANCES = 2000
KILLS = 50
SEED = 20261121


WITHIN = 900


@pytest.mark.timeout(WITHIN + 300)
def test_a_graph_survives_random_kills_of_everything(tmp_path):
    tmp_path.chmod(0o777)
    file = tmp_path / "stamps"
    file.touch()
    file.chmod(0o666)
    with Stack({"OPSCENTER_WORKERS": "3"}, demo=False) as stack, Lab(stack.env) as lab:
        chaos = Chaos(stack, lab, file, SEED)
        chaos.start(INSTANCES)
        chaos.kill(KILLS, (0.2, 1.2))
        chaos.wait_done(WITHIN)
        chaos.check()
    assert len(chaos.killed) >= KILLS * 0.8  # a child may be busy too shortly to be hit

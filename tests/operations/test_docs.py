"""The docs page of operations says what the registry says."""

import re
from pathlib import Path

import pytest
from django.utils import translation

from opscenter.operations.registry import OPERATIONS, operations_on
from opscenter.production.models import Backfill
from opscenter.production.names import state_name
from opscenter.production.rules.states import State
from opscenter.workspaces.roles import ROLES

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def table(object_type: str) -> str:
    """The table as it should be; printed by a failing test, ready to be put into the page."""
    word = "paused" if object_type == "backfill" else "frozen"
    heads = [
        *("operation", "code"),
        *([] if object_type == "task" else ["in the states"]),
        *(word, "permission", "roles", "for own tasks", "extensions are asked at"),
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for spec in operations_on(object_type).values():
        only = {True: f"only {word}", False: f"only not {word}", None: "either"}[spec.frozen]
        states = list(dict.fromkeys(str(state_name(State(one).code)) for one in sorted(spec.states)))
        states += [str(one.label) for one in Backfill.State if one in spec.job_states]
        roles = [str(role.name) for role in ROLES.values() if spec.permission in role.grants]
        own = [str(role.name) for role in ROLES.values() if spec.permission in role.own_only]
        cells = [str(spec.name), f"`{spec.code}`", *([] if object_type == "task" else [", ".join(states)])]
        cells += [
            only,
            f"`{spec.permission}`",
            ", ".join(roles),
            ", ".join(own),
            f"`{spec.point}`" if spec.point else "",
        ]
        lines.append(f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |"))
    return "\n".join(lines)


@pytest.mark.parametrize("object_type", sorted({spec.object_type for spec in OPERATIONS.values()}))
def test_the_page_has_the_table_of_the_registry(object_type: str) -> None:
    with translation.override("en"):
        wanted = table(object_type)
    found = re.search(rf"<!-- {object_type}s: .*?-->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.S)
    assert found is not None
    assert found[1].strip() == wanted, f"put this into {PAGE.name}:\n{wanted}"

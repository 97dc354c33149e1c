"""The docs page of operations says what the registry says."""

import re
from pathlib import Path

import pytest
from django.utils import translation

from opscenter.operations.registry import operations_on
from opscenter.production.names import state_name
from opscenter.production.rules.states import State
from opscenter.workspaces.roles import ROLES

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def table(object_type: str) -> str:
    """The table as it should be; printed by a failing test, ready to be put into the page."""
    heads = [
        "operation",
        "code",
        *(["in the states"] if object_type == "instance" else []),
        "frozen",
        "permission",
        "roles",
    ]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for spec in operations_on(object_type).values():
        frozen = {True: "only frozen", False: "only not frozen", None: "either"}[spec.frozen]
        states = ", ".join(dict.fromkeys(str(state_name(State(one).code)) for one in sorted(spec.states)))
        roles = ", ".join(str(role.name) for role in ROLES.values() if spec.permission in role.grants)
        cells = [str(spec.name), f"`{spec.code}`", *([states] if object_type == "instance" else [])]
        lines.append(f"| {' | '.join([*cells, frozen, f'`{spec.permission}`', roles])} |")
    return "\n".join(lines)


@pytest.mark.parametrize("object_type", ["instance", "task"])
def test_the_page_has_the_table_of_the_registry(object_type: str) -> None:
    with translation.override("en"):
        wanted = table(object_type)
    found = re.search(rf"<!-- {object_type}s: .*?-->\n(.*?)\n<!-- end -->", PAGE.read_text(), re.S)
    assert found is not None
    assert found[1].strip() == wanted, f"put this into {PAGE.name}:\n{wanted}"

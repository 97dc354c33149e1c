"""Extension parameters: what each line means, and what is refused."""

import pytest

from extensions import parameters
from extensions.points import POINTS
from opscenter.base.reasons import Invalid, say
from tests.operations.guarded import Guarded, frozen

GOOD = [
    ("", 101, "freeze-node", ["shell"], True),
    ("mine=1\nothers = a,b", 101, "freeze-node", ["shell"], True),
    ("extension.project.disabled=101,102", 102, "freeze-node", None, False),
    ("extension.project.disabled=101,102", 103, "freeze-node", None, True),
    ("extension.project.disabled=101\nextension.project.disabled=102", 101, "freeze-node", None, True),  # the last wins
    ("extension.project.disabled=101\nextension.project.disabled.append=102", 101, "freeze-node", None, False),
    ("extension.project.disabled=101\nextension.project.disabled.append=102", 102, "freeze-node", None, False),
    ("extension.project.disabled.append=102", 102, "freeze-node", None, False),
    ("extension.project.freeze-node.disabled=101", 101, "freeze-node", None, False),
    ("extension.project.freeze-node.disabled=101", 101, "unfreeze-node", None, True),
    ("extension.project.freeze-node.disabled.append=101", 101, "freeze-node", None, False),
    ("extension.fileType.6.freeze-node.enabled=false", 101, "freeze-node", ["shell"], False),
    ("extension.fileType.DIDE_SHELL.freeze-node.enabled=false", 101, "freeze-node", ["shell"], False),
    ("extension.fileType.6.freeze-node.enabled=false", 101, "freeze-node", ["python"], True),
    ("extension.fileType.6.freeze-node.enabled=false", 101, "freeze-node", ["shell", "python"], True),
    ("extension.fileType.6.freeze-node.enabled=false", 101, "freeze-node", None, True),
    ("extension.fileType.6.freeze-node.enabled=false", 101, "unfreeze-node", ["shell"], True),
    (
        "extension.fileType.6.freeze-node.enabled=false\nextension.fileType.6.freeze-node.enabled=true",
        101,
        "freeze-node",
        ["shell"],
        True,
    ),
    ("extension.manualPass.enabled=true", 101, "freeze-node", None, True),
]


@pytest.mark.parametrize(("text", "workspace", "point", "types", "listens"), GOOD)
def test_when_it_listens(text: str, workspace: int, point: str, types: list[str] | None, listens: bool) -> None:
    assert parameters.read(text).listens(workspace, point, types) is listens


BAD = [
    ("no equals", "parameters.line", 1),
    ("a=1\nbad key=2", "parameters.line", 2),
    ("=x", "parameters.line", 1),
    ("a=\x07", "parameters.line", 1),
    ("extension.project.enabled=1", "parameters.unknown", 1),
    ("\n\nextension.nonsense=1", "parameters.unknown", 3),
    ("extension.project.disabled=a", "parameters.ids", 1),
    ("extension.project.disabled=-1", "parameters.ids", 1),
    ("extension.project.disabled=12345678901234567890", "parameters.ids", 1),
    ("extension.project.thaw-node.disabled=1", "parameters.point", 1),
    ("extension.fileType.4711.freeze-node.enabled=true", "parameters.type", 1),
    ("extension.fileType.6.freeze-node.enabled=yes", "parameters.boolean", 1),
    ("extension.manualPass.enabled=", "parameters.boolean", 1),
]


@pytest.mark.parametrize(("text", "code", "line"), BAD)
def test_what_cannot_be_is_refused_and_the_line_named(text: str, code: str, line: int) -> None:
    with pytest.raises(Invalid) as caught:
        parameters.read(text)
    reason = caught.value.reason
    assert (reason.code, reason.params["line"], reason.params["field"]) == (code, line, "parameters")
    assert f"{line}" in say(reason.code, reason.params)


def test_manual_passing_has_a_place_of_its_own() -> None:
    text = "a=1\n extension.manualPass.enabled = true \n\nb=2"
    assert parameters.read(text).manual_pass is True
    assert parameters.without_manual_pass(text) == "a=1\nb=2"
    assert parameters.setting("a=1\nb=2", manual_pass=True) == "a=1\nb=2\nextension.manualPass.enabled=true"
    assert parameters.read("a=1").manual_pass is None


@pytest.mark.django_db
class TestInEffect:
    @pytest.fixture
    def cast(self) -> Guarded:
        return Guarded()

    def test_a_workspace_on_the_list_is_not_asked_about(self, cast: Guarded) -> None:
        cast.extension(parameters=f"extension.project.freeze-node.disabled={cast.workspace.pk}")
        task = cast.task()
        assert cast.freeze(task).status == "applied"
        assert cast.unfreeze(task).status == "checking"

    def test_node_types_decide_by_what_the_operation_is_done_to(self, cast: Guarded) -> None:
        cast.extension(parameters="extension.fileType.99.freeze-node.enabled=false")
        virtual, shell = cast.task("v", "virtual"), cast.task("s", "shell")
        assert cast.freeze(virtual).status == "applied"
        assert cast.freeze(shell).status == "checking"
        assert frozen(virtual, shell) == [True, False]
        both = cast.freeze(cast.task("v2", "virtual"), cast.task("s2", "shell"))
        assert both.status == "checking", "one of them is of its interest"


def test_every_point_can_be_named() -> None:
    for code in POINTS:
        assert parameters.read(f"extension.project.{code}.disabled=7").off_in == {code: frozenset({7})}

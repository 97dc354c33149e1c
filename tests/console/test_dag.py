"""The DAG page: what is shown around a task or an instance, to whom, and where it leads."""

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest

from opscenter.production import graph
from opscenter.production.graph import FIRST_NEIGHBOURS, MOST_NODES, Graph, Link, Wanted, around
from opscenter.production.models import Task, TaskDependency, TaskInstance
from opscenter.production.rules.states import Kind, State
from opscenter.workspaces.models import Member, Workspace
from tests.cast import BIZDATE, Cast
from tests.console.visits import as_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast() -> Cast:
    return Cast()


def chain(cast: Cast, length: int) -> list[Task]:
    tasks: list[Task] = []
    for number in range(length):
        tasks.append(cast.task(f"t{number}", upstream=tasks[-1:]))
    return tasks


def seen(cast: Cast, centre: Any, *, by: Any = None, **wanted: Any) -> Graph:
    return around(by or cast.visitor, centre, Wanted(**wanted))


def names(found: Graph) -> set[str]:
    return {node.name if isinstance(node, Task) else node.task.name for node in found.nodes.values()}


def test_one_level_on_both_sides_at_first(cast: Cast) -> None:
    tasks = chain(cast, 7)
    found = seen(cast, tasks[3])
    assert names(found) == {"t2", "t3", "t4"}
    assert (found.hidden_up, found.hidden_down) == ({tasks[2].pk: 1}, {tasks[4].pk: 1})
    assert (found.has_more_up, found.has_more_down) == (True, True)
    assert next(iter(found.nodes)) == tasks[3].pk


@pytest.mark.parametrize(
    ("wanted", "shown"),
    [
        ({"up": 2}, "1234"),
        ({"down": 2}, "2345"),
        ({"up": 0, "down": 0}, "3"),
        ({"up": 9, "down": 9}, "0123456"),
        ({"parents": [2]}, "1234"),
        ({"parents": [2, 1]}, "01234"),
        ({"parents": [1]}, "234"),  # it is not shown, so there is nothing to add to
        ({"children": [4], "parents": [2]}, "12345"),
    ],
)
def test_more_is_shown_when_it_is_asked_for(cast: Cast, wanted: dict[str, Any], shown: str) -> None:
    tasks = chain(cast, 7)
    for side in ("parents", "children"):
        if side in wanted:
            wanted = wanted | {side: [tasks[number].pk for number in wanted[side]]}
    found = seen(cast, tasks[3], **wanted)
    assert names(found) == {f"t{number}" for number in shown}


def test_many_neighbours_are_counted_and_shown_on_demand(cast: Cast) -> None:
    root = cast.task("root")
    for number in range(FIRST_NEIGHBOURS + 3):
        cast.task(f"child{number}", upstream=[root])
    found = seen(cast, root)
    assert len(found.nodes) == 1 + FIRST_NEIGHBOURS
    assert found.hidden_down == {root.pk: 3}
    more = seen(cast, root, children=[root.pk])
    assert len(more.nodes) == 1 + FIRST_NEIGHBOURS + 3 and more.hidden_down == {}


def test_the_number_of_nodes_is_bounded(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_NODES == 200
    monkeypatch.setattr(graph, "MOST_NODES", 5)
    tasks = chain(cast, 9)
    found = seen(cast, tasks[4], up=9, down=9)
    assert len(found.nodes) == 5 and found.is_full
    assert not found.has_more_up and sum(found.hidden_up.values()) == 1


def test_dependencies_on_previous_cycles_are_told_apart(cast: Cast) -> None:
    up, middle, down = cast.task("up"), cast.task("middle"), cast.task("down")
    kinds = TaskDependency.Type
    for task, upstream, kind in (
        (middle, up, kinds.OTHER),
        (middle, middle, kinds.SELF),
        (middle, middle, kinds.CHILDREN),
        (down, middle, kinds.NORMAL),
    ):
        TaskDependency.objects.create(task=task, upstream=upstream, type=kind, output="x")
    found = seen(cast, middle)
    assert set(found.links) == {
        Link(up.pk, middle.pk, True),
        Link(middle.pk, down.pk, False),
        Link(down.pk, middle.pk, True),
    }
    assert found.chained == {middle.pk}


def test_edges_of_instances_know_their_cycle(cast: Cast) -> None:
    up, down = cast.task("up"), cast.task("down")
    TaskDependency.objects.create(task=down, upstream=up, output="x")
    TaskDependency.objects.create(task=down, upstream=down, type=TaskDependency.Type.SELF, output="x")
    yesterday = cast.instance(down, State.SUCCESS, bizdate=BIZDATE - timedelta(days=1))
    same = cast.instance(up, State.SUCCESS)
    centre = cast.instance(down, upstream=[yesterday, same])
    assert set(seen(cast, centre).links) == {Link(same.pk, centre.pk, False), Link(yesterday.pk, centre.pk, True)}


def test_offline_tasks_are_no_neighbours(cast: Cast) -> None:
    task = cast.task("up")
    gone = cast.task("gone", upstream=[task], status=Task.Status.OFFLINE)
    assert names(seen(cast, task)) == {"up"}
    assert names(seen(cast, gone)) == {"gone", "up"}


# ---- another workspace


def elsewhere(cast: Cast) -> tuple[Workspace, Task, Task, Task]:
    """up (here) -> foreign -> beyond, in a workspace of which only the admin is a member too."""
    other = Workspace.objects.create(tenant=cast.tenant, name="secret_place", display_name="Secret place")
    Member.objects.create(workspace=other, user=cast.admin, roles=["role_project_guest"])
    up = cast.task("up")
    foreign = cast.task("foreign", upstream=[up], workspace=other)
    return other, up, foreign, cast.task("beyond", upstream=[foreign], workspace=other)


def test_of_other_workspaces_the_neighbour_is_seen_and_nothing_behind_it(cast: Cast) -> None:
    _other, up, foreign, beyond = elsewhere(cast)
    found = seen(cast, up, down=5, children=[foreign.pk])
    assert names(found) == {"up", "foreign"} and found.known == {up.pk}
    assert found.hidden_down == {}
    theirs = seen(cast, up, by=cast.admin, down=5)
    assert names(theirs) == {"up", "foreign", "beyond"} and theirs.known == {up.pk, foreign.pk, beyond.pk}


def test_what_two_unknown_nodes_have_to_do_with_each_other_is_not_told(cast: Cast) -> None:
    _other, up, foreign, beyond = elsewhere(cast)
    TaskDependency.objects.create(task=beyond, upstream=up, output="x")
    assert set(seen(cast, up).links) == {Link(up.pk, foreign.pk, False), Link(up.pk, beyond.pk, False)}


def test_the_page_names_a_workspace_to_its_members_alone(cast: Cast) -> None:
    other, up, foreign, _beyond = elsewhere(cast)
    for page in (
        f"/w/{cast.workspace.pk}/prod/tasks/{up.number}/dag/",
        f"/w/{cast.workspace.pk}/prod/tasks/{up.number}/",
    ):
        text = as_user(cast.visitor).get(page).content.decode()
        assert "foreign" in text and "another workspace" in text
        assert "Secret place" not in text and f"/w/{other.pk}/" not in text
        text = as_user(cast.admin).get(page).content.decode()
        assert "Secret place" in text and f"/w/{other.pk}/prod/tasks/{foreign.number}/" in text


# ---- the page


def visit(cast: Cast, path: str, **headers: str) -> str:
    answer = as_user(cast.visitor).get(f"/w/{cast.workspace.pk}/prod/{path}", headers=headers)
    assert answer.status_code == 200, path
    return unescape(answer.content.decode())


def test_the_boxes_lead_to_the_pages_of_tasks_and_say_how_they_run(cast: Cast) -> None:
    task = cast.task("middle", upstream=[cast.task("up", recurrence="Pause")])
    text = visit(cast, f"tasks/{task.number}/dag/")
    assert text.count("<foreignObject") == 2 and text.count('marker-end="url(#dag-tip)"') == 1
    for one in Task.objects.all():
        assert f'href="/w/{cast.workspace.pk}/prod/tasks/{one.number}/"' in text
    assert "state-frozen" in text
    assert not re.search(r"\sstyle=|<script(?![^>]*src=)", text)
    assert "one more level" not in text.lower()


def test_handles_lead_to_a_page_that_shows_more(cast: Cast) -> None:
    tasks = chain(cast, 5)
    text = visit(cast, f"tasks/{tasks[2].number}/dag/")
    handles = re.findall(r'class="dag-handle" href="([^"]+)" title="([^"]+)"', text)
    assert handles == [
        (f"?parents={tasks[1].pk}", "1 more that it waits for"),
        (f"?children={tasks[3].pk}", "1 more that waits for it"),
    ]
    more = visit(cast, f"tasks/{tasks[2].number}/dag/{handles[0][0]}")
    assert ">t0<" in more and ">t4<" not in more
    assert "?up=2" in text and "?down=2" in text


def test_the_list_says_the_same_as_the_drawing(cast: Cast) -> None:
    task = cast.task("last", upstream=[cast.task("one"), cast.task("two")])
    rows = re.findall(r"<tr.*?</tr>", visit(cast, f"tasks/{task.number}/dag/"), re.S)
    assert len(rows) == 4
    assert "one, two" in rows[1] and 'aria-current="true"' in rows[1]


def test_an_instances_graph_shows_states_and_keeps_itself_up_to_date(cast: Cast) -> None:
    up = cast.instance(cast.task("up"), State.RUNNING)
    down = cast.instance(cast.task("down"), State.NOT_RUN, upstream=[up], frozen=True, kind=Kind.SKIP)
    page = f"instances/{down.pk}/dag/"
    text = visit(cast, page)
    assert "state-running" in text and "state-not-run" in text and "state-frozen" in text
    assert f"/instances/{up.pk}/glance/" in text
    assert 'data-refresh="3"' in text and "?live=1" in text
    part = as_user(cast.visitor).get(f"/w/{cast.workspace.pk}/prod/{page}?live=1", headers={"HX-Request": "true"})
    assert part.content.decode().lstrip().startswith('<div class="stack" id="graph"')
    headers = {"HX-Request": "true", "HX-PTag": part["HX-PTag"]}
    again = as_user(cast.visitor).get(f"/w/{cast.workspace.pk}/prod/{page}?live=1", headers=headers)
    assert again.status_code == 304
    TaskInstance.objects.filter(pk=up.pk).update(state=State.FAILURE)
    changed = as_user(cast.visitor).get(f"/w/{cast.workspace.pk}/prod/{page}?live=1", headers=headers)
    assert changed.status_code == 200 and b"state-failure" in changed.content


@pytest.mark.parametrize(
    "query", ["?up=x", "?up=-1", "?up=99999999", "?parents=x&children=9999999999999999999999", "?down="]
)
def test_nonsense_in_the_address_is_left_out(cast: Cast, query: str) -> None:
    assert ">alone<" in visit(cast, f"tasks/{cast.task('alone').number}/dag/{query}")


def test_the_page_takes_few_questions_however_many_nodes(cast: Cast, django_assert_max_num_queries: Any) -> None:
    root = cast.task("root")
    for number in range(FIRST_NEIGHBOURS):
        cast.task(f"child{number}", upstream=[root])
    client = as_user(cast.visitor)
    with django_assert_max_num_queries(24):
        client.get(f"/w/{cast.workspace.pk}/prod/tasks/{root.number}/dag/")


def test_what_is_not_here_is_not_found(cast: Cast) -> None:
    _other, _up, foreign, _beyond = elsewhere(cast)
    for path in (f"tasks/{foreign.number}/dag/", "tasks/1/dag/", "instances/1/dag/"):
        assert as_user(cast.owner).get(f"/w/{cast.workspace.pk}/prod/{path}").status_code == 404

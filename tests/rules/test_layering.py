"""Where the nodes of a graph are drawn: nothing overlaps, edges lead forward where they can, few of them cross."""

import time
from itertools import combinations, pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from opscenter.production.rules.layering import Edge, Layout, Sizes, lay_out

SIZES = Sizes()


def drawn(*edges: str, nodes: str = "") -> Layout[str]:
    """``a-b`` is a strong edge, ``a~b`` a weak one; nodes in the order in which they are named."""
    given = [Edge(text[0], text[2], text[1] == "~") for text in edges]
    names = list(dict.fromkeys(nodes + "".join(edge[0] + edge[1] for edge in given)))
    return lay_out(names, given)


def layers(layout: Layout[str]) -> dict[str, int]:
    return {key: round(point.x / (SIZES.width + SIZES.between_layers)) for key, point in layout.boxes.items()}


def test_nothing_takes_no_room() -> None:
    empty: Layout[str] = lay_out([], [])
    assert (empty.width, empty.height, dict(empty.boxes)) == (0, 0, {})


def test_one_node_is_a_box_at_the_corner() -> None:
    layout = drawn(nodes="a")
    assert layout.boxes == {"a": (0, 0)}
    assert (layout.width, layout.height) == (SIZES.width, SIZES.height)


def test_each_node_is_right_of_all_that_it_waits_for() -> None:
    assert layers(drawn("a-b", "b-c", "a-c", "x-c")) == {"a": 0, "b": 1, "c": 2, "x": 1}


def test_a_chain_is_a_straight_line() -> None:
    layout = drawn("a-b", "b-c")
    assert {point.y for point in layout.boxes.values()} == {0}
    assert layout.lines[0] == [(SIZES.width, SIZES.height / 2), (SIZES.width + SIZES.between_layers, SIZES.height / 2)]


def test_parents_and_children_stand_around_their_node() -> None:
    boxes = drawn("a-m", "b-m", "m-x", "m-y").boxes
    assert boxes["m"].y == (boxes["a"].y + boxes["b"].y) / 2 == (boxes["x"].y + boxes["y"].y) / 2


def test_what_can_be_drawn_without_crossings_is() -> None:
    boxes = drawn("a-z", "b-y", "c-x", nodes="abcxyz").boxes
    order = sorted("abc", key=lambda key: boxes[key].y)
    assert sorted("xyz", key=lambda key: boxes[key].y) == [{"a": "z", "b": "y", "c": "x"}[key] for key in order]


def test_a_long_edge_passes_between_the_boxes_of_the_layers_it_skips() -> None:
    layout = drawn("a-b", "b-c", "a-c")
    line = layout.lines[2]
    assert len(line) == 4 and line[1].y == line[2].y
    between = layout.boxes["b"].y
    assert not between <= line[1].y <= between + SIZES.height


def test_a_weak_edge_leads_forward_where_nothing_forbids_it() -> None:
    layout = drawn("a~b", nodes="ba")
    assert layers(layout) == {"a": 0, "b": 1} and layout.is_back == [False]


def test_a_weak_edge_gives_way_to_a_strong_one() -> None:
    layout = drawn("b~a", "a-b")
    assert layers(layout) == {"a": 0, "b": 1}
    assert layout.is_back == [True, False]
    assert layout.lines[0][0] == (layout.boxes["b"].x + SIZES.width / 2, layout.boxes["b"].y + SIZES.height)


def test_a_loop_of_strong_edges_is_drawn_with_one_of_them_leading_back() -> None:
    layout = drawn("a-b", "b-c", "c-a")
    assert layers(layout) == {"a": 0, "b": 1, "c": 2}
    assert layout.is_back == [False, False, True]


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[int], list[Edge[int]]]:
    nodes = list(range(draw(st.integers(1, 14))))
    pairs = st.tuples(st.sampled_from(nodes), st.sampled_from(nodes), st.booleans())
    edges = draw(st.lists(pairs, max_size=30, unique_by=lambda edge: edge[:2]))
    return nodes, [Edge(*edge) for edge in edges if edge[0] != edge[1]]


@settings(max_examples=150, deadline=None)
@given(graphs())
def test_whatever_the_graph_nothing_overlaps_and_every_line_joins_its_boxes(
    graph: tuple[list[int], list[Edge[int]]],
) -> None:
    nodes, edges = graph
    layout = lay_out(nodes, edges)
    assert set(layout.boxes) == set(nodes)
    for one, other in combinations(layout.boxes.values(), 2):
        assert one.x != other.x or abs(one.y - other.y) >= SIZES.height + SIZES.between_boxes - 1e-6
    for point in layout.boxes.values():
        assert point.x >= 0 and point.y >= -1e-6
        assert point.x + SIZES.width <= layout.width and point.y + SIZES.height <= layout.height + 1e-6
    for edge, line, is_back in zip(edges, layout.lines, layout.is_back, strict=True):
        up, down = layout.boxes[edge.upstream], layout.boxes[edge.downstream]
        assert is_back is (up.x >= down.x)
        if not is_back:
            assert line[0] == (up.x + SIZES.width, up.y + SIZES.height / 2)
            assert line[-1] == (down.x, down.y + SIZES.height / 2)
            assert all(first.x <= second.x for first, second in pairwise(line))


@settings(max_examples=100, deadline=None)
@given(graphs())
def test_strong_edges_lead_back_only_in_loops(graph: tuple[list[int], list[Edge[int]]]) -> None:
    nodes, edges = graph
    acyclic = [edge for edge in edges if edge.is_weak or edge.upstream < edge.downstream]
    layout = lay_out(nodes, acyclic)
    assert not any(back for edge, back in zip(acyclic, layout.is_back, strict=True) if not edge.is_weak)


def test_the_largest_graph_that_is_drawn_takes_no_time() -> None:
    nodes = list(range(200))
    edges = [Edge(a, b) for a in nodes for b in (a + 1, 2 * a + 1, a + 7) if b < 200]
    began = time.process_time()
    lay_out(nodes, edges)
    assert time.process_time() - began < 2

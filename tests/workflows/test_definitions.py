"""The stored form of a node."""

import json

from hypothesis import given
from hypothesis import strategies as st

from workflows.definitions import Dependency, NodeDefinition

_text = st.text(max_size=20)
_json = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
)
definitions = st.builds(
    NodeDefinition,
    source_id=_text,
    name=_text,
    type=_text,
    content=_text,
    parameters=_text,
    rerun_times=st.integers(0, 10),
    timeout=st.integers(0, 1000),
    outputs=st.lists(_text, max_size=3).map(tuple),
    dependencies=st.lists(st.builds(Dependency, _text, _text, _text), max_size=3).map(tuple),
    settings=st.dictionaries(_text, _json, max_size=2),
)


@given(definitions)
def test_the_stored_form_gives_the_same_definition_back(definition: NodeDefinition) -> None:
    stored = json.loads(json.dumps(definition.as_json()))
    assert NodeDefinition.from_json(stored) == definition
    assert stored == definition.as_json()


@given(definitions, definitions)
def test_different_definitions_have_different_forms(one: NodeDefinition, other: NodeDefinition) -> None:
    assert (one == other) == (one.as_json() == other.as_json())

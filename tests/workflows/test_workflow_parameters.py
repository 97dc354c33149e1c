"""Parameters of a draft workflow that are written by hand: who may, what is kept, what is refused, and that none is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.operations.drafts import import_document
from opscenter.operations.publish import publish
from opscenter.operations.workflow_parameters import save
from opscenter.production.models import ProductionWorkflow
from opscenter.production.rules.parameters import is_assignable, parse_assignments, written
from opscenter.workspaces.models import AuditEntry
from tests.workflows.cast import Cast, document, make_cast, node
from tests.workflows.test_publish import release
from workflows.models import Workflow


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), st.text(max_size=30))
def test_what_is_written_is_read_back(name: str, expression: str) -> None:
    text = written(name, expression)
    assert is_assignable(name)
    if text is None:
        assert "'" in expression and '"' in expression
    else:
        assert parse_assignments(f"a0b1=1 {text}\n c2d3=2")[name] == expression


@pytest.fixture
def cast() -> Cast:
    return make_cast()


@pytest.fixture
def workflow(cast: Cast) -> Workflow:
    import_document(cast.owner, cast.workspace, document(node("n"), script={"parameters": "a=1"}))
    return Workflow.objects.get()


@pytest.mark.django_db
def test_they_replace_what_the_draft_had_and_the_trail_tells_both(cast: Cast, workflow: Workflow) -> None:
    before = workflow.modified_at
    found = save(cast.developer, cast.workspace, workflow.pk, {"day": "$bizdate", "b": "x y", "c": ""}, before="a=1")
    workflow.refresh_from_db()
    assert found.parameters == workflow.parameters == 'day=$bizdate b="x y" c=""'
    assert (workflow.modified_by, workflow.modified_at > before) == (cast.developer.user, True)
    entry = AuditEntry.objects.latest("pk")
    assert (entry.action, entry.object_name, entry.params["before"]) == ("workflow.parameters", "Nightly", "a=1")
    save(cast.developer, cast.workspace, workflow.pk, {}, before=workflow.parameters)
    assert Workflow.objects.get().parameters == ""


@pytest.mark.django_db
def test_production_has_them_when_a_node_is_published(cast: Cast) -> None:
    release(cast, document(node("n"), script={"parameters": "a=1"}))
    workflow = Workflow.objects.get()
    save(cast.developer, cast.workspace, workflow.pk, {"a": "2"}, before="a=1")
    assert ProductionWorkflow.objects.get().parameters == "a=1", "a draft changes nothing in production"
    publish(cast.deployer, cast.workspace, list(workflow.nodes.all()), "second")
    assert ProductionWorkflow.objects.get().parameters == "a=2"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("given_ones", "code"),
    [
        ({"1": "x"}, "parameter.name"),
        ({"yyyymmdd": "x"}, "parameter.name"),
        ({"a b": "x"}, "parameter.name"),
        ({"day": "$nothing"}, "parameters.unknown_name"),
        ({"day": "${yyyymmddd}"}, "parameters.format"),
        ({"day": "x\ny"}, "run_parameters.expression"),
        ({"day": "x" * 1001}, "run_parameters.expression"),
        ({"day": 'it\'s "so"'}, "flowspec.parameter_quotes"),
        ({f"p{n}": "x" for n in range(501)}, "parameter.too_many"),
    ],
)
def test_what_a_run_could_not_use_is_refused_at_the_field(
    cast: Cast, workflow: Workflow, given_ones: dict[str, str], code: str
) -> None:
    with pytest.raises(Invalid) as caught:
        save(cast.developer, cast.workspace, workflow.pk, given_ones, before="a=1")
    assert (caught.value.reason.code, caught.value.reason.params["field"]) == (code, "parameters")
    assert str(caught.value)
    assert Workflow.objects.get().parameters == "a=1"


@pytest.mark.django_db
def test_what_somebody_else_wrote_meanwhile_is_not_overwritten(cast: Cast, workflow: Workflow) -> None:
    save(cast.owner, cast.workspace, workflow.pk, {"a": "2"}, before="a=1")
    with pytest.raises(Refused, match="changed the parameters of “Nightly” since"):
        save(cast.developer, cast.workspace, workflow.pk, {"a": "3"}, before="a=1")
    entries = AuditEntry.objects.filter(action="workflow.parameters").count()
    save(cast.developer, cast.workspace, workflow.pk, {"a": "2"}, before="a=1")
    assert AuditEntry.objects.filter(action="workflow.parameters").count() == entries, "the same again changes nothing"


@pytest.mark.django_db
def test_only_who_may_develop_in_the_workspace_writes_them(cast: Cast, workflow: Workflow) -> None:
    for who, error in ((cast.visitor, Forbidden), (cast.deployer, Forbidden), (cast.stranger, NotFound)):
        with pytest.raises(error):
            save(who, cast.workspace, workflow.pk, {}, before="a=1")
    with pytest.raises(NotFound):
        save(cast.developer, cast.workspace, workflow.pk + 1, {}, before="")

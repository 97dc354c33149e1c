"""Parameters of a workflow: from the document to the draft, and with its nodes to production."""

import pytest

from opscenter.operations.drafts import import_document
from opscenter.operations.publish import publish
from opscenter.production.models import ProductionWorkflow, SharedParameter
from opscenter.workspaces.models import AuditEntry, Workspace
from tests.workflows.cast import Cast, document, make_cast, node
from tests.workflows.test_publish import problems, release
from tests.workflows.test_reader import sample
from workflows import flowspec
from workflows.models import Workflow


def variable(name, value, scope="NodeParameter", **more):
    return {"id": f"v-{name}", "name": name, "type": "System", "scope": scope, "value": value, **more}


def with_parameters(*parameters, content="true"):
    return {"content": content, "runtime": {"command": "DIDE_SHELL"}, "parameters": list(parameters)}


def _shared(read: flowspec.Document) -> str:
    assert read.workflow is not None
    return read.workflow.parameters


def test_the_sample_has_its_workflows_parameter() -> None:
    assert _shared(flowspec.read(sample("dowhile"))) == "flow_p1=$[yyyymmdd]"


FOUND = [
    # parameters of the workflow's script
    ({"script": {"parameters": "a=1 b='x y'"}}, (), "", 'a=1 b="x y"'),
    ({"script": {"parameters": [variable("a", "$bizdate")]}}, (), "", "a=$bizdate"),
    # variables that the document lists, whether nodes refer to them or not
    ({"variables": [variable("a", "1", "Workflow")]}, (), "", "a=1"),
    ({"variables": [variable("a", "1", "Workflow")]}, ("{{variables.v-a}}",), "", "a=1"),
    ({"variables": [variable("a", "1")]}, ("v-a",), "a=1", ""),
    # what a node says itself to be the workflow's
    ({}, (variable("a", "1", "Workflow"), variable("b", "2")), "b=2", "a=1"),
    ({"variables": [variable("a", "1", "Workflow")]}, (variable("a", "2", "Workflow"),), "a=2", "a=1"),
    # a position is the node's own
    ({}, (variable("1", "x", "Workflow"),), "1=x", ""),
    ({"script": {"parameters": "1=x a=1"}}, (), "", "a=1"),
]


@pytest.mark.parametrize(("workflow", "parameters", "own", "shared"), FOUND)
def test_whose_a_parameter_is(workflow, parameters, own, shared) -> None:
    read = flowspec.read(document(node("n", script=with_parameters(*parameters)), **workflow))
    assert (read.nodes[0].parameters, _shared(read)) == (own, shared)


def test_a_parameter_of_the_workspace_is_left_to_it_if_it_has_one() -> None:
    text = document(node("n", script=with_parameters(variable("region", "eu", "Workspace"))))
    known = flowspec.read(text, parameters=["region"])
    assert (known.nodes[0].parameters, known.warnings) == ("", ())
    unknown = flowspec.read(text)
    assert unknown.nodes[0].parameters == "region=eu"
    assert [problem.code for problem in unknown.warnings] == ["flowspec.workspace_parameter"]


def test_parameters_that_cannot_be_read_refuse_the_document() -> None:
    with pytest.raises(flowspec.BadDocument) as caught:
        flowspec.read(document(node("n"), script={"parameters": "a=1 a=2"}))
    assert [problem.path for problem in caught.value.problems] == ["spec.workflows[0].script.parameters"]


@pytest.mark.django_db
def test_an_import_knows_the_parameters_of_its_workspace(cast: Cast) -> None:
    SharedParameter.objects.create(
        tenant=cast.tenant,
        workspace=cast.workspace,
        environment="Prod",
        name="region",
        expression="eu",
        modified_by=cast.owner.user,
    )
    text = document(node("n", script=with_parameters(variable("region", "us", "Workspace"))))
    report = import_document(cast.owner, cast.workspace, text)
    assert report.nodes[0].definition["parameters"] == ""
    assert not report.warnings


@pytest.mark.django_db
def test_they_are_published_with_the_workflows_nodes_in_every_environment() -> None:
    cast = make_cast(Workspace.Mode.STANDARD)
    report = release(cast, document(node("n"), script={"parameters": "a=$bizdate"}))
    assert [flow.name for flow in report.workflows] == []
    found = ProductionWorkflow.objects.values_list("environment", "parameters")
    assert set(found) == {("Prod", "a=$bizdate"), ("Dev", "a=$bizdate")}


@pytest.mark.django_db
def test_changed_ones_are_published_though_no_node_has_changed(cast: Cast) -> None:
    release(cast, document(node("n"), script={"parameters": "a=1"}))
    again = import_document(cast.owner, cast.workspace, document(node("n"), script={"parameters": "a=2"}))
    assert len(again.unchanged) == 1
    assert ProductionWorkflow.objects.get().parameters == "a=1", "a draft changes nothing in production"
    report = publish(cast.owner, cast.workspace, again.nodes, "second")
    assert (report.tasks, [flow.name for flow in report.workflows]) == ((), ["Nightly"])
    assert ProductionWorkflow.objects.get().parameters == "a=2"
    assert AuditEntry.objects.latest("pk").params["parameters"] == {"Nightly": "a=2"}
    assert Workflow.objects.get().parameters == "a=2"


@pytest.mark.django_db
def test_one_without_a_value_is_not_published(cast: Cast) -> None:
    text = document(node("n"), script={"parameters": "a=$nothing"})
    assert problems(cast, text) == [("Nightly", "parameters", "workflow_parameter")]

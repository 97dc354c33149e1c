"""Parameters of every level in shell, Python and SQL nodes; kept with the attempt; taken when it starts."""

import pytest

from opscenter.production.models import (
    Attempt,
    ProductionWorkflow,
    SharedParameter,
    Task,
    TaskInstance,
    WorkflowInstance,
)
from opscenter.production.rules.states import State
from opscenter.production.selectors import log_text
from tests.engine.graphs import Scene
from tests.engine.runs import code_of, execute, ready, shell

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def share(scene, name, expression, *, everywhere=False, environment="Prod"):
    return SharedParameter.objects.create(
        tenant=scene.tenant,
        workspace=None if everywhere else scene.workspace,
        environment="" if everywhere else environment,
        name=name,
        expression=expression,
        modified_by=scene.user,
    )


def in_workflow(scene, instance, parameters):
    workflow = ProductionWorkflow.objects.create(
        number=9000001, environment="Prod", workspace=scene.workspace, name="w", owner=scene.user, parameters=parameters
    )
    Task.objects.filter(pk=instance.task_id).update(workflow=workflow)


def test_all_levels_reach_a_script_and_are_kept_with_their_origin(scene):
    share(scene, "g", "$bizdate", everywhere=True)
    share(scene, "w", "$[hh24]")
    share(scene, "w", "of development", environment="Dev")
    share(scene, "hidden", "global", everywhere=True)
    share(scene, "unused", "$nonsense", everywhere=True)
    instance = shell(scene, 'echo "${g} ${w} ${f} ${n} ${r} ${t} ${hidden}"', parameters="n=$nodeid hidden=mine")
    in_workflow(scene, instance, "f=${yyyymm-1}")
    scene.family.parameters = {"workflow": {"r": "$jobid"}, "tasks": {str(instance.task.number): {"t": "x y"}}}
    scene.family.save()
    attempt = execute(instance)
    assert log_text(attempt) == f"20261120 00 202610 {instance.task.number} 9000001 x y mine\n"
    assert attempt.parameters == {
        "n": str(instance.task.number),
        "hidden": "mine",
        "t": "x y",
        "r": "9000001",
        "f": "202610",
        "w": "00",
        "g": "20261120",
    }
    assert attempt.parameter_sources["hidden"] == {
        "level": "node",
        "expression": "mine",
        "hides": [["global", "global"]],
    }
    assert attempt.parameter_sources["r"] == {"level": "run_workflow", "expression": "$jobid"}


def test_other_workspaces_and_tenants_share_nothing(scene):
    other = Scene("other")
    share(other, "x", "theirs", everywhere=True)
    share(other, "y", "theirs")
    assert log_text(execute(shell(scene, "echo '${x} ${y}'"))) == "${x} ${y}\n"


def test_a_python_node_has_them_in_its_code_and_as_arguments(scene):
    share(scene, "day", "$bizdate")
    share(scene, "unused", "x")
    attempt = execute(ready(scene, "python", "import sys\nprint('${day}', args['day'], sys.argv[1:])"))
    assert log_text(attempt) == "20261120 20261120 ['day=20261120']\n"


def test_a_rerun_takes_them_as_they_are_then(scene):
    shared = share(scene, "x", "first")
    instance = shell(scene, "echo ${x}; exit 1")
    first = execute(instance)
    shared.expression = "second"
    shared.save()
    TaskInstance.objects.filter(pk=instance.pk).update(state=State.WAIT_RESOURCE)
    second = execute(instance)
    first.refresh_from_db()
    assert (first.parameters, second.parameters) == ({"x": "first"}, {"x": "second"})


@pytest.mark.parametrize(
    ("kind", "said"), [(WorkflowInstance.Type.BACKFILL, "task"), (WorkflowInstance.Type.MANUAL, "workflow")]
)
def test_overrides_of_a_run_and_their_order(scene, kind, said):
    instance = shell(scene, "echo ${x}", parameters="x=node")
    overrides = {"workflow": {"x": "workflow"}, "tasks": {str(instance.task.number): {"x": "task"}}}
    WorkflowInstance.objects.filter(pk=scene.family.pk).update(type=kind, parameters=overrides)
    assert log_text(execute(instance)) == f"{said}\n"


def test_the_current_date_of_a_backfill_is_the_day_after_its_business_date(scene):
    WorkflowInstance.objects.filter(pk=scene.family.pk).update(type=WorkflowInstance.Type.BACKFILL)
    assert log_text(execute(shell(scene, "echo ${d}", parameters="d=$gmtdate"))) == "20261121\n"


def test_overrides_that_cannot_be_read_fail_the_run_and_say_so(scene):
    WorkflowInstance.objects.filter(pk=scene.family.pk).update(parameters={"tasks": {"x": 1}})
    attempt = execute(shell(scene, "echo ran"))
    assert (attempt.state, code_of(attempt)) == (Attempt.State.FAILURE, "attempt.parameters")
    assert "tasks.x" in log_text(attempt)

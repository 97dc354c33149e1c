"""Publishing is no way around the extensions that guard freezing and unfreezing."""

import pytest

from extensions.models import Enablement, Event, Extension
from opscenter.base.reasons import say as words_of
from opscenter.console import drafts
from opscenter.operations.door import apply
from opscenter.operations.drafts import import_document
from opscenter.operations.models import Operation
from opscenter.operations.publish import PublishRefused, publish
from opscenter.production.models import Task
from opscenter.workspaces.models import Workspace
from tests.operations.at_once import meanwhile
from tests.operations.guarded import checks_of, say, status_of
from tests.workflows.cast import Cast, document, make_cast, node
from tests.workflows.test_publish import problems, release, task
from workflows.models import Node


def guard(cast: Cast, *points: str, name: str = "guard", **facts: bool) -> Extension:
    """An extension that listens in the workspace; by default to freezing and unfreezing."""
    made = Extension.objects.create(
        tenant=cast.tenant,
        owner=cast.developer.user,
        name=name,
        webhook_url="https://guard.example.com/",
        points=list(points or ("freeze-node", "unfreeze-node")),
        test_workspace=cast.workspace,
        status=Extension.Status.ONLINE,
    )
    Enablement.objects.create(extension=made, workspace=cast.workspace, **({"is_enabled": True} | facts))
    return made


def one(recurrence: str, **fields: str) -> str:
    return document(node("a", recurrence=recurrence, **fields))


def operate(cast: Cast, code: str) -> Operation:
    """Freeze or unfreeze the task in Operation Center; the extensions agree."""
    operation = apply(code, cast.owner, cast.workspace, "Prod", [task("a").pk])
    for check in checks_of(operation):
        say(check, "OK")
    assert status_of(operation) == "applied"
    return operation


CHANGES = [  # published as -> in production now -> draft now: what stands against it, and what becomes of it without
    ("Normal", "Normal", "Normal", None, "Normal"),
    ("Normal", "Normal", "Skip", None, "Skip"),
    ("Skip", "Skip", "Normal", None, "Normal"),
    ("Normal", "Normal", "Pause", "freeze_task", "Pause"),
    ("Skip", "Skip", "Pause", "freeze_task", "Pause"),
    ("Pause", "Pause", "Pause", None, "Pause"),
    ("Pause", "Pause", "Normal", "unfreeze_task", "Normal"),
    ("Pause", "Pause", "Skip", "unfreeze_task", "Skip"),
    # frozen or unfrozen in production meanwhile
    ("Normal", "Pause", "Normal", None, "Pause"),
    ("Normal", "Pause", "Pause", None, "Pause"),
    ("Normal", "Pause", "Skip", "unfreeze_task", "Skip"),
    ("Pause", "Normal", "Pause", None, "Normal"),
    ("Pause", "Normal", "Normal", None, "Normal"),
    ("Pause", "Normal", "Skip", None, "Skip"),
]


@pytest.mark.parametrize(("published", "now", "draft", "refused", "becomes"), CHANGES)
def test_a_publication_that_would_freeze_or_unfreeze(
    cast: Cast, published: str, now: str, draft: str, refused: str | None, becomes: str
) -> None:
    release(cast, one(published))
    Task.objects.filter(name="a").update(recurrence=now)
    guard(cast)
    changed = one(draft, description="changed")
    if refused is None:
        release(cast, changed)
        assert task("a").recurrence == becomes
    else:
        assert problems(cast, changed) == [("a", "recurrence", refused)]
        assert task("a").recurrence == now
    assert not Event.objects.exists()


@pytest.mark.parametrize(("published", "now", "draft", "refused", "becomes"), CHANGES)
def test_without_extensions_it_is_as_it_was(
    cast: Cast, published: str, now: str, draft: str, refused: str | None, becomes: str
) -> None:
    release(cast, one(published))
    Task.objects.filter(name="a").update(recurrence=now)
    guard(cast, is_enabled=False)
    release(cast, one(draft, description="changed"))
    assert task("a").recurrence == becomes


def test_each_direction_has_its_own_listeners(cast: Cast) -> None:
    release(cast, document(node("a"), node("b", recurrence="Pause")))
    guard(cast, "freeze-node", name="keeps running")
    guard(cast, "unfreeze-node", name="keeps frozen", is_mandatory=False)
    both = document(node("a", recurrence="Pause"), node("b"))
    nodes = import_document(cast.owner, cast.workspace, both).nodes
    with pytest.raises(PublishRefused) as error:
        publish(cast.owner, cast.workspace, nodes, "try")
    told = [(problem.node_name, problem.field, str(problem)) for problem in error.value.problems]
    assert [each[:2] for each in told] == [("a", "recurrence"), ("b", "recurrence")]
    assert told[0][2] == (
        "a, recurrence: This would freeze the task without asking “keeps running”. Freeze the task in Operation "
        "Center, where the extensions are asked, then publish."
    )
    assert told[1][2] == (
        "b, recurrence: This would unfreeze the task without asking “keeps frozen”. Unfreeze the task in Operation "
        "Center, where the extensions are asked, then publish."
    )
    Enablement.objects.filter(extension__name="keeps running").update(is_enabled=False)
    assert problems(cast, both) == [("b", "recurrence", "unfreeze_task")]


def test_what_the_refusal_advises_works(cast: Cast) -> None:
    release(cast, one("Normal"))
    guard(cast)
    assert problems(cast, one("Pause")) == [("a", "recurrence", "freeze_task")]
    operate(cast, "freeze_task")
    release(cast, one("Pause"))
    assert task("a").recurrence == "Pause"
    assert problems(cast, one("Normal")) == [("a", "recurrence", "unfreeze_task")]
    operate(cast, "unfreeze_task")
    release(cast, one("Normal"))
    assert task("a").recurrence == "Normal"


def test_a_new_task_may_be_published_frozen(cast: Cast) -> None:
    """Nothing that runs is stopped by it; unfreezing it is asked about."""
    guard(cast)
    release(cast, one("Pause"))
    assert task("a").recurrence == "Pause"
    operate(cast, "unfreeze_task")
    assert task("a").recurrence == "Normal"


def test_an_offline_task_is_guarded_too(cast: Cast) -> None:
    """Otherwise it would come online unfrozen."""
    release(cast, one("Pause"))
    Task.objects.filter(name="a").update(status=Task.Status.OFFLINE)
    guard(cast)
    assert problems(cast, one("Normal")) == [("a", "recurrence", "unfreeze_task")]


def test_development_is_free(cast: Cast) -> None:
    Workspace.objects.update(mode=Workspace.Mode.STANDARD)
    release(cast, one("Normal"))
    Task.objects.filter(environment="Dev").update(recurrence="Pause")
    guard(cast)
    release(cast, one("Skip"))
    assert (task("a").recurrence, task("a", "Dev").recurrence) == ("Skip", "Skip")


def test_extensions_of_other_workspaces_do_not_mind(cast: Cast) -> None:
    release(cast, one("Normal"))
    extension = guard(cast)
    elsewhere = Workspace.objects.create(tenant=cast.tenant, name="elsewhere")
    Enablement.objects.filter(extension=extension).update(workspace=elsewhere)
    release(cast, one("Pause"))
    assert task("a").recurrence == "Pause"


@pytest.mark.parametrize("before", ["Normal", "Skip"])
def test_a_task_frozen_by_a_publication_thaws_back_to_what_it_was(cast: Cast, before: str) -> None:
    other = {"Normal": "Skip", "Skip": "Normal"}[before]
    release(cast, one(other))
    operate(cast, "freeze_task")
    operate(cast, "unfreeze_task")
    for recurrence in (before, "Pause"):
        release(cast, one(recurrence))
    operate(cast, "unfreeze_task")
    assert task("a").recurrence == before


def test_the_drafts_page_tells_before_anybody_publishes(cast: Cast) -> None:
    release(cast, one("Normal"))
    guard(cast)
    import_document(cast.owner, cast.workspace, one("Pause"))
    node_row = Node.objects.select_related("workspace").get()
    (draft,) = drafts.of(cast.workspace, node_row.workflow)
    (problem,) = draft.problems
    assert (problem.node, str(problem.field)) == ("a", "Recurrence")
    assert problem.text == words_of("publish.freeze_task", {"extensions": ["guard"]})


def test_a_freeze_that_ends_during_a_publication_is_not_undone(transactional_db: None) -> None:
    """The draft became a dry run, which is free while the task is not frozen; at this moment it is being frozen."""
    cast = make_cast()
    release(cast, one("Normal"))
    guard(cast, "unfreeze-node")
    nodes = import_document(cast.owner, cast.workspace, one("Skip")).nodes
    with meanwhile(lambda: publish(cast.owner, cast.workspace, nodes, "try")) as answers:
        operate(cast, "freeze_task")
    (error,) = answers
    assert isinstance(error, PublishRefused), error
    assert [problem.reason.code for problem in error.problems] == ["publish.unfreeze_task"]
    assert task("a").recurrence == "Pause"

"""Shared parameters and saved nodes: who may, two at once, and secrets that documents cannot carry elsewhere."""

import json

import pytest

from opscenter.base.reasons import Forbidden, Invalid, NotFound, Refused
from opscenter.operations import drafts, parameters
from opscenter.operations.actor import Actor
from opscenter.production.models import SharedParameter
from opscenter.production.rules.levels import Level
from opscenter.workspaces.models import AuditEntry
from tests.cast import Cast
from tests.http_node.test_authoring import document
from tests.operations.at_once import at_once
from workflows.definitions import NodeDefinition
from workflows.models import Node, NodeVersion


def actor(user, face=AuditEntry.Face.CONSOLE):
    return Actor(user, face)


def add(cast, who, level=Level.WORKSPACE, name="x"):
    return parameters.create(actor(who), cast.workspace, "Prod", level, name=name, expression="1")


@pytest.mark.django_db
def test_who_may_set_which():
    cast = Cast()
    for who in (cast.owner, cast.admin):
        assert add(cast, who, name=who.username.replace("-", "_")).workspace == cast.workspace
        with pytest.raises(Forbidden):
            add(cast, who, Level.GLOBAL)
    for who in (cast.developer, cast.operator, cast.deployer, cast.visitor):
        with pytest.raises(Forbidden):
            add(cast, who)
    cast.visitor.is_tenant_admin = True
    cast.visitor.save()
    assert add(cast, cast.visitor, Level.GLOBAL).workspace is None, "global ones are the tenant's, whatever the role"
    cast.stranger.is_tenant_admin = True
    cast.stranger.save()
    for level in (Level.WORKSPACE, Level.GLOBAL):
        with pytest.raises(NotFound):
            add(cast, cast.stranger, level)


@pytest.mark.django_db
def test_a_level_holds_a_limited_number(monkeypatch):
    monkeypatch.setattr(parameters, "MOST", 2)
    cast = Cast()
    add(cast, cast.owner, name="a")
    add(cast, cast.owner, name="b")
    with pytest.raises(Invalid) as caught:
        add(cast, cast.owner, name="c")
    assert caught.value.reason.code == "parameter.too_many"


@pytest.mark.django_db(transaction=True)
def test_of_two_who_take_a_name_at_once_one_gets_it():
    cast = Cast()
    answers = at_once(*[lambda: add(cast, cast.owner)] * 2)
    assert sorted(type(answer).__name__ for answer in answers) == ["Invalid", "SharedParameter"]
    assert SharedParameter.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_of_two_who_save_a_draft_at_once_one_is_told():
    cast = Cast()
    definition = NodeDefinition("n1", "call", "http", content='{"url": "https://a.example/"}')
    node = drafts.save_node(actor(cast.owner), cast.workspace, definition)
    read = [Node.objects.get(pk=node.pk) for _ in range(2)]
    calls = [
        lambda one=one, name=name: drafts.save_node(
            actor(cast.owner), cast.workspace, NodeDefinition("n1", name, "http", content=definition.content), node=one
        )
        for one, name in zip(read, ("first", "second"), strict=True)
    ]
    answers = at_once(*calls)
    (refused,) = [answer for answer in answers if isinstance(answer, Refused)]
    assert refused.reason.code == "draft.saved_since"
    assert NodeVersion.objects.filter(node=node).count() == 2


@pytest.mark.django_db
def test_a_document_cannot_carry_a_stored_secret_to_another_host():
    cast = Cast()
    settings = {"url": "https://jobs.example/run", "token": "t0p-secret"}
    drafts.import_document(actor(cast.owner), cast.workspace, document(settings))
    masked = {"url": "https://jobs.example/other", "token": "••••••"}
    assert drafts.import_document(actor(cast.owner), cast.workspace, document(masked)).updated
    stored = json.loads(Node.objects.get().definition["content"])["token"]
    for token in ("••••••", stored):
        with pytest.raises(Refused) as caught:
            text = document({"url": "https://evil.example/", "token": token})
            drafts.import_document(actor(cast.owner), cast.workspace, text)
        assert "call" in str(caught.value) and "token" in str(caught.value)
    typed = document({"url": "https://evil.example/", "token": "t0p-secret"})
    assert drafts.import_document(actor(cast.owner), cast.workspace, typed).updated, "who knows it may send it"

"""Trying an HTTP node's request: sent once from the draft, as a run would send it; nothing is polled."""

import time
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any
from uuid import uuid4

from opscenter.base import outbound
from opscenter.base.reasons import Reason
from opscenter.operations.actor import Actor
from opscenter.operations.permits import require
from opscenter.production import http_requests, http_settings, parameter_values
from opscenter.production.http_requests import judge_submit, redacted
from opscenter.production.rules import levels, parameters
from opscenter.workspaces import audit
from opscenter.workspaces.roles import Permission
from workflows.definitions import NodeDefinition
from workflows.models import Node

LONGEST = 10.0
"""Seconds for the request: somebody waits for the page."""
MOST_BODY = 16 * 1024


@dataclass(frozen=True)
class Tried:
    """What came of it.

    Attributes:
        asked: method and URL as they were sent, without secrets.
        status: None when there was no answer; ``reason`` says why.
        reason: why a run would have failed; None for one that succeeds, or goes on to poll.
        answer: the body, without secrets.
    """

    asked: str
    status: int | None
    reason: Reason | None
    answer: str = ""
    milliseconds: int = 0


def may_try(member: Any, node: Node) -> bool:
    """Whether a member may: it does what a test run of the node would do."""
    return bool(member.may(Permission.TEST_TASK, own=node.owner_id == member.user_id))


def try_request(actor: Actor, node: Node, environment: str, bizdate: date) -> Tried:
    """Send the request of a saved draft once, with the parameters of a scheduled run for a business date.

    Raises:
        NotFound, Forbidden: the actor may not run tests of the node.
        Refused: its settings or parameters cannot be read, or a secret cannot be decrypted.
    """
    require(actor, node.workspace, Permission.TEST_TASK, own=node.owner_id == actor.user.pk)
    definition = NodeDefinition.from_json(node.definition)
    settings = http_settings.read(definition.content)
    context = parameter_values.planned(None, bizdate, parameter_values.first_time_of_cron(definition.cron))
    workflow = node.workflow.parameters if node.workflow is not None else ""
    sources = levels.Sources(
        shared=parameter_values.shared_rows(node.workspace, environment),
        workflow=workflow,
        node=definition.parameters,
        code=definition.content,
    )
    values = levels.resolve(sources, context).values
    kept = http_requests.filled(settings.ask, partial(parameters.substitute, values=values, context=context))
    letter = http_requests.letter(kept, idempotency_key=f"opscenter-try-{uuid4()}")
    hidden = http_requests.hidden({"submit": kept})
    began = time.monotonic()
    told = {"method": letter.method, "host": http_requests.host_of(letter.url), "status": None}
    asked = redacted(f"{letter.method} {letter.url}", hidden)
    try:
        answer = outbound.send(
            letter.method,
            letter.url,
            headers=letter.wire_headers,
            body=letter.body,
            timeout=min(settings.request_timeout, LONGEST),
            most=MOST_BODY,
        )
    except outbound.OutboundError as error:
        _record(actor, node, {**told, "reason": error.reason.as_json()})
        return Tried(asked, None, error.reason, milliseconds=_since(began))
    _record(actor, node, {**told, "status": answer.status})
    verdict = judge_submit(settings, answer.status, answer.body)
    said = redacted(answer.body.decode(errors="replace"), hidden)
    return Tried(asked, answer.status, verdict.failure, said, _since(began))


def _since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _record(actor: Actor, node: Node, params: dict[str, Any]) -> None:
    audit.record(
        actor.user,
        actor.face,
        "node.try",
        workspace=node.workspace,
        obj=("node", node.pk, node.name),
        params=params,
        address=actor.address,
    )

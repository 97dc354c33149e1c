"""What became of the targets of an operation, and of the operation by that."""

import json
from collections.abc import Mapping

from django.db.models import QuerySet

from opscenter.base.reasons import Reason
from opscenter.operations.models import Operation, OperationTarget

ENDED_BEFORE = "backfill.ended_before"
"""Of an instance that a stop of its backfill found over already: nothing was refused."""

Status = Operation.Status


def write(targets: "QuerySet[OperationTarget]", results: Mapping[int, Reason | None]) -> None:
    """Give those of the targets that have none yet their results: one statement for all that were done, and one for each
    reason why others were not.

    Args:
        targets: all of one type of object.
        results: by object.
    """
    by_reason: dict[str, tuple[Reason | None, list[int]]] = {}
    for pk, refused in results.items():
        by_reason.setdefault(json.dumps(refused and refused.as_json(), sort_keys=True), (refused, []))[1].append(pk)
    for refused, ids in by_reason.values():
        targets.filter(object_id__in=ids, done=None).update(
            done=refused is None, reason=refused and refused.as_json(), open_code=None
        )


def outcome_of(operation: Operation) -> Status:
    """How an operation ended of whose targets none waits any more."""
    done = operation.targets.filter(done=True).exists()
    refused = operation.targets.filter(done=False).exclude(reason__code=ENDED_BEFORE).exists()
    return Status.PARTLY if done and refused else Status.APPLIED if done else Status.REFUSED

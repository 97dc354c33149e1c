"""Any sequence of what may happen to an operation under check, held against a model of a few lines."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from extensions.models import Check
from extensions.tokens import token_of
from opscenter.base import clock
from opscenter.base.reasons import Refused
from opscenter.operations import checked
from opscenter.operations.models import Operation
from tests.operations.guarded import Guarded, checks_of, frozen, say, status_of, told

pytestmark = pytest.mark.django_db

KINDS = st.sampled_from([(True, True), (True, False), (False, True)])
"""(mandatory, silence blocks)"""
WHICH = st.integers(0, 2)
STEPS = st.one_of(
    st.tuples(st.just("say"), WHICH, st.sampled_from(["OK", "WARN", "FAIL"])),
    st.tuples(st.sampled_from(["report", "silence", "unreachable", "mark", "release", "cancel"]), WHICH, st.just("")),
)


class Model:
    """What DESIGN.md 5 says, for one operation on one task."""

    def __init__(self, kinds: list[tuple[bool, bool]]) -> None:
        self.kinds = kinds
        self.states = ["checking"] * len(kinds)
        self.verdicts = [""] * len(kinds)
        self.why = [""] * len(kinds)
        self.status = "checking"
        self._decide()

    def take(self, step: str, at: int, verdict: str) -> str:
        """What happens; the code of the refusal."""
        at %= len(self.kinds)
        is_open = self.states[at] == "checking"
        mandatory, blocks = self.kinds[at]
        match step:
            case "cancel" if self.status == "checking":
                self.status = "cancelled"
                self._end_open()
            case "cancel":
                return "operation.not_checking"
            case "say" if is_open:
                self.verdicts[at] = verdict
                self._end(at, "failed" if verdict == "FAIL" else "passed")
            case "say" if self.verdicts[at] == verdict:
                return ""
            case "say" | "report" if not is_open:
                return "verdict.contradiction" if self.verdicts[at] else self.why[at]
            case "mark" if is_open:
                self._end(at, "passed", "verdict.over")
            case "mark":
                return "check.over"
            case "release" if is_open:
                self._end(at, "passed", "verdict.disabled")
            case "silence" | "unreachable" if is_open:
                self._end(at, ("failed" if blocks else "passed") if mandatory else "ended", "verdict.late")
        return ""

    def _end(self, at: int, state: str, why: str = "") -> None:
        self.states[at], self.why[at] = state, why
        self._decide()

    def _decide(self) -> None:
        deciding = [state for state, (mandatory, _) in zip(self.states, self.kinds, strict=True) if mandatory]
        if self.status != "checking":
            return
        if "failed" in deciding:
            self.status = "blocked"
            self._end_open()
        elif "checking" not in deciding:
            self.status = "applied"

    def _end_open(self) -> None:
        for at, state in enumerate(self.states):
            if state == "checking":
                self.states[at], self.why[at] = "ended", "verdict.over"


def run_out(check: Check) -> None:
    Check.objects.filter(pk=check.pk, state="checking").update(due_at=clock.now())
    checked.run_limits()


def really(cast: Guarded, operation: Operation, step: str, at: int, verdict: str) -> str:
    """The same, done; the code of the refusal."""
    checks = checks_of(operation)
    check, boss = checks[at % len(checks)], cast.actor(cast.admin)
    ways: dict[str, Callable[[], Any]] = {
        "say": lambda: say(check, verdict),
        "report": lambda: checked.report_by_token(check.pk, token_of(check), 50, ""),
        "silence": lambda: run_out(check),
        "unreachable": lambda: checked.unreachable(check.pk),
        "mark": lambda: checked.mark_passed(boss, cast.workspace, check.pk, ""),
        "release": lambda: checked.release(check.extension, boss),
        "cancel": lambda: checked.cancel(cast.actor(), cast.workspace, operation.pk),
    }
    try:
        ways[step]()
    except Refused as error:
        return error.reason.code
    return ""


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kinds=st.lists(KINDS, min_size=1, max_size=3), steps=st.lists(STEPS, max_size=9))
def test_it_goes_as_the_model_says(
    cast: Guarded, kinds: list[tuple[bool, bool]], steps: list[tuple[str, int, str]]
) -> None:
    with transaction.atomic():
        for number, (mandatory, blocks) in enumerate(kinds):
            cast.extension(str(number), is_mandatory=mandatory, silence_blocks=blocks, allows_mark_passed=True)
        task = cast.task()
        operation, model = cast.freeze(task), Model(kinds)
        for step in [None, *steps]:
            if step is not None:
                assert really(cast, operation, *step) == model.take(*step)
            assert status_of(operation) == model.status
            found = checks_of(operation)
            assert [(check.state, check.verdict) for check in found] == list(
                zip(model.states, model.verdicts, strict=True)
            )
            assert all((check.due_at is None) is (check.state != "checking") for check in found)
            assert frozen(task) == [model.status == "applied"]
            assert told(operation) == {
                task.pk: {"checking": "open", "applied": None}.get(model.status, f"operation.{model.status}")
            }
        transaction.set_rollback(True)

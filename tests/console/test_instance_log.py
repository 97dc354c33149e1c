"""Live logs: nothing is lost, doubled or cut in two, however they are written and read."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from opscenter.base import clock
from opscenter.production import log_tail
from opscenter.production.models import Attempt, LogChunk
from opscenter.production.rules.states import State
from tests.cast import Cast
from tests.console.visits import as_user, url

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


@pytest.fixture
def cast() -> Cast:
    return Cast()


def running(cast: Cast, name: str = "task") -> Attempt:
    instance = cast.instance(cast.task(name), State.RUNNING, attempt=1)
    return Attempt.objects.create(instance=instance, number=1, state=Attempt.State.RUNNING, claimed_at=clock.now())


def write(attempt: Attempt, seq: int, text: str) -> None:
    LogChunk.objects.create(attempt=attempt, seq=seq, bizdate=attempt.instance.bizdate, text=text)


def end(attempt: Attempt) -> None:
    Attempt.objects.filter(pk=attempt.pk).update(state=Attempt.State.SUCCESS)
    attempt.refresh_from_db()


def more(cast: Cast, attempt: Attempt, **query: Any) -> Any:
    address = url(cast, "instance_log_more", pk=attempt.instance_id, number=attempt.number)
    return as_user(cast.visitor).get(address, {"offset": 0, "line": 1} | query, headers=HTMX)


def test_new_lines_follow_and_the_end_stops_asking(cast: Cast) -> None:
    attempt = running(cast)
    write(attempt, 0, "one\ntw")
    page = as_user(cast.visitor).get(url(cast, "instance", pk=attempt.instance_id))
    assert page.context["text"] == "one\n"
    next_url = page.context["more_url"]
    visitor = as_user(cast.visitor)
    assert visitor.get(next_url, headers=HTMX).status_code == 204
    write(attempt, 1, "o\nthree")
    answer = visitor.get(next_url, headers=HTMX).content.decode()
    assert 'id="L2"' in answer
    assert "two" in answer
    assert "three" not in answer
    end(attempt)
    last = more(cast, attempt, offset=8, line=3).content.decode()
    assert 'id="L3"' in last
    assert "three" in last
    assert "hx-get" not in last


def test_before_the_first_attempt_the_place_of_the_log_waits(cast: Cast) -> None:
    instance = cast.instance(cast.task(), State.WAIT_RESOURCE)
    visitor = as_user(cast.visitor)
    address = visitor.get(url(cast, "instance", pk=instance.pk)).context["log_url"]
    assert visitor.get(address, headers=HTMX).status_code == 204
    made = Attempt.objects.create(instance=instance, number=1, state=Attempt.State.RUNNING, claimed_at=clock.now())
    write(made, 0, "begun\n")
    assert "begun" in visitor.get(address, headers=HTMX).content.decode()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    chunks=st.lists(st.text(alphabet="ab\n", max_size=8), max_size=8),
    limit=st.integers(1, 12),
    at=st.integers(0, 8),
)
def test_tail_and_what_follows_are_the_end_of_the_log(cast: Cast, chunks: list[str], limit: int, at: int) -> None:
    attempt = running(cast, f"task{Attempt.objects.count()}")
    for seq, text in enumerate(chunks[:at]):
        write(attempt, seq, text)
    part = log_tail.tail(attempt, limit)
    read = part.text
    for seq, text in enumerate(chunks[at:], start=at):
        write(attempt, seq, text)
    end(attempt)
    rest = log_tail.more(attempt, part.offset, part.next_line)
    whole = "".join(chunks)
    assert whole.endswith(read + rest.text)
    skipped = whole[: len(whole) - len(read + rest.text)]
    assert part.first == 1 + skipped.count("\n")
    assert skipped == "" or part.is_cut
    assert skipped == "" or skipped.endswith("\n") or "\n" not in part.text, "lines are whole where one fits"


def test_a_long_rest_comes_in_parts(cast: Cast) -> None:
    attempt = running(cast)
    write(attempt, 0, "x\n" * 50)
    end(attempt)
    first = log_tail.more(attempt, 0, 1, limit=31)
    assert (first.text, first.has_rest, first.next_line) == ("x\n" * 15, True, 16)
    assert log_tail.more(attempt, first.offset, first.next_line).text == "x\n" * 35


def test_the_download_is_the_whole_log_as_text(cast: Cast) -> None:
    attempt = running(cast)
    for seq in range(120):
        write(attempt, seq, f"<b>{seq}</b> ü\n")
    address = url(cast, "instance_log_raw", pk=attempt.instance_id, number=1)
    answer = as_user(cast.visitor).get(address)
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Disposition"].startswith("attachment")
    text = b"".join(answer.streaming_content).decode()  # type: ignore[attr-defined]
    assert text == "".join(f"<b>{seq}</b> ü\n" for seq in range(120))
    assert as_user(cast.stranger).get(address).status_code == 404


@pytest.mark.parametrize("query", [{"offset": "x"}, {"line": ""}, {"offset": "-1"}, {"offset": "9" * 30}], ids=str)
def test_a_place_that_cannot_be_is_not_found(cast: Cast, query: dict[str, str]) -> None:
    assert more(cast, running(cast), **query).status_code == 404


def test_a_place_beyond_the_end_has_nothing_yet(cast: Cast) -> None:
    assert more(cast, running(cast), offset=10**9).status_code == 204


def test_logs_of_others_are_not_there(cast: Cast) -> None:
    attempt = running(cast)
    for view in ("instance_log_more", "instance_log_raw"):
        address = url(cast, view, pk=attempt.instance_id, number=1)
        assert as_user(cast.stranger).get(address).status_code == 404
        assert as_user(cast.visitor).get(url(cast, view, pk=attempt.instance_id, number=2)).status_code == 404

"""Deliveries, try by try: a real receiver answers, and one path for each thing that can come of it."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from extensions import checks, deliveries, outbox, outcomes, rules
from extensions.envelope import REDACTED
from extensions.models import Check, Delivery, DeliveryTry, Extension
from extensions.outbox import Fate
from extensions.tokens import token_of
from opscenter.base.clock import now
from opscenter.base.reasons import Refused, say
from tests.extensions import post
from tests.extensions.receiver import DROP, HANG, Answer, Receiver
from tests.extensions.scene import Scene
from tests.stack import free_port

pytestmark = pytest.mark.django_db
Status = Delivery.Status


@pytest.fixture(autouse=True)
def allowed(settings):
    settings.OUTBOUND_ALLOW = ["127.0.0.1"]


@pytest.fixture
def scene():
    return Scene()


@pytest.fixture
def receiver():
    with Receiver() as opened:
        yield opened


def sent(scene: Scene, url: str, *, timeout: float = 5.0) -> Delivery:
    """A new message, tried once."""
    if not Extension.objects.exists():
        scene.extension(url)
    delivery = Delivery.objects.get(of_check=scene.event().checks.get())
    post.send(timeout)
    delivery.refresh_from_db()
    return delivery


def seconds_until_due(delivery: Delivery) -> float:
    assert delivery.due_at is not None
    return (delivery.due_at - now()).total_seconds()


# what a try comes to


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
def test_any_2xx_is_delivered(scene, receiver, status):
    receiver.answer(status)
    delivery = sent(scene, receiver.url)
    assert (delivery.status, delivery.tries, delivery.due_at) == (Status.DELIVERED, 1, None)
    assert delivery.finished_at is not None
    assert delivery.of_check.state == Check.State.CHECKING  # delivered is not answered
    (got,) = receiver.got
    got.verify(scene.secrets[delivery.extension_id])
    assert (got.path, got.id, got.message["id"]) == ("/hook", str(delivery.of_check.event_id), got.id)
    assert got.message["data"]["callbackToken"] == token_of(delivery.of_check)


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 401, 404, 408, 409, 429, 500, 502, 503, 504, 599])
def test_other_answers_are_failures_and_tried_again(scene, receiver, status):
    receiver.answer(Answer(status, {"Location": receiver.url + "/elsewhere"}))
    delivery = sent(scene, receiver.url)
    assert (delivery.status, delivery.tries) == (Status.PENDING, 1)
    assert rules.RETRY_AFTER[0] - 1 < seconds_until_due(delivery) <= 1.2 * rules.RETRY_AFTER[0]
    assert post.last_try(delivery).status == status
    assert [got.path for got in receiver.got] == ["/hook"]  # no redirect was followed


@pytest.mark.parametrize(
    ("answer", "timeout", "code"),
    [(HANG, 0.2, "outbound.timeout"), (DROP, 5.0, "outbound.protocol"), (None, 5.0, "outbound.connect")],
    ids=["hangs", "drops", "is not there"],
)
def test_no_answer_is_tried_again(scene, receiver, answer, timeout, code):
    receiver.answer(answer or 200)
    url = receiver.url if answer else f"http://127.0.0.1:{free_port()}/"
    delivery = sent(scene, url, timeout=timeout)
    assert (delivery.status, delivery.tries) == (Status.PENDING, 1)
    assert 0 < seconds_until_due(delivery) <= 1.2 * rules.RETRY_AFTER[0]
    row = post.last_try(delivery)
    assert (row.status, row.reason["code"], row.answer_body) == (None, code, "")
    assert say(**row.reason) != code
    assert row.milliseconds >= 1000 * timeout * (answer is HANG)


def test_tried_until_it_is_delivered_and_always_the_same_message(scene, receiver):
    receiver.answer(500, DROP, 503, 200)
    delivery = sent(scene, receiver.url)
    waits = []
    while delivery.status == Status.PENDING:
        waits.append(seconds_until_due(delivery))
        assert post.send() == []  # not due yet
        post.hurry()
        post.send()
        delivery.refresh_from_db()
    assert (delivery.status, delivery.tries) == (Status.DELIVERED, 4)
    assert all(wait >= planned - 1 for wait, planned in zip(waits, rules.RETRY_AFTER, strict=False))
    assert len({got.id for got in receiver.got}) == len({got.body for got in receiver.got}) == 1
    assert list(DeliveryTry.objects.order_by("number").values_list("number", "status")) == [
        (1, 500),
        (2, None),
        (3, 503),
        (4, 200),
    ]


def test_each_try_has_a_time_stamp_of_its_own(scene, receiver):
    receiver.answer(500)
    delivery = sent(scene, receiver.url)
    (first,) = receiver.got
    time.sleep(1.1 - time.time() % 1)  # the stamp counts whole seconds
    post.hurry()
    (parcel,) = outbox.claim({delivery.extension_id: 1})
    assert int(parcel.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"])
    assert parcel.headers["webhook-signature"] != first.headers["webhook-signature"]


def test_410_ends_the_endpoint(scene, receiver):
    """The delivery has failed, so have the others of the extension that wait, and nothing more is sent."""
    receiver.answer(500, 410)
    waits = sent(scene, receiver.url)
    gone = Delivery.objects.get(of_check=scene.event().checks.get())
    assert sorted(post.send()) == [waits.of_check_id, gone.of_check_id]
    assert set(Delivery.objects.values_list("status", "due_at")) == {(Status.FAILED, None)}
    extension = Extension.objects.get()
    assert extension.gone_at is not None
    later = scene.event().checks.get()
    assert (later.state, later.reason["code"]) == (Check.State.FAILED, "check.unreachable")
    post.hurry()
    post.send()
    assert len(receiver.got) == 2
    with pytest.raises(Refused, match="410 Gone"):
        deliveries.replay(gone)


def test_410_of_an_address_that_was_changed_meanwhile(scene, receiver):
    scene.extension(receiver.url)
    delivery = Delivery.objects.get(of_check=scene.event().checks.get())
    (parcel,) = outbox.claim({delivery.extension_id: 1})
    Extension.objects.update(webhook_url=receiver.url + "/new")
    outcomes.record([outcomes.Result(parcel, Fate.GONE, status=410)])
    assert Extension.objects.get().gone_at is None


@pytest.mark.parametrize("url", ["http://127.0.0.2/", "http://169.254.169.254/latest/", "ftp://127.0.0.1/"])
def test_a_target_that_the_guard_refuses_fails_at_once(scene, url):
    scene.extension(url)
    delivery = Delivery.objects.get(of_check=scene.event().checks.get())
    assert post.send() == [delivery.of_check_id]
    delivery.refresh_from_db()
    assert (delivery.status, delivery.tries, delivery.due_at) == (Status.FAILED, 1, None)
    row = post.last_try(delivery)
    assert (row.url, row.status) == (url, None)
    assert row.reason["code"].startswith("outbound.")


def test_nothing_is_undeliverable_for_a_check_that_is_over_or_was_told(scene, receiver):
    told = sent(scene, receiver.url)
    over = Delivery.objects.get(of_check=scene.event().checks.get())
    checks.answer(over.of_check, Check.Verdict.OK, "", via="api", by=None)
    Delivery.objects.create(event=told.event, of_check=told.of_check, extension=told.extension, due_at=now())
    receiver.answer(410)
    assert post.send() == []


# Retry-After


@pytest.mark.parametrize(
    ("status", "given", "seconds"),
    [
        (429, "120", 120),
        (502, " 7 ", 7),
        (503, "0", 0),
        (504, "999999999999", 999999999),
        (503, "+90", None),
        (503, "-5", None),
        (503, "soon", None),
        (503, "١٢", None),
        (503, "", None),
        (500, "120", None),
        (404, "120", None),
        (None, "120", None),
    ],
)
def test_seconds_asked(status, given, seconds):
    assert outcomes.seconds_asked(status, given, datetime(2026, 11, 21, 8, tzinfo=UTC)) == seconds


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("Sat, 21 Nov 2026 08:01:30 GMT", 90),
        ("Sat, 21 Nov 2026 09:01:30 +0100", 90),
        ("Saturday, 21-Nov-26 08:01:30 GMT", 90),
        ("Sat Nov 21 08:01:30 2026", 90),
        ("Sat, 21 Nov 2026 07:00:00 GMT", 0),
        ("Sat, 41 Nov 2026 07:00:00 GMT", None),
        ("21 Jan 999999999999 08:01:30 GMT", None),
    ],
)
def test_a_date_to_wait_for(given, seconds):
    assert outcomes.seconds_asked(503, given, datetime(2026, 11, 21, 8, tzinfo=UTC)) == seconds


@pytest.mark.parametrize("spelling", ["seconds", "date"])
def test_a_receiver_that_asks_for_time_gets_it(scene, receiver, spelling):
    value = "100" if spelling == "seconds" else format_datetime(now() + timedelta(seconds=100), usegmt=True)
    receiver.answer(Answer(429, {"Retry-After": value}))
    delivery = sent(scene, receiver.url)
    assert 98 < seconds_until_due(delivery) <= 100


def test_but_not_for_ever(scene, receiver):
    receiver.answer(Answer(503, {"Retry-After": "864000"}))
    assert seconds_until_due(sent(scene, receiver.url)) <= rules.LONGEST_RETRY_AFTER


# the check ends


def test_nothing_is_sent_once_the_check_is_over(scene, receiver):
    receiver.answer(500)
    delivery = sent(scene, receiver.url)
    checks.answer(delivery.of_check, Check.Verdict.OK, "", via="api", by=None)
    post.hurry()
    post.send()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.due_at, len(receiver.got)) == (Status.ENDED, None, 1)


@pytest.mark.parametrize(("status", "after"), [(200, Status.DELIVERED), (500, Status.ENDED), (410, Status.ENDED)])
def test_a_check_that_ends_during_the_request(scene, receiver, status, after):
    """As an extension does that answers the check first, and the request then."""
    scene.extension(receiver.url)
    delivery = Delivery.objects.get(of_check=scene.event().checks.get())
    (parcel,) = outbox.claim({delivery.extension_id: 1})
    checks.answer(delivery.of_check, Check.Verdict.OK, "", via="callback", by=None)
    outcomes.record([outcomes.Result(parcel, outcomes.fate_of(status), status=status)])
    delivery.refresh_from_db()
    assert (delivery.status, delivery.due_at, post.last_try(delivery).status) == (after, None, status)


# replays


def test_a_replay_is_the_same_message_once_more(scene, receiver):
    delivery = sent(scene, receiver.url)
    checks.answer(delivery.of_check, Check.Verdict.OK, "", via="api", by=None)
    again = deliveries.replay(delivery)
    post.send()
    again.refresh_from_db()
    assert (again.is_replay, again.status) == (True, Status.DELIVERED)
    first, second = receiver.got
    assert (first.id, first.body) == (second.id, second.body)
    second.verify(scene.secrets[delivery.extension_id])


def test_a_replay_goes_on_when_the_check_ends_and_gives_up_after_a_few_tries(scene, receiver):
    receiver.answer(200, 500)
    delivery = sent(scene, receiver.url)
    again = deliveries.replay(delivery)
    checks.answer(delivery.of_check, Check.Verdict.OK, "", via="api", by=None)
    with pytest.raises(Refused, match="already"):
        deliveries.replay(delivery)
    for _ in range(outcomes.MOST_REPLAY_TRIES + 2):
        post.hurry()
        post.send()
    again.refresh_from_db()
    assert (again.status, again.tries) == (Status.FAILED, outcomes.MOST_REPLAY_TRIES)
    assert len(receiver.got) == 1 + outcomes.MOST_REPLAY_TRIES


def test_a_first_delivery_never_gives_up_by_itself(scene, receiver):
    receiver.answer(500)
    delivery = sent(scene, receiver.url)
    for _ in range(9):
        post.hurry()
        post.send()
    delivery.refresh_from_db()
    assert (delivery.status, delivery.tries) == (Status.PENDING, 10)


def test_nothing_is_replayed_to_a_disabled_extension(scene, receiver):
    delivery = sent(scene, receiver.url)
    again = deliveries.replay(delivery)
    Extension.objects.update(status=Extension.Status.DISABLED)
    with pytest.raises(Refused, match="disabled"):
        deliveries.replay(Delivery.objects.get(pk=delivery.pk))
    post.send()
    again.refresh_from_db()
    assert (again.status, len(receiver.got)) == (Status.ENDED, 1)
    assert post.last_try(again).reason["code"] == "delivery.disabled"


# what is kept


def test_the_log_of_a_request(scene, receiver):
    receiver.answer(Answer(422, {"Content-Type": "text/plain", "Set-Cookie": "a=b"}, "nö\0\xff".encode("latin-1")))
    row = post.last_try(sent(scene, receiver.url))
    assert (row.number, row.url, row.status, row.reason) == (1, receiver.url, 422, None)
    assert row.headers.items() <= {name: receiver.got[0].headers[name.lower()] for name in row.headers}.items()
    assert row.headers["webhook-signature"].startswith("v1,")
    assert row.answer_headers["content-type"] == "text/plain"
    assert "set-cookie" not in row.answer_headers
    assert row.answer_body == "n\ufffd\ufffd\ufffd"
    assert 0 <= row.milliseconds < 5000


def test_a_long_answer_is_cut(scene, receiver):
    receiver.answer(Answer(200, {f"X-{n}": "v" * 300 for n in range(40)}, b"x" * 100_000))
    row = post.last_try(sent(scene, receiver.url))
    assert row.answer_body == "x" * 4096
    assert len(row.answer_headers) <= 20
    assert max(map(len, row.answer_headers.values())) <= 200


@pytest.mark.parametrize("before", [0, 4090], ids=["in the middle", "over the edge"])
def test_a_receiver_that_echoes_shows_no_token(scene, before):
    def echo(got):
        token = got.message["data"]["callbackToken"]
        return Answer(200, {"X-Echo": token}, b"." * before + token.encode() + got.body)

    with Receiver(script=echo) as receiver:
        delivery = sent(scene, receiver.url)
    row = post.last_try(delivery)
    assert token_of(delivery.of_check)[:8] not in row.answer_body + str(row.answer_headers) + str(row.headers)
    assert REDACTED in row.answer_headers["x-echo"]
    assert REDACTED in row.answer_body
    assert scene.secrets[delivery.extension_id] not in str(row.__dict__)


# when something of ours is wrong


def test_without_a_readable_secret_nothing_goes_unsigned(scene, receiver):
    extension = scene.extension(receiver.url)
    extension.secrets.update(secret="not ours")
    other = scene.extension(receiver.url, "other")
    scene.event()
    post.send()
    unsigned, fine = Delivery.objects.get(extension=extension), Delivery.objects.get(extension=other)
    assert (unsigned.status, fine.status, len(receiver.got)) == (Status.PENDING, Status.DELIVERED, 1)
    assert post.last_try(unsigned).reason["code"] == "delivery.unsigned"
    assert seconds_until_due(unsigned) > 4


def test_a_message_that_cannot_be_made_holds_up_no_other(scene, receiver):
    scene.extension(receiver.url)
    broken, fine = scene.event(), scene.event()
    broken.message = {"no": "data"}
    broken.save()
    post.send()
    of_broken, of_fine = (Delivery.objects.get(of_check__event=event) for event in (broken, fine))
    assert (of_broken.status, of_fine.status) == (Status.PENDING, Status.DELIVERED)
    assert post.last_try(of_broken).reason["code"] == "delivery.broken"


@pytest.mark.parametrize("code", ["unsigned", "abandoned", "broken", "replay_under_way", "gone", "disabled"])
def test_every_reason_has_words(code):
    assert say(f"delivery.{code}", {"extension": "guard"}) != f"delivery.{code}"

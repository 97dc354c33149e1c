"""/healthz and /readyz."""

from datetime import timedelta

import pytest
from django.db import OperationalError, connection
from django.test import Client

from opscenter.base import clock, heartbeat
from opscenter.base.models import Process

NEEDED = [Process.Kind.SCHEDULER, Process.Kind.WORKER, Process.Kind.COURIER]


def test_alive_without_a_database(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
def test_ready_when_every_kind_was_seen_lately(client: Client) -> None:
    for kind in NEEDED:
        heartbeat.register(kind)
    answer = client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json()["missing"] == []


@pytest.mark.django_db
@pytest.mark.parametrize("kind", NEEDED)
def test_names_what_never_came(client: Client, kind: Process.Kind) -> None:
    for other in NEEDED:
        if other is not kind:
            heartbeat.register(other)
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["missing"] == [kind.value]
    assert answer.json()["parts"][kind.value] == {"status": "missing", "age": None}


@pytest.mark.django_db
def test_names_what_went_silent_and_for_how_long(client: Client) -> None:
    for kind in NEEDED:
        heartbeat.register(kind)
    Process.objects.filter(kind=Process.Kind.WORKER).update(seen_at=clock.now() - timedelta(seconds=40))
    part = client.get("/readyz").json()["parts"]["worker"]
    assert part["status"] == "stale"
    assert 40 <= part["age"] < 45


@pytest.mark.django_db
def test_one_live_process_of_a_kind_is_enough(client: Client) -> None:
    for kind in (*NEEDED, Process.Kind.WORKER):
        heartbeat.register(kind)
    oldest = Process.objects.filter(kind=Process.Kind.WORKER).earliest("pk")
    Process.objects.filter(pk=oldest.pk).update(seen_at=clock.now() - timedelta(hours=1))
    assert client.get("/readyz").status_code == 200


@pytest.mark.django_db
def test_says_when_the_database_is_away(client: Client) -> None:
    def away(*_: object) -> None:
        raise OperationalError("away")

    with connection.execute_wrapper(away):
        answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["missing"] == ["database", "scheduler", "worker", "courier"]


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.django_db
def test_probes_may_ask_by_any_host_name(client: Client, settings, path: str) -> None:
    settings.ALLOWED_HOSTS = ["only.example.com"]
    assert client.get(path, headers={"host": "10.1.2.3:8000"}).status_code != 400
    assert client.get("/elsewhere", headers={"host": "10.1.2.3:8000"}).status_code == 400


def test_only_reading_is_allowed(client: Client) -> None:
    assert client.post("/healthz").status_code == 405

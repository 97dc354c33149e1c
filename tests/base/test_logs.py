"""Log lines hide secrets."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator

import pytest
import structlog

from opscenter.base import logs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch, settings) -> Iterator[io.StringIO]:
    """What a process that logs JSON writes."""
    written = io.StringIO()
    monkeypatch.setenv("OPSCENTER_LOG_FORMAT", "json")
    logging.config.dictConfig(logs.configure() | {"disable_existing_loggers": False})
    (handler,) = logging.getLogger().handlers[-1:]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(written)
    yield written
    logging.config.dictConfig(settings.LOGGING)


def test_an_event_is_one_json_line_with_its_values(lines: io.StringIO) -> None:
    structlog.get_logger("some.module").info("thing.done", count=3, name="数据")
    event = json.loads(lines.getvalue())
    assert (event["event"], event["count"], event["name"], event["level"]) == ("thing.done", 3, "数据", "info")
    assert event["logger"] == "some.module"
    assert event["timestamp"].endswith("Z")


def test_lines_of_other_libraries_look_the_same(lines: io.StringIO) -> None:
    logging.getLogger("library").warning("went %s", "wrong", extra={"access_key_secret": "s3cret"})
    event = json.loads(lines.getvalue())
    assert (event["event"], event["access_key_secret"]) == ("went wrong", "***")


def test_an_exception_keeps_its_trace(lines: io.StringIO) -> None:
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger().exception("failed")
    assert "ValueError: why" in json.loads(lines.getvalue())["exception"]


def test_secrets_are_hidden_at_every_level(lines: io.StringIO) -> None:
    structlog.get_logger().info(
        "request", password="hunter2", headers=[{"Authorization": "Bearer hunter2", "Host": "h"}], token="", task="keep"
    )
    assert "hunter2" not in lines.getvalue()
    event = json.loads(lines.getvalue())
    assert event["headers"] == [{"Authorization": "***", "Host": "h"}]
    assert event["task"] == "keep"


@pytest.mark.parametrize(
    "key",
    ["password", "DB_PASSWORD", "secret", "access_key_secret", "callbackToken", "Signature", "Authorization", "Cookie",
     "X-API-Key", "api_key", "sessionid", "private_key", "encryption_keys", "passphrase"],
)  # fmt: skip
def test_keys_that_name_secrets(key: str) -> None:
    assert logs.redact({key: "v"}) == {key: logs.HIDDEN}


@pytest.mark.parametrize("key", ["access_key_id", "key", "author", "passed", "task_id", "session", "tokyo"])
def test_keys_that_do_not(key: str) -> None:
    assert logs.redact({key: "v"}) == {key: "v"}

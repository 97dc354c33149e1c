"""Calls of the outbound client, as its tests make them."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from opscenter.base.outbound import Answer, OutboundError, Unreachable, send
from opscenter.base.reasons import Refused

LOCAL = ["127.0.0.0/8"]
Dns = Callable[..., list[str]]
Trust = Callable[[Path], None]


def call(url: str, **options: Any) -> Answer:
    return send(options.pop("method", "GET"), url, headers=options.pop("headers", {}), **{"timeout": 5, **options})


def failure(url: str, **options: Any) -> tuple[str, float]:
    """The code of a call that fails, and the seconds it took."""
    started = time.monotonic()
    with pytest.raises(Unreachable) as failed:
        call(url, allow=LOCAL, **options)
    assert isinstance(failed.value, OutboundError)
    assert isinstance(failed.value, Refused)
    assert str(failed.value).endswith(".")
    json.dumps(failed.value.reason.as_json())
    return failed.value.reason.code, time.monotonic() - started

"""Headers that every answer carries."""

import pytest
from django.test import Client


@pytest.mark.parametrize(
    ("given", "kept"),
    [("proxy-4f1c2d3e", True), ("", False), ("short", False), ("x" * 65, False), ("line\tbreak-12", False)],
)
def test_a_sound_request_id_is_kept_and_any_other_replaced(client: Client, given: str, kept: bool) -> None:
    answered = client.get("/healthz", headers={"x-request-id": given}).headers["X-Request-Id"]
    assert (answered == given) is kept
    assert len(answered) >= 8


def test_security_headers_are_on_every_page(client: Client) -> None:
    headers = client.get("/no-such-page").headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"

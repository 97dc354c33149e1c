"""docs/extensions.md says what is so."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from extensions import checks, deliveries, endpoints, lifecycle, options, outcomes, parameters, rules
from extensions.envelope import body_for
from extensions.lifecycle import NEXT_STATUS
from extensions.models import Extension
from extensions.points import POINTS
from extensions.signing import headers_for
from opscenter.base import clock
from opscenter.openapi import callbacks
from opscenter.openapi.errors import FAULTS
from opscenter.openapi.reasons import WIRE_CODES
from tests.extensions.scene import Scene
from tests.stack import ROOT

PAGE = (ROOT / "docs" / "extensions.md").read_text()


def cells(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading."""
    table = re.search(rf"^#+ {heading}\n.*?((?:^\|[^\n]*\n)+)", PAGE, re.MULTILINE | re.DOTALL)
    assert table
    rows = [line.strip("|").split("|") for line in table[1].splitlines()[2:]]
    return [[cell.strip().strip("`") for cell in row] for row in rows]


def kinds(value: Any) -> Any:
    """The types of a message's members."""
    if isinstance(value, dict):
        return {name: kinds(one) for name, one in value.items()}
    return [kinds(one) for one in value][:1] if isinstance(value, list) else type(value)


@pytest.mark.django_db
def test_the_message_is_as_it_stands_there() -> None:
    scene = Scene()
    scene.extension("https://guard.example.com/")
    check = scene.event(numbers=[700000009, 700000010], words="dim_customer +1").checks.get()
    (sample,) = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
    sent = json.loads(body_for(check))
    assert kinds(sample) == kinds(sent)
    assert list(sample) == list(sent)
    assert list(sample["data"]) == list(sent["data"])
    headers = headers_for(str(check.event_id), clock.now(), body_for(check), ["whsec_b25l", "whsec_dHdv"])
    assert {name for name, _ in cells("The signature")} == {one for one in headers if one.startswith("webhook-")}
    assert len(headers["webhook-signature"].split(" ")) == 2


def test_every_extension_point_stands_there() -> None:
    for heading, is_regular in (("Extension points", False), ("Regular events", True)):
        wanted = [[point.code, point.type] for point in POINTS.values() if point.is_regular is is_regular]
        assert [row[:2] for row in cells(heading)] == wanted


def test_every_component_of_options_stands_there_and_the_sample_is_one() -> None:
    told = {row[0].split("`")[0] for row in cells("Options")}
    assert told == set(options.COMPONENTS)
    (sample,) = re.findall(r"```\n(\{\"type\".*?)```", PAGE, re.DOTALL)
    assert options.check(options.read(sample), {}) == {"cuNumber": "10", "days": []}


def test_every_parameter_stands_there() -> None:
    filled = {"<id>,<id>": "1,2", "<id>": "1", "<eventCode>": "freeze-node", "<type>": "6"}
    for name, _effect in cells("Parameters")[:-1]:
        for placeholder, value in filled.items():
            name = name.replace(placeholder, value)
        assert parameters.read(name) != parameters.Parameters()


def test_every_status_stands_there() -> None:
    labels = [row[0] for row in cells("From registration to production")]
    assert sorted(labels) == sorted(str(label) for label in Extension.Status.labels)
    assert {str(Extension.Status(one).label) for one in NEXT_STATUS} == set(labels)


def test_every_refusal_of_a_verdict_stands_there_with_its_status() -> None:
    told = {code: int(status) for status, code, _why in cells("Errors")}
    ours = {code for code in told if code in FAULTS}
    assert set(told) - ours == {"MissingResult", "MissingCheckMessage"}
    assert {code: FAULTS[code].http for code in ours} == {code: told[code] for code in ours}
    assert {wire for reason, wire in WIRE_CODES.items() if reason.startswith("verdict.")} <= ours


def test_the_figures_are_the_products_own() -> None:
    assert rules.RETRY_AFTER == (5, 30, 120, 300, 600, 1200)
    assert "after about 5 s, 30 s, 2 min, 5 min, 10 min and then every 20 min" in PAGE
    assert f"{rules.SHORTEST_LIMIT} to {rules.LONGEST_LIMIT} seconds, {rules.DEFAULT_LIMIT} by default" in PAGE
    assert f"at most {rules.MOST_REPORTS:,} of a check" in PAGE
    assert f"up to {checks.LONGEST_WORDS:,} characters are kept" in PAGE
    assert (lifecycle.ROTATION.total_seconds(), rules.LONGEST_WAIT.total_seconds()) == (24 * 3600, 3600)
    assert (timedelta(days=3), timedelta(days=5), 10) == (
        outcomes.NOTICE_FOR,
        endpoints.DEAD_AFTER,
        endpoints.LEAST_FAILURES,
    )
    assert f"up to {deliveries.MOST_REPLAYED:,} at a time" in PAGE
    assert callbacks.MOST_BYTES == 64 * 1024
    assert f"more than {callbacks.CALLS_PER_SECOND:g} calls a second" in PAGE


def test_links_lead_somewhere() -> None:
    for name in ("extensions.md", "first-extension.md", "tour.md"):
        page = ROOT / "docs" / name
        for target in re.findall(r"\]\(([^)#:]+)[)#]", page.read_text()):
            assert (page.parent / target).exists(), (name, target)

"""Colours are read from the style sheet itself: text on its ground has a contrast of 4.5:1 in both themes."""

import re
from itertools import combinations
from pathlib import Path

import pytest

from opscenter.console.templatetags import looks

CSS = (Path(__file__).resolve().parents[2] / "static" / "css" / "app.css").read_text()
TOKENS = {
    name: {"light": light, "dark": dark}
    for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\);", CSS)
}
GROUNDS = [name for name in TOKENS if name.startswith("ground")]
TEXTS = ["text", "text-soft", "text-faint", "text-link", "text-danger"]
STATES = sorted(name.removeprefix("state-") for name in TOKENS if name.startswith("state-"))
ANSI = [name for name in TOKENS if name.startswith("ansi-")]

PAIRS = (
    [(text, ground) for text in TEXTS for ground in GROUNDS]
    + [(f"state-{state}", ground) for state in STATES for ground in GROUNDS]
    + [(f"state-{state}", f"tint-{state}") for state in STATES]
    + [("text", f"tint-{state}") for state in STATES]
    + [("text-soft", f"tint-{state}") for state in STATES]
    + [(colour, ground) for colour in ANSI for ground in ("ground-sunken", "ground-hover", "ground-selected")]
    + [(colour, tint) for colour in ANSI for tint in ("tint-failure", "tint-wait-time")]
    + [("text-faint", tint) for tint in ("tint-failure", "tint-wait-time")]  # line numbers of marked log lines
    + [("on-accent", "fill-accent"), ("on-accent", "fill-accent-hover")]
    + [("on-danger", "fill-danger"), ("on-danger", "fill-danger-hover")]
    + [("text-dev", "ground-frame")]
)


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_sheet_has_a_colour_and_a_tint_for_each_state_that_is_shown():
    shown = {look.tone.replace("_", "-") for look in (*looks.STATES.values(), looks.FROZEN, looks.DRY_RUN)}
    assert shown == set(STATES) == {name.removeprefix("tint-") for name in TOKENS if name.startswith("tint-")}
    assert all(
        f".state-{state} {{ --state: var(--state-{state}); --tint: var(--tint-{state}); }}" in CSS for state in shown
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_can_be_read_on_its_ground(theme):
    faint = {
        f"{text} on {ground}": round(value, 2)
        for text, ground in PAIRS
        if (value := contrast(TOKENS[text][theme], TOKENS[ground][theme])) < 4.5
    }
    assert faint == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_two_states_look_alike(theme):
    def distance(one: str, other: str) -> float:
        """Distance as the eye weighs it, roughly (the "redmean" formula); 0 to 765."""
        a, b = (
            [int(TOKENS[f"state-{name}"][theme][start : start + 2], 16) for start in (1, 3, 5)] for name in (one, other)
        )
        red, green, blue = (x - y for x, y in zip(a, b, strict=True))
        mean = (a[0] + b[0]) / 2
        return ((2 + mean / 256) * red**2 + 4 * green**2 + (2 + (255 - mean) / 256) * blue**2) ** 0.5

    # a dry run is told from a run that did not happen by its dashed outline and its tick
    told_by_shape = {("dry-run", "not-run")}
    alike = {
        pair: round(distance(*pair))
        for pair in combinations(STATES, 2)
        if pair not in told_by_shape and distance(*pair) < 55
    }
    assert alike == {}


def test_every_state_has_an_icon_of_its_own_in_the_sprite():
    sprite = (Path(__file__).resolve().parents[2] / "static" / "icons.svg").read_text()
    every = [*looks.STATES.values(), looks.FROZEN, looks.DRY_RUN, *looks.RECEIPTS.values(), *looks.ATTEMPTS.values()]
    icons = {look.icon for look in every} | set(looks.NODE_TYPE_ICONS.values())
    assert {icon for icon in icons if f'<symbol id="{icon}"' not in sprite} == set()
    by_tone = {look.tone: look.icon for look in (*looks.STATES.values(), looks.FROZEN, looks.DRY_RUN)}
    assert len(set(by_tone.values())) == len(by_tone)


def test_no_template_uses_an_icon_that_the_sprite_lacks():
    root = Path(__file__).resolve().parents[2]
    sprite = (root / "static" / "icons.svg").read_text()
    used = {
        name
        for template in (root / "templates").rglob("*.html")
        for name in re.findall(r"""{% icon "([\w-]+)"|icon_name="([\w-]+)\"""", template.read_text())
        for name in name
        if name
    }
    assert len(used) > 20
    assert {name for name in used if f'<symbol id="{name}"' not in sprite} == set()

"""What a page may weigh and ask for, and what the content security policy forbids."""

import gzip
import hashlib
import re
from pathlib import Path

import pytest
from django.contrib.auth.models import AnonymousUser
from django.template.loader import render_to_string
from django.test import RequestFactory

ROOT = Path(__file__).resolve().parents[2]
STATIC = ROOT / "static"
TEMPLATES = sorted((ROOT / "templates").rglob("*.html"))


@pytest.mark.parametrize(
    ("file", "kilobytes"),
    [("css/app.css", 12), ("js/app.js", 5), ("icons.svg", 4), ("vendor/htmx-4.0.1.min.js", 16)],
)
def test_each_file_keeps_to_its_budget(file, kilobytes):
    assert len(gzip.compress((STATIC / file).read_bytes(), 9)) <= kilobytes * 1024


def test_a_page_asks_for_one_style_sheet_and_two_scripts_of_its_own_host():
    request = RequestFactory().get("/")
    request.user = AnonymousUser()
    html = render_to_string("base.html", request=request)
    assert len(re.findall(r'rel="stylesheet"', html)) == 1
    assert len(re.findall(r"<script ", html)) == 2
    addresses = re.findall(r'(?:src|href)="([^"]+)"', html)
    assert addresses
    assert [address for address in addresses if not address.startswith(("/", "#"))] == []


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: str(path.relative_to(ROOT / "templates")))
def test_no_template_needs_inline_code_or_eval(template):
    text = template.read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|hx-on|js:|javascript:", text)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"""hx-trigger="[^"]*\[""", text)


def test_the_style_sheet_asks_for_nothing_else():
    assert "url(" not in (STATIC / "css" / "app.css").read_text()
    assert "@import" not in (STATIC / "css" / "app.css").read_text()


def test_what_the_script_says_comes_from_the_page():
    """No sentence of its own: strings in app.js are selectors, names and formats."""
    code = re.sub(r"//.*", "", (STATIC / "js" / "app.js").read_text())
    strings = re.findall(r'"([^"\n]*)"', code)
    assert [string for string in strings if re.fullmatch(r"[A-Z][a-z]+( [a-z]+)+\.?", string)] == []


def test_vendored_files_are_what_their_list_says():
    rows = re.findall(r"^\| ([\w.-]+) \|.*\| ([0-9a-f]{64}) \|$", (STATIC / "vendor" / "README.md").read_text(), re.M)
    listed = {name: checksum for name, checksum in rows if (STATIC / "vendor" / name).exists()}
    assert set(listed) == {path.name for path in (STATIC / "vendor").glob("*.js")}
    for name, checksum in listed.items():
        assert hashlib.sha256((STATIC / "vendor" / name).read_bytes()).hexdigest() == checksum

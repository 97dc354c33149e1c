"""The signature check: requests that official clients really sent are accepted, and with any part changed refused."""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscenter.openapi.errors import WireError
from opscenter.openapi.signature import CLOCK_TOLERANCE, NONCE_LIFE, Call, Key, Sent, verify
from tests.openapi import signer

KEY_ID, SECRET = "LTAI5tTestKeyForCapture", "TestSecret0123456789abcdefghij"
NOW = datetime(2026, 11, 21, 2, 31, 30, tzinfo=UTC)
KEY = Key(SECRET, True)
SM3 = "sm3" in hashlib.algorithms_available


class Captured:
    """A request of the captures."""

    def __init__(self, record: dict) -> None:
        _, _, query = record["target"].partition("?")
        headers = {name.lower(): value for name, value in record["headers"]}
        self.sent = Sent(record["method"], query, headers, record["body"].encode())
        self.at = datetime.fromtimestamp(record["t"], UTC)
        self.is_acs3 = "authorization" in headers
        self.id = f"{record['stack']}-{record['label']}"
        self.action = re.sub(r"\(.*", "", record["label"])


CAPTURES = [Captured(json.loads(line)) for line in (Path(__file__).parent / "captures.jsonl").read_text().splitlines()]
USABLE = [c for c in CAPTURES if SM3 or "sm3" not in c.id]
every_capture = pytest.mark.parametrize("captured", USABLE, ids=lambda captured: captured.id)


def check(sent: Sent, now: datetime = NOW, key: Key | None = KEY, seen: set | None = None) -> Call:
    seen = set() if seen is None else seen

    def use_nonce(key_id: str, nonce: str, expires_at: datetime) -> bool:
        assert expires_at == now + NONCE_LIFE
        fresh = (key_id, nonce) not in seen
        seen.add((key_id, nonce))
        return fresh

    return verify(sent, now=now, key_of=lambda key_id: key if key_id == KEY_ID else None, use_nonce=use_nonce)


def refusal(sent: Sent, now: datetime = NOW, **how: object) -> str:
    with pytest.raises(WireError) as caught:
        check(sent, now, **how)  # type: ignore[arg-type]
    return caught.value.code


def test_there_are_80_captures() -> None:
    assert len(CAPTURES) == 80


@every_capture
def test_accepted_as_sent(captured: Captured) -> None:
    call = check(captured.sent, captured.at)
    assert (call.action, call.key_id) == (captured.action, KEY_ID)
    body = captured.sent.body
    if captured.sent.headers.get("content-type") == signer.FORM:
        assert dict(parse_qsl(body.decode())).items() <= call.params.items()
    elif body:
        assert json.loads(body).items() <= call.params.items()
    assert (call.security_token == "STS-TOKEN-abc==") is ("-sts" in captured.id)


def changed_headers(captured: Captured) -> Iterator[tuple[str, Sent]]:
    signed = captured.sent.headers["authorization"].partition("SignedHeaders=")[2].partition(",")[0].split(";")
    for name in signed:
        value = captured.sent.headers[name]
        new = (
            value.replace("Z", "").replace(value[17:19], f"{(int(value[17:19]) + 1) % 60:02}") + "Z"
            if name == "x-acs-date"
            else value + "0"
        )
        yield name, replace(captured.sent, headers={**captured.sent.headers, name: new})


def changed_params(captured: Captured) -> Iterator[tuple[str, Sent]]:
    query = parse_qsl(captured.sent.query, keep_blank_values=True)
    for index, (name, value) in enumerate(query):
        others = query[:index] + query[index + 1 :]
        if name not in ("AccessKeyId", "Timestamp", "SignatureMethod", "SignatureVersion"):
            yield f"{name} changed", replace(captured.sent, query=urlencode([*others, (name, value + "x")]))
        if captured.is_acs3 or name in ("EnvType", "RegionId"):
            yield f"{name} removed", replace(captured.sent, query=urlencode(others))
    yield "one more", replace(captured.sent, query=captured.sent.query + "&More=1")


@every_capture
def test_any_change_is_refused(captured: Captured) -> None:
    changes = [("method", replace(captured.sent, method="PUT")), *changed_params(captured)]
    if captured.is_acs3:
        changes += changed_headers(captured)
    if captured.sent.body:
        changes.append(("body", replace(captured.sent, body=captured.sent.body.replace(b"1", b"2") + b"0")))
        if captured.is_acs3 or b"=" in captured.sent.body:
            changes.append(("body removed", replace(captured.sent, body=b"")))
    codes = {what: refusal(sent, captured.at) for what, sent in changes}
    assert codes == dict.fromkeys(codes, "SignatureDoesNotMatch")


@every_capture
def test_under_another_key(captured: Captured) -> None:
    assert refusal(captured.sent, captured.at, key=Key("AnotherSecret", True)) == "SignatureDoesNotMatch"
    assert refusal(captured.sent, captured.at, key=None) == "InvalidAccessKeyId.NotFound"
    assert refusal(captured.sent, captured.at, key=Key(SECRET, False)) == "InvalidAccessKeyId.Inactive"


@every_capture
def test_time(captured: Captured) -> None:
    near = CLOCK_TOLERANCE - timedelta(seconds=2)
    for off in (-near, near):
        check(captured.sent, captured.at + off)
    far = CLOCK_TOLERANCE + timedelta(seconds=2)
    for off in (-far, far):
        assert refusal(captured.sent, captured.at + off) == "InvalidTimeStamp.Expired"


@every_capture
def test_replay(captured: Captured) -> None:
    seen: set = set()
    bad = replace(captured.sent, method="PUT")
    assert refusal(bad, captured.at, seen=seen) == "SignatureDoesNotMatch"
    assert seen == set(), "a refused request burns no nonce"
    check(captured.sent, captured.at, seen=seen)
    assert refusal(captured.sent, captured.at, seen=seen) == "SignatureNonceUsed"


def test_mismatch_says_the_string_with_a_colon() -> None:
    """Legacy Python takes what follows the colon; without one it crashes."""
    sent = signer.v1("A", "2020-05-18", KEY_ID, "wrong", now=NOW, form={"x": "1"})
    with pytest.raises(WireError) as caught:
        check(sent)
    head, _, string = caught.value.message.partition("server string to sign is:")
    assert head == "Specified signature is not matched with our calculation. "
    assert string.startswith("POST&%2F&AccessKeyId%3D")


def acs3(**how: object) -> Sent:
    return signer.acs3("ListTasks", "2024-05-18", KEY_ID, SECRET, now=NOW, **how)  # type: ignore[arg-type]


def v1(**how: object) -> Sent:
    return signer.v1("ListTasks", "2024-05-18", KEY_ID, SECRET, now=NOW, **how)  # type: ignore[arg-type]


def test_unsorted_signed_headers() -> None:
    names = ["z-last", "a-first", "m-middle", "x-acs-zz", "b"]
    for _ in range(20):
        check(acs3(shuffle=True, extra=dict.fromkeys(names, "v"), form={"a": "1"}))


def test_names_of_the_query_escaped_or_not() -> None:
    query = {"Filter[a b]/ü": "x y*~", "Plain": ""}
    assert check(acs3(query=query)).params == query
    assert check(acs3(query=query, escape_names=True)).params == query


def test_empty_values_signed_or_not() -> None:
    assert check(v1(query={"Comment": ""})).params["Comment"] == ""
    call = check(v1(query={"Comment": ""}, drop_empty=True))
    assert "Comment" not in call.params, "what is not signed is not a parameter"


def test_everything_in_the_form() -> None:
    call = check(v1(form={"Ids.1": "7"}, all_in_form=True))
    assert (call.action, call.params["Ids.1"]) == ("ListTasks", "7")


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256"])
def test_v1_algorithms(algorithm: str) -> None:
    assert check(v1(algorithm=algorithm, form={"a": "b"})).scheme == f"V1 HMAC-{algorithm}"


def test_v1_ignores_unsigned_headers() -> None:
    sent = v1()
    forged = {"x-acs-action": "DeleteTask", "x-acs-version": "2020-05-18"}
    call = check(replace(sent, headers={**sent.headers, **forged}))
    assert (call.action, call.version) == ("ListTasks", "2024-05-18")


def test_form_wins_over_query() -> None:
    assert check(acs3(query={"a": "1"}, form={"a": "2"})).params == {"a": "2"}
    assert check(v1(query={"a": "1"}, form={"a": "2"})).params["a"] == "2"


def test_host_as_sent() -> None:
    check(acs3(host="http://127.0.0.1:8080"))


def without(sent: Sent, header: str) -> Sent:
    """The header is sent, but taken from the list of signed ones."""
    authorization = re.sub(rf"(?<=[=;]){header};|;{header}(?=,)", "", sent.headers["authorization"])
    return replace(sent, headers={**sent.headers, "authorization": authorization})


@pytest.mark.parametrize(
    "header",
    [
        "host",
        "content-type",
        "x-acs-action",
        "x-acs-version",
        "x-acs-date",
        "x-acs-signature-nonce",
        "x-acs-content-sha256",
    ],
)
def test_headers_that_must_be_signed(header: str) -> None:
    with pytest.raises(WireError) as caught:
        check(without(acs3(form={"a": "1"}), header))
    assert caught.value.code == "IncompleteSignature"
    assert header in caught.value.message


def test_injected_x_acs_header() -> None:
    sent = acs3()
    assert refusal(replace(sent, headers={**sent.headers, "x-acs-security-token": "t"})) == "IncompleteSignature"


def test_signed_header_that_was_removed() -> None:
    sent = acs3(extra={"accept": "x"})
    headers = {name: value for name, value in sent.headers.items() if name != "accept"}
    assert refusal(replace(sent, headers=headers)) == "IncompleteSignature"


def with_header(name: str, value: str) -> Sent:
    sent = acs3()
    return replace(sent, headers={**sent.headers, name: value})


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (Sent("GET", "", {"host": "h", "x-acs-action": "A"}, b""), "MissingAccessKeyId"),
        (Sent("GET", "", {"authorization": "Bearer abc"}, b""), "MissingAccessKeyId"),
        (Sent("GET", "SignatureType=BEARERTOKEN", {}, b""), "InvalidSecurityToken.Malformed"),
        (Sent("GET", "", {"x-acs-bearer-token": "t"}, b""), "InvalidSecurityToken.Malformed"),
        (Sent("GET", "AccessKeyId=a&Signature=b", {}, b""), "MissingSignatureMethod"),
        (with_header("authorization", "ACS3-HMAC-SHA256 Credential=x"), "IncompleteSignature"),
        (with_header("authorization", "ACS3-RSA Credential=x,SignedHeaders=y,Signature=z"), "InvalidSignatureMethod"),
        (with_header("x-acs-date", "yesterday"), "InvalidTimeStamp.Format"),
        (v1(algorithm="MD5"), "InvalidSignatureMethod"),
        (acs3(nonce="n" * 129), "InvalidSignatureNonce"),
        (v1(nonce="a\x00b"), "InvalidSignatureNonce"),
        (replace(v1(), query=v1().query + "&x=%ff"), "InvalidParameter.Format"),
        (acs3(body=b"{", content_type="application/json"), "InvalidParameter.Format"),
        (acs3(body=b"[" * 100_000, content_type="application/json"), "InvalidParameter.Format"),
        (acs3(body=b"<a/>", content_type="text/xml"), "InvalidParameter.Format"),
        (acs3(body=b"&".join(b"a%d=1" % i for i in range(3000))), "InvalidParameter.Format"),
        (
            replace(v1(), headers={"content-type": "application/json"}, body=b'{"TaskId": 1}'),
            "InvalidParameter.Format",
        ),
    ],
)
def test_malformed(sent: Sent, code: str) -> None:
    assert refusal(sent) == code


@pytest.mark.parametrize("body", [b'"{}"', b"{}", b"null", b"[1]", b" "])
def test_json_that_is_no_object_holds_nothing(body: bytes) -> None:
    assert check(acs3(body=body, content_type="application/json; charset=utf-8")).params == {}


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
names = words.filter(lambda name: name and name != "Signature")
params = st.dictionaries(names, words, max_size=6)
reserved = set(dict(parse_qsl(v1().query, keep_blank_values=True)))


@given(
    query=params,
    form=params,
    shuffle=st.booleans(),
    escape_names=st.booleans(),
    method=st.sampled_from(["GET", "POST"]),
)
def test_any_parameters_survive_acs3(query: dict, form: dict, shuffle: bool, escape_names: bool, method: str) -> None:
    sent = acs3(query=query, form=form, shuffle=shuffle, escape_names=escape_names, method=method)
    assert check(sent).params == query | form


@given(
    query=params,
    form=params,
    drop_empty=st.booleans(),
    all_in_form=st.booleans(),
    method=st.sampled_from(["GET", "POST"]),
)
def test_any_parameters_survive_v1(query: dict, form: dict, drop_empty: bool, all_in_form: bool, method: str) -> None:
    query = {k: v for k, v in query.items() if k not in reserved}
    form = {k: v for k, v in form.items() if k not in reserved}
    call = check(v1(query=query, form=form, drop_empty=drop_empty, all_in_form=all_in_form, method=method))
    sent = query | form
    expected = {k: v for k, v in sent.items() if v} if drop_empty else sent
    assert {k: v for k, v in call.params.items() if k not in reserved} == expected

"""Whom the outbound client refuses: by what a URL says, by what its name stands for, by where it redirects to."""

import json
from typing import Any

import pytest

from opscenter.base.outbound import TargetRefused, Unreachable, check_url
from tests.base.outgoing import LOCAL, Dns, call
from tests.base.servers import Server, endless, says

# -- refused by what is written in the URL

HOSTILE = [
    # addresses as they are
    ("http://127.0.0.1/", "address", "loopback"),
    ("https://127.0.0.1/", "address", "loopback"),
    ("HTTP://127.0.0.1:8000/x?y", "address", "loopback"),
    ("http://127.8.8.8/", "address", "loopback"),
    ("http://0.0.0.0/", "address", "unspecified"),
    ("http://10.0.0.1/", "address", "private"),
    ("http://172.16.0.1/", "address", "private"),
    ("http://192.168.0.1/", "address", "private"),
    ("http://100.64.0.1/", "address", "shared"),
    ("http://169.254.1.1/", "address", "link-local"),
    ("http://224.0.0.1/", "address", "multicast"),
    ("http://240.0.0.1/", "address", "reserved"),
    ("http://255.255.255.255/", "address", "broadcast"),
    ("http://198.18.0.1/", "address", "benchmarking"),
    # where clouds keep a machine's credentials
    ("http://169.254.169.254/latest/meta-data/", "address", "metadata"),
    ("http://169.254.170.2/v2/credentials", "address", "metadata"),
    ("http://100.100.100.200/latest/meta-data/", "address", "metadata"),
    ("http://168.63.129.16/metadata/instance", "address", "metadata"),
    ("http://192.0.0.192/opc/v1/instance/", "address", "metadata"),
    ("http://[fd00:ec2::254]/latest/", "address", "metadata"),
    ("http://[fd20:ce::254]/computeMetadata/", "address", "metadata"),
    ("http://2852039166/", "address", "metadata"),
    ("http://0xa9fea9fe/", "address", "metadata"),
    ("http://0251.0376.0251.0376/", "address", "metadata"),
    ("http://[::ffff:a9fe:a9fe]/", "address", "metadata"),
    # numbers
    ("http://2130706433/", "address", "loopback"),
    ("http://0x7f000001/", "address", "loopback"),
    ("http://0x7f.0x0.0x0.0x1/", "address", "loopback"),
    ("http://0177.0.0.1/", "address", "loopback"),
    ("http://017700000001/", "address", "loopback"),
    ("http://127.1/", "address", "loopback"),
    ("http://127.0.1:80/", "address", "loopback"),
    ("http://0x7f.1/", "address", "loopback"),
    ("http://0/", "address", "unspecified"),
    ("http://127.0.0.1./", "address", "loopback"),
    ("http://2130706433./", "address", "loopback"),
    ("http://127.0.0.1../", "host", ""),
    ("http://127.0.0.256/", "host", ""),
    ("http://1.127.0.0.1/", "host", ""),
    ("http://4294967296/", "host", ""),
    # IPv6
    ("http://[::1]/", "address", "loopback"),
    ("http://[0:0:0:0:0:0:0:1]:80/", "address", "loopback"),
    ("http://[::]/", "address", "unspecified"),
    ("http://[fd00::1]/", "address", "private"),
    ("http://[fe80::1]/", "address", "link-local"),
    ("http://[ff02::1]/", "address", "multicast"),
    ("http://[2001:db8::1]/", "address", "documentation"),
    ("http://[::127.0.0.1]/", "address", "loopback"),
    ("http://[::ffff:127.0.0.1]/", "address", "loopback"),
    ("http://[::ffff:7f00:1]/", "address", "loopback"),
    ("http://[2002:7f00:1::]/", "address", "loopback"),
    ("http://[2001:0:808:808:0:0:80ff:fffe]/", "address", "loopback"),
    ("http://[64:ff9b::7f00:1]/", "address", "loopback"),
    ("http://[64:ff9b::a9fe:a9fe]/", "address", "metadata"),
    ("http://[64:ff9b:1::a00:1]/", "address", "private"),
    ("http://[fe80::1%25eth0]/", "host", ""),
    ("http://[::1%25lo]/", "host", ""),
    # brackets where they do not belong
    ("http://[127.0.0.1]/", None, ""),
    ("http://[localhost]/", None, ""),
    ("http://[::1/", "url", ""),
    ("http://::1/", None, ""),
    ("http://[::1]x/", None, ""),
    ("http://x[::1]/", None, ""),
    ("http://[::1]@good.example/", "userinfo", ""),
    # the host is what a reader takes for the user, or the other way round
    ("http://good.example@127.0.0.1/", "userinfo", ""),
    ("http://user:pass@good.example/", "userinfo", ""),
    ("http://@good.example/", "userinfo", ""),
    ("http://good.example:80@127.0.0.1:80/", "userinfo", ""),
    ("http://good.example&@127.0.0.1/", "userinfo", ""),
    ("http://127.0.0.1\\@good.example/", "url", ""),
    ("http://good.example\\.127.0.0.1/", "url", ""),
    ("http://good.example#@127.0.0.1/", "fragment", ""),
    ("http://good.example/#", "fragment", ""),
    # other schemes, and none
    ("file:///etc/passwd", "scheme", ""),
    ("file://127.0.0.1/etc/passwd", "scheme", ""),
    ("gopher://127.0.0.1:6379/_INFO", "scheme", ""),
    ("ftp://good.example/", "scheme", ""),
    ("dict://127.0.0.1:11211/stats", "scheme", ""),
    ("ldap://good.example/", "scheme", ""),
    ("javascript:alert(1)", "scheme", ""),
    ("data:text/plain,hello", "scheme", ""),
    ("unix:/var/run/docker.sock", "scheme", ""),
    ("http+unix://%2Fvar%2Frun%2Fdocker.sock/", "scheme", ""),
    ("httpx://good.example/", "scheme", ""),
    ("//good.example/", "scheme", ""),
    ("good.example", "scheme", ""),
    ("", "scheme", ""),
    ("http:good.example", "host", ""),
    ("http:///good.example", "host", ""),
    ("http://", "host", ""),
    ("http://:80/", "host", ""),
    ("http://?good.example", "host", ""),
    # control characters, white space, other scripts, escapes
    ("http://good.example\r\nX-Injected: 1/", "url", ""),
    ("http://good.example/\r\nX-Injected: 1", "url", ""),
    ("http://good.example/ HTTP/1.1", "url", ""),
    ("http://good.example/\x00", "url", ""),
    ("http://good.example\t/", "url", ""),
    (" http://good.example/", "url", ""),
    ("http://good.example/\u2028", "url", ""),
    ("http://good.example/\ud800", "url", ""),
    ("http://１２７.0.0.1/", None, ""),
    ("http://①②⑦.0.0.1/", None, ""),
    ("http://127。0。0。1/", None, ""),
    ("http://127.0.0.\u00ad1/", None, ""),
    ("http://127.0.0\u200b.1/", None, ""),
    ("http://good.example／@127.0.0.1/", None, ""),
    ("http://%31%32%37.0.0.1/", "host", ""),
    ("http://127%2e0.0.1/", "host", ""),
    ("http://good.example%00.127.0.0.1/", "host", ""),
    ("http://*.good.example/", None, ""),
    ("http://good..example/", "host", ""),
    ("http://.good.example/", None, ""),
    ("http://-good.example/", "host", ""),
    (f"http://{'a' * 64}.example/", "host", ""),
    # ports, length
    ("http://good.example:0/", "port", ""),
    ("http://good.example:65536/", "port", ""),
    ("http://good.example:http/", "port", ""),
    ("http://good.example:-80/", "port", ""),
    ("http://good.example:８０/", None, ""),
    ("http://good.example:80:80/", "port", ""),
    (f"http://good.example/{'a' * 2048}", "url", ""),
]


@pytest.mark.parametrize(("url", "code", "kind"), HOSTILE)
def test_hostile_targets_are_refused_before_anything_is_asked(
    url: str, code: str | None, kind: str, dns: Dns, connects: list[Any]
) -> None:
    asked = dns("good.example", ["93.184.215.14"])
    for refuse in (check_url, lambda url: call(url, allow=[])):
        with pytest.raises(TargetRefused) as refused:
            refuse(url)
        assert code is None or refused.value.reason.code == f"outbound.{code}"
        assert refused.value.reason.params.get("kind", "") == kind
        assert str(refused.value).endswith(".")  # a sentence, with all of its parameters
        json.dumps(refused.value.reason.as_json())
    assert (asked, connects) == ([], [])


def test_the_table_is_long_enough() -> None:
    assert len({url for url, _code, _kind in HOSTILE}) == len(HOSTILE) >= 45


@pytest.mark.parametrize(
    "url",
    [
        "http://good.example",
        "https://good.example./a/b;c?d=e&f=%00%0d%0a",
        "http://GOOD.example:65535/",
        "https://例子.example/路径?查询",
        "http://xn--fsqu00a.example/",
        "http://my_hook.example/",
        "http://localhost/",  # a name: what it stands for is known when it is asked for
        "http://8.8.8.8/",
        "http://134744072/",
        "https://[2606:4700:4700::1111]:8443/",
        "http://[::ffff:8.8.8.8]/",
        "http://[64:ff9b::808:808]/",
        f"http://good.example/{'a' * 2028}",
    ],
)
def test_other_targets_pass_the_form(url: str, dns: Dns) -> None:
    check_url(url)
    assert dns("any") == []


def test_the_form_knows_the_allow_list(settings: Any) -> None:
    settings.OUTBOUND_ALLOW = ["127.0.0.1:8001"]
    check_url("http://127.0.0.1:8001/")
    check_url("http://2130706433:8001/")
    for url in ("http://127.0.0.1/", "http://127.0.0.1:8002/", "http://127.0.0.2:8001/"):
        with pytest.raises(TargetRefused):
            check_url(url)


# -- refused by what a name stands for


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (["127.0.0.1"], "loopback"),
        (["::1"], "loopback"),
        (["10.1.2.3"], "private"),
        (["169.254.169.254"], "metadata"),
        (["fe80::1%lo"], "link-local"),
        (["64:ff9b::10.0.0.1"], "private"),
        (["93.184.215.14", "10.1.2.3"], "private"),
        (["10.1.2.3", "93.184.215.14"], "private"),
        (["2606:4700::1111", "93.184.215.14", "::ffff:127.0.0.1"], "loopback"),
    ],
)
def test_one_private_address_of_a_name_refuses_it(answer: list[str], kind: str, dns: Dns, connects: list[Any]) -> None:
    asked = dns("good.example", answer)
    with pytest.raises(TargetRefused) as refused:
        call("http://good.example/", allow=[])
    assert refused.value.reason.code == "outbound.address"
    assert refused.value.reason.params["host"] == "good.example"
    assert refused.value.reason.params["kind"] == kind
    assert (asked, connects) == (["good.example"], [])


def test_localhost_is_what_the_resolver_says() -> None:
    with pytest.raises(TargetRefused) as refused:
        call("http://localhost:1/", allow=[])
    assert refused.value.reason.params["kind"] == "loopback"


def test_the_judged_address_is_the_connected_one(dns: Dns, connects: list[Any]) -> None:
    asked = dns("good.example", ["93.184.215.14"], ["127.0.0.1"])
    with pytest.raises(Unreachable):
        call("http://good.example/", allow=[])
    assert connects == [("93.184.215.14", 80)]
    assert asked == ["good.example"]  # once
    with pytest.raises(TargetRefused):
        call("http://good.example/", allow=[])
    assert len(connects) == 1


def test_a_changed_answer_never_gets_a_byte(dns: Dns) -> None:
    with Server() as judged, Server(address="127.0.0.2", port=judged.port) as trap:
        dns("good.example", ["127.0.0.1"], ["127.0.0.2"])
        assert call(f"http://good.example:{judged.port}/", allow=["127.0.0.1"]).status == 200
        with pytest.raises(TargetRefused):
            call(f"http://good.example:{judged.port}/", allow=["127.0.0.1"])
    assert (judged.accepted, trap.accepted) == (1, 0)


def test_a_name_that_is_allowed_may_stand_for_anything(dns: Dns) -> None:
    with Server() as server:
        dns("hooks.internal", ["127.0.0.1"], ["127.0.0.1"])
        url = f"http://hooks.internal:{server.port}/"
        assert call(url, allow=[f"*.internal:{server.port}"]).status == 200
        with pytest.raises(TargetRefused):
            call(url, allow=["*.internal:1"])


def test_the_settings_allow_unless_the_call_says_otherwise(settings: Any) -> None:
    with Server() as server:
        settings.OUTBOUND_ALLOW = LOCAL
        assert call(server.url).status == 200
        with pytest.raises(TargetRefused):
            call(server.url, allow=[])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_answers(status: int) -> None:
    with Server() as private:
        head = f"HTTP/1.1 {status} Go\r\nLocation: {private.url}\r\nContent-Length: 0\r\n\r\n".encode()
        with Server(says(head)) as server:
            answer = call(server.url, allow=[f"127.0.0.1:{server.port}"])
        assert (answer.status, answer.headers["location"]) == (status, private.url)
        assert (private.accepted, server.accepted) == (0, 1)


def test_a_redirect_with_an_endless_body_is_capped() -> None:
    with Server(endless) as server:
        answer = call(server.url, allow=LOCAL, most=10)
    assert (answer.status, answer.body, answer.truncated) == (302, b"x" * 10, True)

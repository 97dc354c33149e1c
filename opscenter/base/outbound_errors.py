"""Why an outbound call was not made, or came to nothing, and the words for it."""

from collections.abc import Mapping
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from opscenter.base.reasons import Refused, sentence

Params = Mapping[str, Any]


class OutboundError(Refused):
    """An outbound call without an answer."""


class TargetRefused(OutboundError):
    """The target may not be reached, or not in this way; nothing was sent, and nothing changes until someone changes it."""

    status = 400


class Unreachable(OutboundError):
    """The target gave no answer, or no whole one; a later call may get one."""


def _plain(code: str, text: Promise) -> None:
    """A code whose sentence has no more than its parameters in it."""
    sentence(code)(lambda params: str(text) % params)


for _code, _text in {
    "outbound.url": _("This is not a URL that Opscenter can call. It is at most 2048 characters, without spaces."),
    "outbound.scheme": _("The URL must start with http:// or https://."),
    "outbound.userinfo": _("The URL must not contain a user name or a password."),
    "outbound.fragment": _("The URL must not contain a fragment (#)."),
    "outbound.port": _("The URL's port must be a number from 1 to 65535."),
    "outbound.header": _("The request header “%(name)s” is malformed, or one that Opscenter sets itself."),
    "outbound.dns": _("The host name “%(host)s” could not be resolved: %(why)s."),
    "outbound.connect": _("No connection to %(host)s at port %(port)s: %(why)s."),
    "outbound.tls": _("No secure connection to %(host)s: %(why)s."),
    "outbound.timeout": _("%(host)s gave no whole answer within %(seconds)g seconds."),
    "outbound.protocol": _("%(host)s broke off, or its answer is not HTTP (%(why)s)."),
}.items():
    _plain(_code, _text)


KIND_WORDS: Mapping[str, Promise] = {
    "metadata": _("a cloud's metadata service"),
    "unspecified": _("an unspecified address"),
    "loopback": _("a loopback address"),
    "private": _("a private address"),
    "shared": _("a provider's shared address"),
    "link-local": _("a link-local address"),
    "site-local": _("a site-local address"),
    "multicast": _("a multicast address"),
    "broadcast": _("a broadcast address"),
    "documentation": _("an address for documentation only"),
    "benchmarking": _("an address for benchmarks only"),
    "tunnel": _("the address of a tunnel"),
    "reserved": _("a reserved address"),
    "scoped": _("an address of one link only"),
}
"""What ``addresses.kind_of`` found, in words."""


@sentence("outbound.host")
def _host(params: Params) -> str:
    if not params["host"]:
        return str(_("The URL names no host."))
    return str(_("“%(host)s” is not a host name or an address.")) % params


@sentence("outbound.address")
def _address(params: Params) -> str:
    values = {**params, "kind": KIND_WORDS.get(params["kind"], params["kind"])}
    if params["host"].strip("[]") == params["address"]:
        text = _(
            "%(address)s is %(kind)s. "
            "Opscenter calls public addresses, and others only if OPSCENTER_OUTBOUND_ALLOW names them."
        )
    else:
        text = _(
            "%(host)s is %(address)s, %(kind)s. "
            "Opscenter calls public addresses, and others only if OPSCENTER_OUTBOUND_ALLOW names them."
        )
    return str(text) % values

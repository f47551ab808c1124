"""Headers by what they name, in lower case. None of them reaches a provider from a client: with the
channel's key it would step around the rule, the address or the account that the operator chose.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

Names = Literal["key", "method", "host", "path", "account", "caller", "hop", "message"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NAMED: Final[Mapping[Names, frozenset[str]]] = MappingProxyType(
    {
        # The hub's own keys, those of providers, of proxies, and of pages.
        "key": _words(
            """
            authorization proxy-authorization x-api-key api-key x-goog-api-key mj-api-secret
            x-amz-security-token cf-aig-authorization x-auth-token cookie cookie2 set-cookie
            """
        ),
        "method": _words("x-http-method-override x-http-method x-method-override"),
        "host": _words("host x-host x-forwarded-host x-forwarded-server x-original-host forwarded"),
        "path": _words(
            """
            x-original-url x-original-uri x-rewrite-url x-forwarded-uri x-forwarded-path
            x-forwarded-prefix x-script-name
            """
        ),
        "account": _words(
            """
            openai-organization openai-project x-goog-user-project x-dashscope-workspace
            anthropic-organization-id
            """
        ),
        "caller": _words(
            """
            x-forwarded-for x-forwarded forwarded-for x-real-ip client-ip x-client-ip
            x-cluster-client-ip true-client-ip fastly-client-ip fly-client-ip x-azure-clientip
            x-azure-socketip x-appengine-user-ip x-appengine-remote-addr cf-connecting-ip
            cf-connecting-ipv6 cf-pseudo-ipv4 do-connecting-ip x-envoy-external-address
            cloudfront-viewer-address x-remote-ip x-remote-addr remote-addr wl-proxy-client-ip
            """
        ),
        "hop": _words(
            """
            connection keep-alive proxy-connection te trailer transfer-encoding upgrade
            http2-settings via x-forwarded-proto x-forwarded-port
            """
        ),
        "message": _words("content-length expect accept-encoding x-client-request-id"),
    }
)
"""By what they name: a key or session, the method, host, path or account of a request, the caller's
network address, a hop on its way, or the framing of its message."""
GUARDED_NAMES: Final = frozenset[str]().union(*NAMED.values())
_GUARDED_PREFIXES: Final = (
    "x-weir-",
    "x-forwarded-",
    "x-original-",
    "x-rewrite-",
    "proxy-",
    "sec-",
)
# How proxies and content delivery networks name the header with the caller's network address.
_ADDRESS_ENDINGS: Final = (
    "client-ip",
    "clientip",
    "connecting-ip",
    "connection-ip",
    "real-ip",
    "remote-ip",
    "remote-addr",
    "source-ip",
    "user-ip",
    "forwarded-for",
    "viewer-address",
)


def is_guarded(name: str) -> bool:
    """Return whether a header, by its name in lower case, may never be passed on from a client.
    Servers that read headers as variables cannot tell an underscore from a hyphen."""
    hyphened = name.replace("_", "-")
    return (
        hyphened in GUARDED_NAMES
        or hyphened.startswith(_GUARDED_PREFIXES)
        or names_caller(hyphened)
    )


def names_caller(name: str) -> bool:
    """Return whether a header, by its name in lower case, can contain the caller's network
    address."""
    hyphened = name.replace("_", "-")
    return (
        hyphened in NAMED["caller"]
        or hyphened == "forwarded"
        or hyphened.endswith(_ADDRESS_ENDINGS)
    )

"""The network route to a channel: its proxy, certificate authorities and client certificate. The
proxy's login and the certificate's key are sealed for the channel's row, and removed when its
address changes."""

import hashlib
from typing import Literal

from django.utils.translation import gettext

from accounts.secrets.sealing import open_sealed, seal
from gateway.channels import bounds as bounds
from gateway.channels.fields import EGRESS_SECRETS, ChannelFields
from gateway.channels.refusals import ChannelRefused
from gateway.models import Channel
from lib.network.egress import EgressDenied, check_host
from lib.network.outbound import (
    DIRECT,
    BadPem,
    BadProxy,
    Outbound,
    check_login,
    read_authorities,
    read_identity,
    read_proxy,
)
from lib.vault import HEAD_BYTES_MAX, VaultError

SecretName = Literal["proxy_login", "client_key"]


def address_of(channel: Channel) -> tuple[str, ...]:
    """Return what a channel's secrets were entered for: the provider and address to which they are
    sent, and the authorities that may authenticate it."""
    return channel.provider, channel.base_url, channel.proxy_url, channel.ca_bundle


def check_route(channel: Channel) -> None:
    """Validate and normalise the proxy and authorities. Raises ChannelRefused if nothing could be
    reached with them."""
    channel.proxy_url = channel.proxy_url.strip().rstrip("/")
    if len(channel.proxy_url) > bounds.URL_MAX:
        text = gettext("The URL is too long. Use at most 500 characters.")
        raise ChannelRefused("proxy_url", text)
    if channel.proxy_url:
        try:
            check_host(read_proxy(channel.proxy_url).host)
        except BadProxy as error:
            text = gettext("Enter http://host:port or socks5://host:port, without a login.")
            raise ChannelRefused("proxy_url", text) from error
        except EgressDenied as error:
            raise ChannelRefused("proxy_url", str(error)) from error
    if channel.ca_bundle:
        _check_size("ca_bundle", channel.ca_bundle)
        try:
            channel.ca_bundle = read_authorities(channel.ca_bundle)
        except BadPem as error:
            text = gettext("Enter certificates in PEM.")
            raise ChannelRefused("ca_bundle", text) from error


def set_secrets(channel: Channel, fields: ChannelFields, *, moved: bool) -> None:
    """Seal the given secrets. Others stay, unless the address `moved`. Raises ChannelRefused."""
    if "proxy_login" in fields:
        _set_login(channel, fields["proxy_login"])
    elif moved or not channel.proxy_url:
        channel.proxy_login = None
    if moved and not fields.get("client_key") and "client_cert" not in fields:
        channel.client_cert = ""
    if not channel.client_cert:
        if fields.get("client_key"):
            raise ChannelRefused("client_cert", gettext("Enter the certificate of this key."))
        channel.client_key = None
    elif "client_cert" in fields or "client_key" in fields:
        _set_identity(channel, fields.get("client_key"), moved=moved)


def copy_secrets(source: Channel, copy: Channel) -> None:
    """Seal the secrets of a channel for another row as well. Raises ChannelRefused."""
    for name in EGRESS_SECRETS:
        secret = _decrypt_secret(source, name)
        setattr(copy, name, seal(secret, _seal_context(copy, name)) if secret else None)


def open_egress(channel: Channel, name: SecretName) -> str:
    """Return a decrypted secret, "" without one. Raises VaultError."""
    sealed = getattr(channel, name)
    return "" if sealed is None else open_sealed(sealed, _seal_context(channel, name))


def outbound_of(channel: Channel) -> Outbound:
    """Return the network route to a channel. Raises VaultError."""
    if not channel.proxy_url and not channel.ca_bundle and not channel.client_cert:
        return DIRECT
    login, key = open_egress(channel, "proxy_login"), open_egress(channel, "client_key")
    proxy = read_proxy(channel.proxy_url, login) if channel.proxy_url else None
    return Outbound(proxy, channel.ca_bundle, channel.client_cert, key)


def facts_of(channel: Channel) -> dict[str, str]:
    """Return the facts for the audit trail; for certificates and secrets only digests that tell
    them apart."""
    return {
        "proxy_url": channel.proxy_url,
        "ca_bundle": _digest(channel.ca_bundle.encode()),
        "client_cert": _digest(channel.client_cert.encode()),
        **{name: _digest(_content(getattr(channel, name))) for name in EGRESS_SECRETS},
    }


def _set_login(channel: Channel, login: str) -> None:
    if login and not channel.proxy_url:
        raise ChannelRefused("proxy_login", gettext("Enter the proxy of this login."))
    try:
        if login:
            check_login(login)
    except BadProxy as error:
        text = gettext("Enter user:password in visible ASCII characters, each of at most 255.")
        raise ChannelRefused("proxy_login", text) from error
    channel.proxy_login = seal(login, _seal_context(channel, "proxy_login")) if login else None


def _set_identity(channel: Channel, key: str | None, *, moved: bool) -> None:
    _check_size("client_cert", channel.client_cert)
    key = ("" if moved else _decrypt_secret(channel, "client_key")) if key is None else key
    if not key:
        raise ChannelRefused("client_key", gettext("Enter the key of the client certificate."))
    _check_size("client_key", key)
    try:
        channel.client_cert, key = read_identity(channel.client_cert, key)
    except BadPem as error:
        text = gettext("Enter a certificate in PEM, and its key in PEM without a passphrase.")
        raise ChannelRefused("client_cert", text) from error
    channel.client_key = seal(key, _seal_context(channel, "client_key"))


def _decrypt_secret(channel: Channel, name: SecretName) -> str:
    try:
        return open_egress(channel, name)
    except VaultError as error:
        text = gettext("A stored secret cannot be decrypted. Enter it again.")
        raise ChannelRefused(name, text) from error


def _check_size(field: str, pem: str) -> None:
    if len(pem) > bounds.PEM_MAX:
        text = gettext("The text is too long. Use at most %(n)s characters.")
        raise ChannelRefused(field, text % {"n": bounds.PEM_MAX})


def _seal_context(channel: Channel, name: SecretName) -> str:
    return f"gateway_channel|{channel.id}|{name}"


def _content(sealed: bytes | memoryview | None) -> bytes:
    """Return the encrypted content, which differs after every write and stays when the vault's key
    changes."""
    return b"" if sealed is None else bytes(sealed)[HEAD_BYTES_MAX:]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:8] if content else ""

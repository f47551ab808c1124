"""Overrides, proxies and certificates of channels by a file: what comes out goes in again, and no
secret follows to another address."""

import re
from pathlib import Path

import pytest
from django.core.management import CommandError

from gateway.channels.egress import SecretName, open_egress
from gateway.channels.fields import EGRESS_SECRETS
from gateway.models import Channel
from tests.config.applying import Installation, installation
from tests.fakes.listeners import Authority

__all__ = ["installation"]

pytestmark = pytest.mark.django_db

LOGIN = "weir:a-login-of-a-file"
FILE = """\
version: 1
channels:
  - name: first
    provider: openai
    keys: ["env:FIRST_PROVIDER_KEY"]
    models:
      gpt-4o-mini: {timeouts: {first_content: 120, total: 3600}}
      team-default: {upstream: gpt-4o-mini}
    overrides:
      parameters:
        openai: {set: {temperature: 0.2}, default: {top_p: 0.9}, remove: [user]}
      system_prompt: {text: "Be kind: 😀", mode: append}
      headers: {X-Tenant: "{organisation}"}
      client_headers: [X-Session]
      fields: {store: refuse, user: pass}
      when:
        - models: ["gpt-4o*"]
          endpoints: [responses]
          parameters: {openai: {set: {seed: 7}}}
          headers: {X-Tier: gold}
    proxy_url: http://proxy.example:8080/
    proxy_login: "env:PROXY_LOGIN"
    client_cert: "file:cert.pem"
    client_key: "file:key.pem"
"""


@pytest.fixture
def filled(
    installation: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Installation:
    monkeypatch.setenv("PROXY_LOGIN", LOGIN)
    both = Authority(tmp_path).certificate(tmp_path, "weir", expired=False, trusted=True)
    key, mark, rest = both.read_text().partition("-----BEGIN CERTIFICATE-----")
    (tmp_path / "key.pem").write_text(key)
    both.write_text(f"a note\n{mark}{rest}")
    message = installation.apply(FILE)
    assert "proxy_login: set" in message
    assert LOGIN not in message
    return installation


def test_export_can_be_applied_again(filled: Installation) -> None:
    channel = Channel.objects.get(name="first")
    assert open_egress(channel, "proxy_login") == LOGIN
    assert channel.overrides["headers"] == {"x-tenant": "{organisation}"}
    assert channel.overrides["fields"] == {"store": "refuse"}
    assert channel.overrides["when"] == [
        {"models": ["gpt-4o*"], "endpoints": ["responses"], "headers": {"x-tier": "gold"},
         "parameters": {"openai": {"set": {"seed": 7}}}}
    ]  # fmt: skip
    assert channel.routes.get(model="gpt-4o-mini").timeouts == {"first_content": 120, "total": 3600}
    assert filled.apply(FILE) == "nothing to change\n"
    exported = filled.export()
    assert LOGIN not in exported
    assert "PRIVATE KEY" not in exported
    assert "proxy_login: keep" in exported
    for options in ((), ("--prune",)):
        assert filled.apply(exported, *options) == "nothing to change\n"


def test_changed_login_is_reported_without_it(filled: Installation) -> None:
    message = filled.apply(FILE.replace("env:PROXY_LOGIN", "weir:another-login"))
    assert "proxy_login: replaced" in message
    assert "another-login" not in message
    assert open_egress(Channel.objects.get(name="first"), "proxy_login") == "weir:another-login"


def test_a_moved_proxy_needs_its_secrets_again(filled: Installation) -> None:
    moved = filled.export().replace("proxy.example", "other.example")
    with pytest.raises(CommandError) as refused:
        filled.apply(moved)
    assert "proxy_login: the channel's address changes" in str(refused.value)
    assert "client_key: the channel's address changes" in str(refused.value)
    bare = FILE[: FILE.index("    proxy_url:")] + "    proxy_url: http://bare.example:1\n"
    assert "proxy_login: removed" in filled.apply(bare)
    assert Channel.objects.get(name="first").client_key is None
    filled.apply(FILE.replace("proxy.example", "other.example"))
    assert open_egress(Channel.objects.get(name="first"), "proxy_login") == LOGIN


# The file without one of the secrets, and without what cannot be without it.
WITHOUT: dict[SecretName, str] = {
    "proxy_login": re.sub("    proxy_login: .*\n", "", FILE),
    "client_key": re.sub("    client_(cert|key): .*\n", "", FILE),
}


@pytest.fixture(params=EGRESS_SECRETS)
def unreadable(request: pytest.FixtureRequest, filled: Installation) -> SecretName:
    """The secret of the channel that cannot be decrypted, because its bytes are damaged."""
    name: SecretName = request.param
    Channel.objects.update(**{name: b"damaged"})
    return name


def test_unreadable_secret_can_be_kept(filled: Installation, unreadable: SecretName) -> None:
    exported = filled.export()
    assert all(f"{name}: keep" in exported for name in EGRESS_SECRETS)
    assert filled.apply(exported, "--prune") == "nothing to change\n"


def test_unreadable_secret_is_replaced_by_the_one_in_the_file(
    filled: Installation, unreadable: SecretName
) -> None:
    assert filled.apply(FILE).splitlines() == ["~ channel first", f"    {unreadable}: replaced"]
    assert filled.apply(FILE) == "nothing to change\n"
    channel = Channel.objects.get(name="first")
    assert open_egress(channel, "proxy_login") == LOGIN
    assert open_egress(channel, "client_key").startswith("-----BEGIN PRIVATE KEY")


def test_unreadable_secret_is_removed_if_the_file_has_none(
    filled: Installation, unreadable: SecretName
) -> None:
    message = filled.apply(WITHOUT[unreadable], "--prune")
    (other,) = {*EGRESS_SECRETS} - {unreadable}
    assert f"    {unreadable}: removed" in message
    assert other not in message
    channel = Channel.objects.get(name="first")
    assert getattr(channel, unreadable) is None
    assert getattr(channel, other) is not None


@pytest.mark.parametrize("name", EGRESS_SECRETS)
def test_absent_secret_cannot_be_kept(filled: Installation, name: SecretName) -> None:
    filled.apply(WITHOUT[name], "--prune")
    kept = re.sub(f"    {name}: .*", f"    {name}: keep", FILE)
    (line,) = filled.refusal(kept).splitlines()
    assert f"{name}: there is no stored secret to keep here: give one" in line


@pytest.mark.parametrize(
    ("right", "wrong", "text"),
    [
        ("{temperature: 0.2}", "{max_tokens: 9}", "cannot be changed"),
        ("X-Tenant", "Authorization", "cannot be set"),
        ("{organisation}", "{nothing}", "no variable"),
        ("http://proxy.example:8080/", "ftp://proxy.example", "proxy"),
        ("file:cert.pem", "no certificate", "PEM"),
        ("store: refuse", "store: maybe", "refuse"),
        ("endpoints: [responses]", "endpoints: [/v1/responses]", "no endpoint named"),
        ("endpoints: [responses]", "teams: [nobody]", "no team nobody"),
        ("endpoints: [responses]", "paths: [responses]", "paths"),
    ],
)
def test_invalid_egress_is_rejected(
    filled: Installation, right: str, wrong: str, text: str
) -> None:
    with pytest.raises(CommandError, match=text):
        filled.apply(FILE.replace(right, wrong))

"""A whole installation as a file, and the commands that apply and export it."""

from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

SECRETS = {
    "FIRST_PROVIDER_KEY": "sk-provider-one-0123456789",
    "SECOND_PROVIDER_KEY": "sk-provider-two-0123456789",
    "CI_KEY": "a-brought-key-of-forty-characters-000001",
}

WHOLE = """\
version: 1
settings:
  egress_allow: ["127.0.0.1/32"]
  unpriced_models: alert
channels:
  - name: first
    provider: openai
    keys: ["env:FIRST_PROVIDER_KEY"]
    models: {gpt-4o-mini: {}, team-default: {upstream: gpt-4o-mini}, "gpt-5*": {}}
    timeouts: {connect: 1, idle: 2.5}
    breaker: {failures: 3, open_for: 2.5}
  - name: second
    provider: openai_compatible
    base_url: http://127.0.0.1:9/v1
    keys: ["env:SECOND_PROVIDER_KEY"]
    models: {gpt-4o-mini: {}}
    priority: 1
    weight: 3
    retries: 0
    on_leave: drain
    enabled: false
prices:
  - model: gpt-4o-mini
    valid_from: 2026-01-01T00:00:00Z
    meters: {in_text: "0.15", out_text: "0.60"}
  - model: gpt-4o-mini
    valid_from: 2026-03-01T00:00:00Z
    meters: {in_text: "0.20", out_text: "0.60"}
    tiers: [{input_over: 200000, meters: {in_text: "0.40"}}]
organisations:
  - name: Acme Works
    currency: USD
    credit: "100.00"
    members:
      - {email: owner@example.org, role: owner, operator: true}
      - {email: dev@example.org, role: developer}
    teams:
      - name: core
        keys:
          - {name: ci, secret: "env:CI_KEY", models: ["gpt-*"]}
          - {name: old, secret: "an-expired-key-of-twenty", expires_at: 2020-01-01T00:00:00Z}
      - name: Lab
        keys:
          - {name: lab, secret: "file:lab.key", disabled: true}
"""


class Installation:
    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def apply(self, text: str, *options: str) -> str:
        (self.directory / "weir.yaml").write_text(text)
        out = StringIO()
        call_command("apply", str(self.directory / "weir.yaml"), *options, stdout=out)
        return out.getvalue()

    def export(self) -> str:
        out = StringIO()
        call_command("export", stdout=out)
        return out.getvalue()

    def refusal(self, text: str, *options: str) -> str:
        with pytest.raises(CommandError) as caught:
            self.apply(text, *options)
        return str(caught.value)


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Installation:
    for name, text in SECRETS.items():
        monkeypatch.setenv(name, text)
    (tmp_path / "lab.key").write_text("the-key-of-the-lab-in-a-file\n")
    return Installation(tmp_path)

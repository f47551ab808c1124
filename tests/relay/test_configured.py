"""What the control plane writes is what the data plane reads: one file applied, one request."""

import os
from contextlib import closing
from pathlib import Path

from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.asking import ask, text_of
from tests.support.beside import Beside, manage
from tests.support.hub import Hub, Tenant

FILE = """
version: 1
settings:
  egress_allow: ["127.0.0.1/32"]
channels:
  - name: applied
    provider: openai_compatible
    base_url: {url}
    keys: ["env:UPSTREAM_KEY"]
    models:
      applied-model: {{upstream: fake}}
      "applied-*": {{}}
prices:
  - model: applied-model
    valid_from: 2026-01-01T00:00:00Z
    meters: {{in_text: "2.00", out_text: "8.00"}}
organisations:
  - name: applied
    currency: USD
    credit: "1.00"
    members: [{{email: owner@example.org, role: owner}}]
    teams:
      - name: core
        keys:
          - {{name: ci, secret: "env:CI_KEY", models: ["applied-*"]}}
"""


def apply(hub: Hub, file: Path) -> None:
    environment = {**os.environ, "DATABASE_URL": hub.dsn, "UPSTREAM_KEY": "sk-fake",
                   "CI_KEY": "sk-brought-from-elsewhere-1234"}  # fmt: skip
    with closing(Beside(environment)) as beside:
        beside.call(manage, "apply", str(file))


def test_applied_file_serves_immediately(own_hub: Hub, fake: FakeUpstream, tmp_path: Path) -> None:
    file = tmp_path / "hub.yaml"
    file.write_text(FILE.format(url=fake.url))
    own_hub.start()
    apply(own_hub, file)
    (key,) = own_hub.rows("SELECT * FROM accounts_key WHERE name = 'ci'")
    tenant = Tenant(
        key["organisation_id"], key["team_id"], key["id"], "sk-brought-from-elsewhere-1234"
    )
    body = ask("applied-model", "#tokens=7")
    own_hub.wait(lambda: own_hub.post(tenant, body).status == 200, "the file is not heard of")
    answer = own_hub.post(tenant, body)
    assert text_of(answer) == expected_text("a", "#tokens=7", 7)
    record = own_hub.record(answer.headers["x-request-id"])
    meters = record["meters"]
    assert record["charge_nano"] == 2000 * meters["in_text"] + 8000 * meters["out_text"]
    assert own_hub.post(tenant, ask("applied-other")).status == 402
    own_hub.settled(tenant)
    own_hub.assert_books_balance()

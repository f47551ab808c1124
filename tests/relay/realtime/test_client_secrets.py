"""Client secrets over the real hub: a page holds no key, and what its secret opens is the key's.

A secret is the key that created it, for a while and within its settings: whatever ends or limits
the key ends or limits what a secret opens (P11, P12, P23)."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from openai import OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from lib.ids import id_text
from relay.endpoints.table import listed_rows
from tests.fakes import listeners
from tests.fakes.realtime import FakeRealtime
from tests.fakes.tls_front import TlsFront
from tests.relay.credentials.test_planted_text import find_places
from tests.relay.credentials.test_revocation import ENDS, STAYS, rotated, tenant_of
from tests.relay.health.test_many_processes import processes
from tests.relay.realtime.test_realtime import (
    RATES,
    Refused,
    records,
    session,
    transcribing,
)
from tests.relay.requests.test_carriers import CARRIERS, ask
from tests.relay.sweeper import receipt
from tests.relay.test_javascript_clients import run_script
from tests.support.chromium import Running
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

PATH = "/v1/realtime/client_secrets"
KEY_PROTOCOL = "openai-insecure-api-key."


@pytest.fixture(scope="module")
def provider(hub: Hub) -> Iterator[FakeRealtime]:
    written = len(hub.log())
    with FakeRealtime() as provider:
        yield provider
    text = hub.log()[written:]
    assert "defect" not in text, text
    assert "Exception in ASGI application" not in text, text


@pytest.fixture
def model(hub: Hub, provider: FakeRealtime) -> str:
    return hub.model(provider, rates=RATES, upstream_model="gpt-realtime", retries=0)


def create(
    hub: Hub,
    tenant: Tenant,
    body: Mapping[str, Any],
    headers: Mapping[str, str] | None = None,
) -> Answer:
    return hub.post(tenant, dict(body), path=PATH, headers=dict(headers or {}))


def secret_for(hub: Hub, tenant: Tenant, model: str = "", **settings: Any) -> str:
    """The text of a new secret; without a model, for any."""
    own = {"model": model} if model else {}
    answer = create(hub, tenant, {"session": {"type": "realtime", **own, **settings}})
    assert answer.status == 200, answer
    text: str = answer.json()["value"]
    return text


def refusal(hub: Hub, key: str, model: str, **options: Any) -> Refused:
    with pytest.raises(Refused) as refused, session(hub, key, model, **options):
        pass
    return refused.value


# Whole ------------------------------------------------------------------------------------------


def test_creation_leaves_a_record(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """Who created one, when and for what is seen where requests are; nothing is held or charged,
    and the secret itself is nowhere."""
    tenant = hub.tenant()
    before = hub.balance(tenant)
    labels = {"x-weir-labels": json.dumps({"customer": "c-7"})}
    body = {"session": {"type": "realtime", "model": model}}
    answer = create(hub, tenant, body, labels)
    assert answer.status == 200, answer
    query = "SELECT * FROM usage_usagerecord WHERE organisation_id = %s"
    hub.wait(lambda: bool(hub.rows(query, tenant.organisation_id)), "no record")
    (record,) = hub.rows(query, tenant.organisation_id)
    assert id_text(record["id"]) == answer.headers["x-request-id"]
    assert (record["operation"], record["status"], record["kind"]) == ("client_secret", 200, None)
    assert (record["key_id"], record["model"], record["customer"]) == (tenant.key_id, model, "c-7")
    assert (record["charge_nano"], record["hold_nano"], record["basis"]) == (0, 0, "none")
    assert answer.json()["value"] not in str(record)
    assert hub.balance(tenant) == before
    assert receipt(hub, tenant.key, answer.headers["x-request-id"])["charge"] == "0.00"
    # One that is refused is none.
    assert create(hub, tenant, {"session": {"type": "realtime", "model": "none"}}).status == 404
    hub.assert_books_balance()
    assert len(hub.rows(query, tenant.organisation_id)) == 1


@pytest.mark.filterwarnings("ignore:connect\\(\\) must be used:DeprecationWarning")
def test_the_official_client_creates_and_uses_one(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    """Its sessions are its key's: in the records, and in the money (P1)."""
    tenant = hub.tenant()
    server = OpenAI(base_url=f"{hub.url}/v1", api_key=tenant.key)
    created = server.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 7200},
        session={"type": "realtime", "model": model, "instructions": "Be brief."},
    )
    assert created.value.startswith("ek_")
    assert created.session.type == "realtime"
    assert (created.session.model, created.session.instructions) == (model, "Be brief.")
    assert created.session.id.startswith("sess_")
    browser = OpenAI(base_url=f"{hub.url}/v1", api_key=created.value)
    with browser.realtime.connect(model=model) as connection:
        content = [{"type": "input_text", "text": "hello #tokens=4"}]
        item: Any = {"type": "message", "role": "user", "content": content}
        connection.conversation.item.create(item=item)
        connection.response.create()
        for event in connection:
            if event.type == "response.done":
                break
    (record,) = records(hub, tenant, 1)
    assert (record["key_id"], record["team_id"]) == (tenant.key_id, tenant.team_id)
    assert record["meters"]["out_text"] == 4
    assert record["charge_nano"] == record["meters"]["in_text"] * 4 + 4 * 16
    asked = provider.sessions[-1]
    assert created.value not in json.dumps(asked.headers)
    first = asked.received[0]
    assert first["type"] == "session.update"
    assert first["session"] == {"type": "realtime", "instructions": "Be brief."}


def test_the_javascript_client_creates_and_uses_one(
    hub: Hub,
    provider: FakeRealtime,
    model: str,
    authority: listeners.Authority,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(authority.path))
    context, _ = listeners.tls_context(tmp_path_factory.mktemp("front"), authority=authority)
    tenant = hub.tenant()
    with TlsFront(hub.port, context) as front:
        url = f"https://127.0.0.1:{front.port}"
        models = {"openai": {"realtime": model}}
        seen = run_script(hub, "client_secrets.mjs", models, url=url, key=tenant.key)["openai"]
    assert seen["session"]["said"] == "w0 w1 w2 "
    assert seen["elsewhere"]["status"] == 401
    (record,) = records(hub, tenant, 1)
    assert (record["key_id"], record["meters"]["out_text"]) == (tenant.key_id, 3)


# As the documentation has it.
_PAGE = """async ([address, secret]) => {
  const socket = new WebSocket(address, ["realtime", `openai-insecure-api-key.${secret}`]);
  const said = [];
  return await new Promise((resolve) => {
    socket.onopen = () => {
      const content = [{ type: "input_text", text: "hello #tokens=3" }];
      const item = { type: "message", role: "user", content };
      socket.send(JSON.stringify({ type: "conversation.item.create", item }));
      socket.send(JSON.stringify({ type: "response.create" }));
    };
    socket.onmessage = ({ data }) => {
      const event = JSON.parse(data);
      if (event.type === "response.output_text.delta") said.push(event.delta);
      if (event.type === "response.done") resolve([said.join(""), socket.protocol]);
    };
    socket.onclose = ({ code }) => resolve([`closed ${code}`, ""]);
  });
}"""


def test_a_browser_opens_a_session_with_one(
    hub: Hub, provider: FakeRealtime, model: str, running_chromium: Running
) -> None:
    tenant = hub.tenant()
    address = hub.url.replace("http", "ws") + f"/v1/realtime?model={model}"
    secret = secret_for(hub, tenant, model)
    with running_chromium.driven() as browser:
        page = browser.new_page()
        said = page.evaluate(_PAGE, [address, secret])
        forged = page.evaluate(_PAGE, [address, secret[:-1] + ("A" if secret[-1] != "A" else "B")])
        page.close()
    assert said == ["w0 w1 w2 ", "realtime"]
    assert forged == ["closed 1006", ""]
    (record,) = records(hub, tenant, 1)
    assert record["key_id"] == tenant.key_id


def test_the_longest_secret_goes_into_one_subprotocol(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    tenant, room = hub.tenant(), 4_700
    secret = secret_for(hub, tenant, model, instructions="x" * room)
    with session(hub, "", "", subprotocols=["realtime", f"{KEY_PROTOCOL}{secret}"]) as talk:
        assert talk.hear("session.updated")["session"]["instructions"] == "x" * room
    answer = create(hub, tenant, {"session": {"instructions": "x" * 5_000}})
    assert (answer.status, answer.error["param"]) == (422, "session")
    assert "has room for 5000" in answer.error["message"]


def test_every_process_opens_the_secret_even_after_a_restart(
    own_hub: Hub, provider: FakeRealtime
) -> None:
    with processes(own_hub, 2) as hubs:
        tenant = own_hub.tenant()
        model = own_hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
        hubs[1].know(model)
        secret = secret_for(hubs[0], tenant, model)
        for hub in hubs:
            with session(hub, secret, model) as talk:
                talk.ask("hello")
        own_hub.stop()
        own_hub.start()
        own_hub.know(model)
        with session(own_hub, secret, model) as talk:
            talk.ask("hello")
        records(own_hub, tenant, 3)


# What it opens ----------------------------------------------------------------------------------


def test_it_opens_nothing_else(hub: Hub, model: str) -> None:
    """Every row of the relay, in every carrier, and the management API; it creates no other one."""
    tenant = hub.tenant()
    secret = secret_for(hub, tenant, model)
    for path, row in listed_rows().items():
        for carrier in CARRIERS:
            if carrier == "query" and not row.key_in_query:
                continue
            answer = ask(hub, path, row, model, carrier, secret)
            # A sealed link asks for no key: here it is none of ours.
            assert answer.status == (404 if row.is_sealed_link else 401), (path, carrier, answer)
            assert secret not in str(answer.body)
    answer = hub.get("/v1/models", Tenant(*(tenant.key_id,) * 3, secret))
    assert (answer.error["code"], answer.error["message"]) == (
        "invalid_api_key",
        "Error: Invalid or unauthorized API key: "
        "a client secret opens only the WebSocket of /v1/realtime",
    )
    headers = {"authorization": f"Bearer {secret}"}
    for path in ("/api/v1/keys", "/api/v1/usage"):
        assert hub.request("GET", path, headers=headers).status == 401
    with pytest.raises(InvalidStatus) as refused:
        connect(hub.url.replace("http", "ws") + "/v1/responses", additional_headers=headers)
    assert refused.value.response.status_code == 401


@pytest.mark.parametrize("path", ["/v1/realtime", "/api/v1/realtime"])
def test_it_opens_both_addresses(hub: Hub, model: str, path: str) -> None:
    secret = secret_for(hub, hub.tenant(), model)
    headers = {"authorization": f"Bearer {secret}"}
    with connect(hub.url.replace("http", "ws") + path, additional_headers=headers) as socket:
        assert json.loads(socket.recv(timeout=20))["session"]["model"] == model


def test_forged_secret_opens_nothing(hub: Hub, model: str) -> None:
    secret = secret_for(hub, hub.tenant(), model)
    forged = secret[:40] + ("A" if secret[40] != "A" else "B") + secret[41:]
    refused = refusal(hub, forged, model)
    assert (refused.status, refused.error["message"]) == (
        401, "Error: Invalid or unauthorized API key",
    )  # fmt: skip


def test_two_different_secrets_are_a_conflict(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    names = ["realtime", f"{KEY_PROTOCOL}{secret_for(hub, tenant, model)}"]
    assert refusal(hub, tenant.key, model, subprotocols=names).error["code"] == "key_conflict"


# Its model and its settings ---------------------------------------------------------------------


def test_secret_fixes_the_model(hub: Hub, provider: FakeRealtime, model: str) -> None:
    tenant, before = hub.tenant(), len(provider.sessions)
    other = hub.model(provider, rates=RATES, upstream_model="gpt-realtime")
    secret = secret_for(hub, tenant, model)
    refused = refusal(hub, secret, other)
    assert (refused.status, refused.error["param"]) == (422, "model")
    assert f"is for model {model} only" in refused.error["message"]
    assert len(provider.sessions) == before
    with session(hub, secret, "") as talk:
        assert talk.hear("session.created")["session"]["model"] == model
        talk.say(type="session.update", session={"type": "realtime", "model": other})
        assert talk.hear("error")["error"]["param"] == "session.model"
    # Without a model of its own, the connection says it.
    free = secret_for(hub, tenant)
    assert refusal(hub, free, "").error["code"] == "missing_required_parameter"
    with session(hub, free, other) as talk:
        assert talk.hear("session.created")["session"]["model"] == other


@pytest.mark.parametrize(
    "options",
    [
        {"subprotocols": ["realtime", "openai-beta.realtime-v1"]},
        {"additional_headers": {"OpenAI-Beta": "realtime=v1"}},
    ],
)
def test_beta_with_renamed_settings_is_rejected(
    hub: Hub, model: str, options: dict[str, Any]
) -> None:
    secret = secret_for(hub, hub.tenant(), model)
    if "additional_headers" in options:
        options = {**options, "subprotocols": ["realtime", f"{KEY_PROTOCOL}{secret}"]}
        headers = options.pop("additional_headers")
        with pytest.raises(InvalidStatus) as refused:
            connect(hub.url.replace("http", "ws") + f"/v1/realtime?model={model}",
                    additional_headers=headers, **options)  # fmt: skip
        error = json.loads(refused.value.response.body or b"")["error"]
    else:
        error = refusal(hub, secret, model, **options).error
    assert (error["code"], error["param"]) == ("unsupported_parameter", "openai-beta")


def test_secret_settings_are_sent_first_and_stay(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    tenant = hub.tenant()
    settings = {"instructions": "Be brief.", "max_output_tokens": 50,
                "audio": {"output": {"voice": "cedar"}}}  # fmt: skip
    secret = secret_for(hub, tenant, model, **settings)
    with session(hub, secret, model) as talk:
        talk.say(type="session.update", event_id="c_1",
                 session={"type": "realtime", "instructions": "Be rude."})  # fmt: skip
        error = talk.hear("error")["error"]
        assert (error["event_id"], error["param"]) == ("c_1", "session.instructions")
        talk.say(type="response.create", event_id="c_2", response={"max_output_tokens": 51})
        assert talk.hear("error")["error"]["param"] == "response.max_output_tokens"
        narrower = {"type": "realtime", "tool_choice": "none", "max_output_tokens": 49}
        talk.say(type="session.update", session=narrower)
        talk.hear("session.updated")
        talk.socket.send('{"type":')
        assert "no JSON object" in talk.hear("error")["error"]["message"]
        talk.ask("hello #tokens=2")
    opening, narrowed, _, asked = provider.sessions[-1].received
    assert opening["session"] == {"type": "realtime", **settings}
    assert narrowed["session"]["max_output_tokens"] == 49
    assert asked == {"type": "response.create"}
    records(hub, tenant, 1)


def test_settings_rejected_by_the_provider_end_the_session(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    """It would go on without any of them."""
    tenant = hub.tenant()
    secret = secret_for(
        hub, tenant, model, instructions="x", audio={"output": {"voice": "no-such-voice"}}
    )
    with session(hub, secret, model) as talk:
        last, code = talk.end()
    assert last is not None
    assert code == 1008
    assert "the provider refused the session of the client secret" in last["error"]["message"]
    assert [event["type"] for event in provider.sessions[-1].received] == ["session.update"]
    (record,) = records(hub, tenant, 1)
    assert (record["charge_nano"], record["meters"]) == (0, {})


def test_disallowed_transcription_model_ends_the_session(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    tenant = hub.tenant()
    settings = transcribing("none-such")
    secret = secret_for(hub, tenant, model, audio=settings["audio"])
    with session(hub, secret, model) as talk:
        last, code = talk.end()
    assert last is not None
    assert (last["error"]["code"], code) == ("model_not_found", 1008)
    assert provider.sessions[-1].received == []


# Its key ----------------------------------------------------------------------------------------


def test_whatever_ends_the_key_ends_its_secrets_sessions(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    """P11: the same causes as for the key itself, all at once; whose key stays goes on."""
    causes = {**ENDS, **STAYS}
    tenants = {cause: tenant_of(hub) for cause in causes}
    secrets = {cause: secret_for(hub, tenant, model) for cause, tenant in tenants.items()}
    opened = {cause: session(hub, secret, model) for cause, secret in secrets.items()}
    talks = {cause: one.__enter__() for cause, one in opened.items()}
    try:
        for talk in talks.values():
            talk.hear("session.created")
        for cause, tenant in tenants.items():
            causes[cause](hub, tenant)
        hub.bump()
        for cause in ENDS:
            last, code = talks[cause].end()
            assert last is not None, cause
            assert (last["error"]["code"], code) == ("invalid_api_key", 1008), cause
            assert refusal(hub, secrets[cause], model).status == 401, cause
            assert create(hub, tenants[cause], {}).status == 401, cause
        for cause in STAYS:
            talks[cause].ask("hello #tokens=1")
            with session(hub, secrets[cause], model) as again:
                again.hear("session.created")
    finally:
        for one in opened.values():
            one.__exit__(None, None, None)


def test_rotation_grace_applies_to_secrets_too(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    """A secret of the former text ends with it, open sessions included; one of the new stays."""
    tenant = tenant_of(hub)
    secret = secret_for(hub, tenant, model)
    with session(hub, secret, model) as talk:
        talk.hear("session.created")
        rotated("3 s")(hub, tenant)
        hub.bump()
        with session(hub, secret, model) as again:
            again.hear("session.created")
        last, code = talk.end()
    assert last is not None
    assert (last["error"]["code"], code) == ("invalid_api_key", 1008)
    assert refusal(hub, secret, model).status == 401


def test_a_secret_ends_no_later_than_its_key(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    hub.connection.execute(
        "UPDATE accounts_key SET expires_at = now() + interval '60 seconds' WHERE id = %s",
        [tenant.key_id],
    )
    hub.bump()
    (row,) = hub.rows("SELECT floor(extract(epoch FROM expires_at))::int AS at FROM accounts_key "
                      "WHERE id = %s", tenant.key_id)  # fmt: skip
    hub.wait(lambda: create(hub, tenant, {}).json()["expires_at"] == row["at"], "it ends later")
    sooner = create(hub, tenant, {"expires_after": {"seconds": 10}}).json()["expires_at"]
    assert sooner < row["at"]


LIMITS: dict[str, tuple[dict[str, Any], int]] = {
    "networks": ({"networks": ["10.0.0.0/8"]}, 403),
    "endpoints": ({"endpoints": ["messages"]}, 403),
    "models": ({"model_patterns": ["other-*"]}, 403),
}


@pytest.mark.parametrize("limit", LIMITS)
def test_secret_is_limited_by_its_key(
    hub: Hub, provider: FakeRealtime, model: str, limit: str
) -> None:
    """For creating one, and for one that was created before."""
    limits, status = LIMITS[limit]
    tenant = hub.tenant()
    secret, free = secret_for(hub, tenant, model), secret_for(hub, tenant)
    hub.limit(tenant, **limits)
    hub.bump()
    hub.wait(
        lambda: create(hub, tenant, {"session": {"model": model}}).status == status,
        "the limit is not known",
    )
    for one in (secret, free):
        assert refusal(hub, one, model).status == status


def test_a_key_for_sessions_only_creates_one(hub: Hub, model: str) -> None:
    tenant = hub.tenant()
    hub.limit(tenant, endpoints=["realtime"])
    with session(hub, secret_for(hub, tenant, model), model) as talk:
        talk.hear("session.created")


def test_secret_uses_its_keys_budgets_and_rates(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    poor = hub.tenant(usd="0.0001")
    assert refusal(hub, secret_for(hub, poor, model), model).status == 402
    capped = hub.tenant()
    hub.budget(capped, "0.0001")
    assert refusal(hub, secret_for(hub, capped, model), model).status == 402
    slow = hub.tenant()
    # The first one is the creation.
    hub.limit(slow, rpm=2)
    secret = secret_for(hub, slow, model)
    with session(hub, secret, model) as talk:
        talk.hear("session.created")
        assert refusal(hub, secret, model).status == 429


@pytest.mark.parametrize("of", ["key", "team", "organisation", "user"])
def test_creating_a_secret_counts_as_a_request_per_minute(hub: Hub, model: str, of: str) -> None:
    """Beside those that hold money: each counts for the other, and what is refused for nothing."""
    tenant = tenant_of(hub)
    if of == "user":
        hub.connection.execute(
            "UPDATE accounts_membership SET rpm = 3 WHERE organisation_id = %s",
            [tenant.organisation_id],
        )
    else:
        hub.limit(tenant, of=of, rpm=3)
    hub.bump()
    with session(hub, secret_for(hub, tenant, model), model) as talk:
        talk.hear("session.created")
    for wrong in ({"type": "x"}, {"instructions": "x" * 5_000}, {"model": "none-such"}):
        assert create(hub, tenant, {"session": wrong}).status in (404, 422)
    assert create(hub, tenant, {}).status == 200
    for _ in range(2):
        answer = create(hub, tenant, {})
        assert (answer.status, answer.error["code"]) == (429, "rate_limit_exceeded")
        assert f"3 requests per minute of this {of}, 3 are used" in answer.error["message"]
        assert 0 < int(answer.headers["retry-after"]) <= 61
    assert refusal(hub, tenant.key, model).status == 429
    (counted,) = hub.rows(
        "SELECT sum(requests)::int AS count FROM billing_ratesecond WHERE subject_id IN "
        "(SELECT limit_id FROM accounts_membership WHERE organisation_id = %s UNION ALL "
        "SELECT unnest(%s::uuid[]))",
        tenant.organisation_id,
        [tenant.key_id, tenant.team_id, tenant.organisation_id],
    )
    assert counted["count"] == 3


# What its creation says of its sessions ----------------------------------------------------------


def test_secret_labels_apply_to_its_sessions(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """A page can send no header, so that budgets of a customer hold for what it opens."""
    tenant = hub.tenant()
    hub.limit(tenant, required_labels=["customer"])
    assert create(hub, tenant, {"session": {"model": model}}).error["param"] == "x-weir-labels"
    labels = {"x-weir-labels": '{"customer": "c-42"}'}
    created = create(hub, tenant, {"session": {"model": model}}, labels)
    secret = created.json()["value"]
    with session(hub, secret, model) as talk:
        talk.ask("hello")
    (record,) = records(hub, tenant, 1)
    assert record["customer"] == "c-42"
    other = {"x-weir-labels": '{"customer": "c-43"}', "authorization": f"Bearer {secret}"}
    with pytest.raises(InvalidStatus) as refused:
        connect(hub.url.replace("http", "ws") + "/v1/realtime", additional_headers=other)
    error = json.loads(refused.value.response.body or b"")["error"]
    assert (refused.value.response.status_code, error["param"]) == (422, "x-weir-labels")


CAPS = {
    "x-weir-max-cost": "0.000000001",
    "x-weir-session-budget": "0.000000001",
    "x-weir-data-policy": '{"zero_retention": true}',
}


@pytest.mark.parametrize("name", CAPS)
def test_secret_limits_apply_to_its_sessions(
    hub: Hub, provider: FakeRealtime, model: str, name: str
) -> None:
    tenant = hub.tenant()
    secret = create(hub, tenant, {"session": {}}, {name: CAPS[name]}).json()["value"]
    refused = refusal(hub, secret, model)
    assert refused.status in (402, 403), refused
    assert refusal(hub, tenant.key, "").status == 400
    with session(hub, tenant.key, model) as talk:
        talk.hear("session.created")


# Refusals of its creation ------------------------------------------------------------------------


def test_key_creates_secrets_only_for_what_it_may_open(
    hub: Hub, provider: FakeRealtime, model: str
) -> None:
    tenant = hub.tenant()
    chat = hub.model(provider, provider="deepseek")
    cases = {
        "none-such": (404, "model_not_found"),
        chat: (400, "unsupported_parameter"),
    }
    for name, expected in cases.items():
        answer = create(hub, tenant, {"session": {"type": "realtime", "model": name}})
        assert (answer.status, answer.error["code"]) == expected
    management = hub.tenant(kind="management")
    assert create(hub, management, {}).status == 403
    assert create(hub, tenant, {"sesion": {}}).error["code"] == "unsupported_parameter"
    assert hub.get(PATH, tenant).status == 405


def test_secret_is_free_and_stored_nowhere(hub: Hub, provider: FakeRealtime, model: str) -> None:
    """No record, no hold; and neither log nor database has its text (it is kept nowhere)."""
    tenant = hub.tenant()
    before = hub.balance(tenant)
    secret = secret_for(hub, tenant, model)
    assert hub.balance(tenant) == before
    with session(hub, "", model, subprotocols=["realtime", f"{KEY_PROTOCOL}{secret}"]) as talk:
        talk.ask("hello")
    hub.get(f"/v1/models/{secret}", tenant)
    hub.request("GET", f"/v1/models?key={secret}", headers={})
    with pytest.raises((Refused, ConnectionClosed)), session(hub, secret, secret):
        pass
    records(hub, tenant, 1)
    hub.settled(tenant)
    for part in (secret, secret[10:60], secret[-60:-10]):
        assert find_places(hub, part) == []

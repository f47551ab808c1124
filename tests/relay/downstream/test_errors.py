"""What a client hears when its request is wrong, in the order of the checks."""

import json
import os
from dataclasses import replace
from typing import Any

import openai
import pytest
from openai import OpenAI

from accounts.secrets import key_format
from lib.ids import parse_id
from relay.endpoints.table import ENDPOINTS
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.relay.clients import OpenAIClient
from tests.support.hub import RATES, Answer, Hub, Tenant

INVALID = "Error: Invalid or unauthorized API key"


def check(answer: Answer, status: int, kind_type: str, code: str | None) -> dict[str, Any]:
    assert answer.status == status, answer.body
    assert (answer.error["type"], answer.error["code"]) == (kind_type, code)
    assert answer.headers["access-control-allow-origin"] == "*"
    assert parse_id(answer.headers["x-request-id"]) is not None
    return answer.error


def test_no_answer_is_taken_for_a_page(hub: Hub, fake: FakeUpstream) -> None:
    """A browser that opens an answer must not guess from its content what it is: on every path, by
    every method, refused or served, whole or as a stream."""
    tenant, model = hub.tenant(), hub.model(fake)
    for path in (*ENDPOINTS, "/v1/nothing", "/v1/models/x"):
        for method in ("GET", "POST", "OPTIONS"):
            answer = hub.request(method, path, tenant, b"{}" if method == "POST" else None)
            assert answer.headers["x-content-type-options"] == "nosniff", (method, path)
    for stream in (False, True):
        answer = hub.post(tenant, ask(model, "#tokens=1", stream=stream))
        assert answer.status == 200
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer "},
        {"authorization": "Basic c2s="},
        {"authorization": "Bearer sk-weir-" + "a" * 38},
        {"authorization": "Bearer short"},
        {"x-api-key": "sk-another-system-0123456789"},
        {"x-goog-api-key": "sk-another-system-0123456789"},
    ],
    ids=["none", "empty", "scheme", "checksum", "short", "unknown", "unknown google"],
)
def test_no_key_or_a_wrong_one_is_401(hub: Hub, headers: dict[str, str]) -> None:
    answer = hub.post(None, ask("x"), headers=headers)
    error = check(answer, 401, "authentication_error", "invalid_api_key")
    assert error["message"] == INVALID
    assert answer.headers["www-authenticate"] == "Bearer"


def test_two_different_keys_in_one_request_are_refused(hub: Hub) -> None:
    """The same key in two carriers is one key."""
    one, two = hub.tenant(), hub.tenant()
    answer = hub.post(one, ask("x"), headers={"x-api-key": two.key})
    check(answer, 401, "authentication_error", "key_conflict")
    answer = hub.post(one, ask("no-such-model"), headers={"x-api-key": one.key})
    check(answer, 404, "invalid_request_error", "model_not_found")


@pytest.mark.parametrize("carrier", ["bearer", "BEARER", "bare", "x-api-key", "x-goog-api-key"])
def test_every_carrier_is_accepted(hub: Hub, fake: FakeUpstream, carrier: str) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    headers = {
        "bearer": {"authorization": f"Bearer {tenant.key}"},
        "BEARER": {"authorization": f"BEARER {tenant.key}"},
        "bare": {"authorization": tenant.key},
    }.get(carrier, {carrier: tenant.key})
    assert hub.post(None, ask(model), headers=headers).status == 200


def test_query_key_only_lists_models(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    listed = hub.get(f"/v1/models?pageSize=1000&key={tenant.key}")
    assert listed.status == 200
    assert f"models/{model}" in [row["name"] for row in listed.json()["models"]]
    answer = hub.post(None, ask(model), path=f"/v1/chat/completions?key={tenant.key}")
    check(answer, 401, "authentication_error", "invalid_api_key")
    # Nor does a line for each request tell it to the log.
    assert tenant.key not in hub.log()
    assert "/v1/models" not in hub.log()


def test_a_management_key_cannot_call_models(hub: Hub, fake: FakeUpstream) -> None:
    manager, model = hub.tenant(kind="management"), hub.model(fake)
    check(hub.post(manager, ask(model)), 403, "permission_error", "permission_denied")
    check(hub.get("/v1/models", manager), 403, "permission_error", "permission_denied")


def test_key_of_another_system_with_a_digest_is_valid(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    brought = hub.key(tenant, text="sk-brought-along-0123456789")
    assert hub.post(brought, ask(model)).status == 200


def test_former_secret_opens_its_key_until_its_own_end(hub: Hub, fake: FakeUpstream) -> None:
    """docs/promises.md, "API keys": after a rotation two secrets work, and one of them ends."""
    tenant, model = hub.tenant(), hub.model(fake)
    assert hub.post(tenant, ask(model)).status == 200
    newer = replace(tenant, key=key_format.compose("relay", os.urandom(32)))
    hub.connection.execute(
        "INSERT INTO accounts_formersecret SELECT digest, last4, now() + interval '1 hour', id "
        "FROM accounts_key WHERE id = %s",
        [tenant.key_id],
    )
    digest = key_format.digest(os.environ["WEIR_KEY_PEPPER"], newer.key)
    hub.connection.execute(
        "UPDATE accounts_key SET digest = %s WHERE id = %s", [digest, tenant.key_id]
    )
    hub.bump()
    hub.wait(lambda: hub.get("/v1/models", newer).status == 200, "the new secret is not heard of")
    for either in (tenant, newer):
        answer = hub.post(either, ask(model))
        assert hub.record(answer.headers["x-request-id"])["key_id"] == tenant.key_id
    hub.connection.execute(
        "UPDATE accounts_formersecret SET until = now() WHERE key_id = %s", [tenant.key_id]
    )
    hub.bump()
    hub.wait(lambda: hub.get("/v1/models", tenant).status == 401, "the old secret stays")
    check(hub.post(tenant, ask(model)), 401, "authentication_error", "invalid_api_key")
    assert hub.post(newer, ask(model)).status == 200


def test_unknown_model_is_404_before_its_fields_are_judged(hub: Hub) -> None:
    tenant = hub.tenant()
    for body in (ask("no-such-model"), {"model": "no-such-model"}):
        answer = hub.post(tenant, body)
        error = check(answer, 404, "invalid_request_error", "model_not_found")
        assert error["message"] == "Error: Model no-such-model does not exist or is not supported"
        assert error["param"] == "model"
        record = hub.record(answer.headers["x-request-id"])
        assert (record["status"], record["kind"]) == (404, "model_not_found")
        # Its message says what was asked for. The name is in no column, whose values are groups of
        # reports and choices of filters.
        assert (record["model"], record["message"]) == ("", error["message"])
        assert (record["charge_nano"], record["basis"]) == (0, "none")


def test_unserved_name_is_in_no_column_of_the_books(hub: Hub) -> None:
    """Whatever clients type, and however little of the body can be read."""
    tenant, name = hub.tenant(), "typed-by-a-client"
    doors: dict[str, bytes] = {
        "/v1/chat/completions": b'{"model": "typed-by-a-client", "messages": []}',
        "/v1/responses": b'{"model": "typed-by-a-client", "input": "x"}',
        "/v1/messages": b'{"model": "typed-by-a-client", "max_tokens": 0}',
        f"/v1beta/models/{name}:generateContent": b'{"contents": "broken',
        "/v1/embeddings": b'{"model": "typed-by-a-client", "input": "x"}',
        "/v1/images/generations": b'{"model": "typed-by-a-client", "prompt": "x", "n": 1000}',
        "/v1/videos": b'{"model": "typed-by-a-client", "prompt": "x"}',
    }
    for path, body in doors.items():
        answer = hub.request("POST", path, tenant, body)
        assert answer.status in (400, 404), path
        assert hub.record(answer.headers["x-request-id"])["model"] == "", path


def test_model_outside_the_keys_own_list_is_403(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(patterns=("gpt-*",)), hub.model(fake)
    answer = hub.post(tenant, ask(model))
    error = check(answer, 403, "permission_error", "permission_denied")
    assert error["message"] == f"The API key may not use model {model}"
    listed = hub.get("/v1/models", tenant).json()["data"]
    assert model not in [row["id"] for row in listed]


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"", 400, None, None),
        (b"{", 400, None, None),
        (b'{"a":1} x', 400, None, None),
        (b'{"a":NaN}', 400, None, None),
        (b'{"model":"\xff"}', 400, None, None),
        (b'{"model":"m","\xff":1}', 400, None, None),
        (b'{"model":"x","model":"y"}', 400, None, None),
        (b"[" * 70 + b"]" * 70, 400, None, None),
        (b"[]", 400, "invalid_type", None),
        (b'"text"', 400, "invalid_type", None),
        (b"{}", 400, "missing_required_parameter", "model"),
        (b'{"model":""}', 400, "missing_required_parameter", "model"),
        (b'{"model":5}', 400, "invalid_type", "model"),
    ],
)
def test_malformed_bodies(
    hub: Hub, body: bytes, status: int, code: str | None, param: str | None
) -> None:
    answer = hub.post(hub.tenant(), body)
    error = check(answer, status, "invalid_request_error", code)
    assert error["param"] == param
    assert error["message"].startswith("API request failed: Invalid Format: ")
    assert hub.record(answer.headers["x-request-id"])["status"] == 400


@pytest.mark.parametrize(
    ("over", "status", "code"),
    [
        ({"messages": None}, 400, "missing_required_parameter"),
        ({"messages": "text"}, 400, "invalid_type"),
        ({"messages": []}, 422, "invalid_value"),
        ({"stream": "yes"}, 400, "invalid_type"),
        ({"max_tokens": "5"}, 400, "invalid_type"),
        ({"max_tokens": 1.5}, 400, "invalid_type"),
        ({"max_tokens": True}, 400, "invalid_type"),
        ({"max_tokens": -1}, 422, "invalid_value"),
        ({"max_completion_tokens": -1}, 422, "invalid_value"),
        ({"logit_bias": [1]}, 400, "invalid_type"),
        ({"reasoning_effort": 1}, 400, "invalid_type"),
        ({"reasoning_effort": "much"}, 422, "invalid_value"),
        ({"n": 0}, 422, "invalid_value"),
    ],
)
def test_wrong_types_and_values(
    hub: Hub, fake: FakeUpstream, over: dict[str, Any], status: int, code: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    asked = fake.totals()["requests"]
    answer = hub.post(tenant, ask(model) | over)
    error = check(answer, status, "invalid_request_error", code)
    assert error["param"] == next(iter(over))
    assert fake.totals()["requests"] == asked
    assert hub.record(answer.headers["x-request-id"])["kind"] is not None


def test_paths_and_methods(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    answer = hub.get("/v1/nothing-here")
    check(answer, 404, "invalid_request_error", "unknown_url")
    answer = hub.get("/v1/chat/completions")
    check(answer, 405, "invalid_request_error", "method_not_allowed")
    assert answer.headers["allow"] == "POST, OPTIONS"
    for path in ("/v1/chat/completions", "/v1/embeddings"):
        # Clients go on over HTTP at once, and only because of this status.
        asked = {"upgrade": "websocket", "connection": "Upgrade"}
        answer = hub.request("GET", path, tenant, headers=asked)
        check(answer, 426, "invalid_request_error", "method_not_allowed")
        assert (answer.headers["upgrade"], answer.headers["allow"]) == ("HTTP/1.1", "POST, OPTIONS")
    answer = hub.request("DELETE", "/v1/models")
    assert (answer.status, answer.headers["allow"]) == (405, "GET, OPTIONS")
    for path in (
        "/v1/chat/completions/",
        "/api/v1/chat/completions",
        "/v1/v1/chat/completions",
        "/chat/completions",
        "/v1/chat/completions?api-version=1",
    ):
        assert hub.post(tenant, ask(model), path=path).status == 200, path
    assert hub.get("/api/v1/models", tenant).status == 200


def test_preflight_needs_no_key(hub: Hub) -> None:
    answer = hub.request("OPTIONS", "/v1/chat/completions", headers={"origin": "https://x.example"})
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "authorization" in answer.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    "headers", [{"content-type": "text/plain"}, {"content-encoding": "gzip"}], ids=["type", "gzip"]
)
def test_other_content_types_are_415(hub: Hub, headers: dict[str, str]) -> None:
    answer = hub.post(hub.tenant(), b"{}", headers=headers)
    check(answer, 415, "invalid_request_error", "unsupported_media_type")


def test_oversized_content_length_is_rejected_before_the_body(hub: Hub) -> None:
    """Nothing of the body is sent, so an answer proves that nothing was waited for."""
    tenant = hub.tenant()
    size = 72 * 1024 * 1024 + 1
    answer = hub.request(
        "POST",
        "/v1/chat/completions",
        tenant,
        headers={"content-length": str(size), "content-type": "application/json"},
    )
    error = check(answer, 413, "invalid_request_error", "request_too_large")
    assert f"is {size} bytes; the limit is {size - 1}" in error["message"]


def test_official_client_raises_its_own_errors(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant("0"), hub.model(fake)

    def call(caller: OpenAI, name: str, **over: Any) -> None:
        caller.chat.completions.create(
            model=name, messages=[{"role": "user", "content": "hi"}], **over
        )

    with pytest.raises(openai.AuthenticationError):
        call(openai_client("sk-nobody-0123456789abcdef"), model)
    with pytest.raises(openai.NotFoundError) as missing:
        call(openai_client(tenant.key), "no-such-model")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.APIStatusError) as unpaid:
        call(openai_client(tenant.key), model, max_tokens=50)
    assert unpaid.value.status_code == 402


def test_every_rejection_is_json_with_its_length(hub: Hub) -> None:
    answer = hub.post(None, b"{}")
    assert answer.headers["content-type"] == "application/json"
    assert int(answer.headers["content-length"]) == len(answer.body)
    assert json.loads(answer.body)["error"]["param"] is None


def test_models_list_names_only_what_the_key_may_use(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake)
    narrow: Tenant = hub.tenant(patterns=(model,))
    listed = hub.get("/v1/models", narrow).json()
    assert listed["object"] == "list"
    assert [row["id"] for row in listed["data"]] == [model]
    assert set(listed["data"][0]) >= {"id", "object", "created", "owned_by"}


def test_overlong_name_is_unknown_even_to_a_pattern(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    hub.channel("long-*", fake.url, fake.key)
    hub.price("long-*", RATES)
    hub.know(hub.model(fake))
    assert hub.post(tenant, ask("long-" + "x" * 195)).status == 200
    answer = hub.post(tenant, ask("long-" + "x" * 196))
    check(answer, 404, "invalid_request_error", "model_not_found")


USER = b'{"role":"user","content":[{"type":"text","text":"Hello."}],"role":"user"}'
PART = b'{"contents":[{"role":"user","parts":[{"text":"Hello.","text":"Hello."}]}]}'
TWICE = {
    "/v1/chat/completions": b'{"model":"%s","messages":[' + USER + b"]}",
    "/v1/completions": b'{"model":"%s","prompt":"a","stream_options":{"x":1,"x":1}}',
    "/v1/responses": b'{"model":"%s","input":['
    + USER.replace(b'"text",', b'"input_text",')
    + b"]}",
    "/v1/responses/input_tokens": b'{"model":"%s","input":['
    + USER.replace(b'"text",', b'"input_text",')
    + b"]}",
    "/v1/messages": b'{"model":"%s","max_tokens":9,"messages":[' + USER + b"]}",
    "/v1/messages/count_tokens": b'{"model":"%s","messages":[' + USER + b"]}",
    "/v1/embeddings": b'{"model":"%s","input":"a","extra":{"x":1,"x":1}}',
    "/v1/moderations": b'{"model":"%s","input":"a","extra":{"x":1,"x":1}}',
    "/v1/rerank": b'{"model":"%s","query":"a","documents":["b"],"extra":{"x":1,"x":1}}',
    "/v1beta/models/%s:generateContent": PART,
    "/v1beta/models/%s:countTokens": PART,
}


@pytest.mark.parametrize("path", TWICE)
def test_duplicate_member_name_is_rejected(hub: Hub, fake: FakeUpstream, path: str) -> None:
    """Else what is billed and what is asked for could be two readings of one body."""
    tenant, model = hub.tenant(), hub.model(fake)
    body = TWICE[path].replace(b"%s", model.encode())
    answer = hub.post(tenant, body, path=path.replace("%s", model))
    assert answer.status == 400, answer.body
    assert b"appears twice in one object" in answer.body

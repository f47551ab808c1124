"""Clients that are made for a cloud, unchanged but for their base URL: Claude of Amazon Bedrock and
of Google's Vertex AI, Gemini of Vertex AI, and Amazon's own client (P2, P3)."""

import json
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import anthropic
import botocore.config
import botocore.session
import pytest
from botocore.exceptions import ClientError, EventStreamError
from google import genai
from google.genai import errors as genai_errors
from google.genai import types
from google.oauth2.credentials import Credentials

from lib.ids import id_text
from tests.fakes import listeners
from tests.fakes.tls_front import TlsFront
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.speakers import TOOL, UPSTREAMS, messages
from tests.relay.test_matrix import open_model
from tests.support.hub import Hub, Tenant

upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)
TEXT = "#tokens=6 hello"
PIXEL = b"\x89PNG\r\n\x1a\n\0\xff"
CALLS = "#tokens=2 #tools=2 weather?"
PROJECT = "/v1/projects/some-project/locations/europe-west1"


@pytest.fixture
def tenant(hub: Hub) -> Tenant:
    return hub.tenant()


@pytest.fixture
def on_bedrock(hub: Hub, tenant: Tenant) -> Iterator[anthropic.AnthropicBedrock]:
    with anthropic.AnthropicBedrock(
        base_url=hub.url, api_key=tenant.key, aws_region="eu-central-1", max_retries=0
    ) as client:
        yield client


@pytest.fixture
def on_vertex(hub: Hub, tenant: Tenant) -> Iterator[anthropic.AnthropicVertex]:
    with anthropic.AnthropicVertex(
        base_url=f"{hub.url}/v1", access_token=tenant.key, project_id="some-project",
        region="europe-west1", max_retries=0,
    ) as client:  # fmt: skip
        yield client


@pytest.fixture(scope="module")
def front(
    hub: Hub, authority: listeners.Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The hub behind TLS, without which Amazon's client sends no API key."""
    context, _ = listeners.tls_context(tmp_path_factory.mktemp("front"), authority=authority)
    with TlsFront(hub.port, context) as front:
        yield f"https://127.0.0.1:{front.port}"


@pytest.fixture
def of_amazon(
    front: str, authority: listeners.Authority, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", tenant.key)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = amazons_client(front, verify=str(authority.path))
    yield client
    client.close()


def amazons_client(url: str, **over: Any) -> Any:
    """The client that boto3 hands out."""
    return botocore.session.get_session().create_client(
        "bedrock-runtime", endpoint_url=url, region_name="eu-central-1",
        config=botocore.config.Config(retries={"max_attempts": 0}), **over,
    )  # fmt: skip


def check_claude(client: Any, model: str) -> None:
    asked: list[Any] = [{"role": "user", "content": TEXT}]
    whole = client.messages.create(model=model, max_tokens=2048, messages=asked)
    assert [block.text for block in whole.content] == [expected_text("a", TEXT, 6)]
    assert whole.usage.output_tokens == 6
    stream = client.messages.create(model=model, max_tokens=2048, messages=asked, stream=True)
    events = list(stream)
    assert events[-1].type == "message_stop"
    deltas = [event.delta for event in events if event.type == "content_block_delta"]
    assert "".join(delta.text for delta in deltas) == expected_text("a", TEXT, 6)
    tools: list[Any] = [{"name": TOOL["name"], "input_schema": TOOL["schema"]}]
    asked = [{"role": "user", "content": CALLS}]
    first = client.messages.create(model=model, max_tokens=2048, messages=asked, tools=tools)
    calls = [block for block in first.content if block.type == "tool_use"]
    assert (first.stop_reason, len(calls)) == ("tool_use", 2)
    asked += [
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in first.content]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": call.id, "content": "rain"} for call in calls
            ],
        },
    ]
    again = client.messages.create(model=model, max_tokens=2048, messages=asked, tools=tools)
    assert again.stop_reason == "end_turn"
    with pytest.raises(anthropic.RateLimitError):
        client.messages.create(
            model=model, max_tokens=9, messages=[{"role": "user", "content": "#fault=F8:seconds"}]
        )
    with pytest.raises(anthropic.NotFoundError):
        client.messages.create(model="no-such", max_tokens=9, messages=asked)


@upstreams
def test_claude_on_bedrock(
    hub: Hub, fake: FakeUpstream, on_bedrock: anthropic.AnthropicBedrock, upstream: str
) -> None:
    check_claude(on_bedrock, open_model(hub, fake, upstream))
    broken: list[Any] = [{"role": "user", "content": "#fault=F14:eof@2 #delay_ms=20"}]
    model = open_model(hub, fake, upstream)
    with pytest.raises(anthropic.APIError) as failed:
        list(on_bedrock.messages.create(model=model, max_tokens=99, messages=broken, stream=True))
    assert "ended too early" in str(failed.value)


@upstreams
def test_claude_on_vertex(
    hub: Hub, fake: FakeUpstream, on_vertex: anthropic.AnthropicVertex, upstream: str
) -> None:
    model = open_model(hub, fake, upstream)
    asked: list[Any] = [{"role": "user", "content": "a b"}]
    assert on_vertex.messages.count_tokens(model=model, messages=asked).input_tokens >= 2
    check_claude(on_vertex, model)


@upstreams
def test_gemini_on_vertex(hub: Hub, fake: FakeUpstream, tenant: Tenant, upstream: str) -> None:
    model, options = open_model(hub, fake, upstream), types.HttpOptions(base_url=hub.url)
    # With a project, by an access token; without one, by an API key.
    named = {"project": "some-project", "location": "europe-west1"}
    for ways in (
        named | {"credentials": Credentials(token=tenant.key)},  # type: ignore[no-untyped-call]
        {"api_key": tenant.key},
    ):
        client = genai.Client(vertexai=True, http_options=options, **ways)
        whole = client.models.generate_content(model=model, contents=TEXT)
        assert whole.text == expected_text("a", TEXT, 6)
        pieces = list(client.models.generate_content_stream(model=model, contents=TEXT))
        assert "".join(piece.text or "" for piece in pieces) == expected_text("a", TEXT, 6)
        config = types.CountTokensConfig(system_instruction="Be brief.")
        counted = client.models.count_tokens(model=model, contents="a b c", config=config)
        assert (counted.total_tokens or 0) >= 3
        with pytest.raises(genai_errors.ClientError) as unknown:
            client.models.generate_content(model="no-such", contents="x")
        assert unknown.value.code == 404
        client.close()


# ---- Amazon's own client


def invoked(text: str = TEXT, **over: Any) -> str:
    turn = {"role": "user", "content": text}
    return json.dumps(
        {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 99, "messages": [turn]} | over
    )


def test_amazons_client_invokes_claude(hub: Hub, fake: FakeUpstream, of_amazon: Any) -> None:
    model = open_model(hub, fake, "anthropic")
    whole = of_amazon.invoke_model(modelId=model, body=invoked())
    assert json.loads(whole["body"].read())["content"][0]["text"] == expected_text("a", TEXT, 6)
    streamed = of_amazon.invoke_model_with_response_stream(modelId=model, body=invoked())
    assert (
        streamed["ResponseMetadata"]["HTTPHeaders"]["content-type"]
        == "application/vnd.amazon.eventstream"
    )
    events = [json.loads(event["chunk"]["bytes"]) for event in streamed["body"]]
    assert [events[0]["type"], events[-1]["type"]] == ["message_start", "message_stop"]
    counted = of_amazon.count_tokens(
        modelId=model, input={"invokeModel": {"body": invoked("a b c").encode()}}
    )
    assert counted["inputTokens"] >= 3


def test_amazons_client_counts_converse(hub: Hub, fake: FakeUpstream, of_amazon: Any) -> None:
    """As its provider counts the same request in Claude's form: tools and pictures too."""
    model = open_model(hub, fake, "anthropic")
    system, tool = [{"text": "Be brief."}], {
        "name": "now", "description": "The time.", "inputSchema": {"json": {"type": "object"}},
    }  # fmt: skip
    content = [{"text": "a b c"}, {"image": {"format": "png", "source": {"bytes": PIXEL}}}]
    conversed = {
        "messages": [{"role": "user", "content": content}],
        "system": system,
        "toolConfig": {"tools": [{"toolSpec": tool}]},
    }
    counted = of_amazon.count_tokens(modelId=model, input={"converse": conversed})
    picture = {"type": "base64", "media_type": "image/png", "data": b64encode(PIXEL).decode()}
    turn = [{"type": "text", "text": "a b c"}, {"type": "image", "source": picture}]
    same = invoked(
        messages=[{"role": "user", "content": turn}],
        system=[{"type": "text", "text": "Be brief."}],
        tools=[{"name": "now", "description": "The time.", "input_schema": {"type": "object"}}],
    )
    assert counted["inputTokens"] > 3
    expected = of_amazon.count_tokens(modelId=model, input={"invokeModel": {"body": same.encode()}})
    assert counted["inputTokens"] == expected["inputTokens"]


@pytest.mark.parametrize(
    ("input_", "param"),
    [
        ({}, "input.invokeModel"),
        ({"converse": 1}, "input.converse"),
        ({"converse": {"messages": 1}}, "input.converse.messages"),
        ({"converse": {"messages": [{"role": "x", "content": []}]}}, "input.converse.messages"),
    ],
    ids=["none", "no object", "no list", "role"],
)
def test_wrong_counts_name_their_member(
    hub: Hub, fake: FakeUpstream, input_: dict[str, Any], param: str
) -> None:
    model, tenant = open_model(hub, fake, "anthropic"), hub.tenant()
    answer = hub.post(tenant, {"input": input_}, path=f"/model/{model}/count-tokens")
    assert answer.status == 400
    assert answer.headers["x-amzn-errortype"] == "ValidationException"
    assert param.rpartition(".")[2] in answer.json()["message"]


def test_betas_of_the_body_reach_claude_as_a_header(
    hub: Hub, fake: FakeUpstream, of_amazon: Any
) -> None:
    model = open_model(hub, fake, "anthropic")
    betas = ["context-1m-2025-08-07", "effort-2025-11-24"]
    answer = of_amazon.invoke_model(
        modelId=model, body=invoked("#keep #tokens=1", anthropic_beta=betas)
    )
    request_id = answer["ResponseMetadata"]["HTTPHeaders"]["x-request-id"]
    row = fake.wait_for_row(id_text(hub.record(request_id)["id"]))
    assert row is not None
    assert row["headers"]["anthropic-beta"] == ",".join(betas)
    sent = json.loads(row["body"])
    assert not {"anthropic_version", "anthropic_beta"} & sent.keys()
    assert sent["stream"] is False


def test_errors_have_amazons_names(hub: Hub, fake: FakeUpstream, of_amazon: Any) -> None:
    model = open_model(hub, fake, "anthropic")
    for body, name, error, status in (
        (invoked(), "no-such", "ResourceNotFoundException", 404),
        (invoked(messages=3), model, "ValidationException", 400),
        ("{", model, "ValidationException", 400),
        (invoked("#fault=F8:seconds"), model, "ThrottlingException", 429),
    ):
        with pytest.raises(ClientError) as refused:
            of_amazon.invoke_model(modelId=name, body=body)
        answer = refused.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (
            error, status,
        )  # fmt: skip
        assert len(answer["ResponseMetadata"]["RequestId"]) == 26


def test_a_stream_that_breaks_off_ends_with_an_exception(
    hub: Hub, fake: FakeUpstream, of_amazon: Any
) -> None:
    model = open_model(hub, fake, "anthropic")
    answer = of_amazon.invoke_model_with_response_stream(
        modelId=model, body=invoked("#fault=F14:eof@2 #delay_ms=20")
    )
    with pytest.raises(EventStreamError, match="ended too early"):
        list(answer["body"])
    answer["body"].close()


# ---- Converse


TURN: dict[str, Any] = {"role": "user", "content": [{"text": TEXT}]}
WEATHER = {
    "toolSpec": {
        "name": TOOL["name"], "description": TOOL["description"],
        "inputSchema": {"json": TOOL["schema"]},
    }
}  # fmt: skip


@upstreams
def test_amazons_client_converses(
    hub: Hub, fake: FakeUpstream, of_amazon: Any, upstream: str
) -> None:
    model = open_model(hub, fake, upstream)
    whole = of_amazon.converse(modelId=model, messages=[TURN], system=[{"text": "Be brief."}])
    assert whole["output"]["message"]["content"] == [{"text": expected_text("a", TEXT, 6)}]
    assert (whole["stopReason"], whole["usage"]["outputTokens"]) == ("end_turn", 6)
    assert whole["metrics"]["latencyMs"] > 0
    assert len(whole["ResponseMetadata"]["RequestId"]) == 26
    events = list(of_amazon.converse_stream(modelId=model, messages=[TURN])["stream"])
    text = "".join(
        event["contentBlockDelta"]["delta"]["text"]
        for event in events
        if "contentBlockDelta" in event
    )
    assert text == expected_text("a", TEXT, 6)
    # Every event is one that the client knows.
    assert all(event for event in events)
    last = events[-1]["metadata"]
    assert last["usage"]["outputTokens"] == 6
    assert last["metrics"]["latencyMs"] > 0

    asked: list[Any] = [{"role": "user", "content": [{"text": CALLS}]}]
    tools = {"tools": [WEATHER]}
    first = of_amazon.converse(modelId=model, messages=asked, toolConfig=tools)
    blocks = first["output"]["message"]["content"]
    calls = [block["toolUse"] for block in blocks if "toolUse" in block]
    assert (first["stopReason"], len(calls)) == ("tool_use", 2)
    results = [
        {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"sky": "rain"}}]}}
        for call in calls
    ]
    asked += [first["output"]["message"], {"role": "user", "content": results}]
    again = of_amazon.converse(modelId=model, messages=asked, toolConfig=tools)
    assert again["stopReason"] == "end_turn"
    said = [{"role": "user", "content": [{"text": "#fault=F8:seconds"}]}]
    with pytest.raises(ClientError) as limited:
        of_amazon.converse(modelId=model, messages=said)
    assert limited.value.response["Error"]["Code"] == "ThrottlingException"


def test_broken_off_converse_stream_ends_with_an_exception(
    hub: Hub, fake: FakeUpstream, of_amazon: Any
) -> None:
    model = open_model(hub, fake, "openai")
    said = [{"role": "user", "content": [{"text": "#fault=F14:eof@2 #delay_ms=20"}]}]
    answer = of_amazon.converse_stream(modelId=model, messages=said)
    with pytest.raises(EventStreamError, match="ended too early"):
        list(answer["stream"])
    answer["stream"].close()


def test_account_bound_converse_features_are_rejected(
    hub: Hub, fake: FakeUpstream, of_amazon: Any
) -> None:
    model = open_model(hub, fake, "anthropic")
    stored = {"image": {"format": "png", "source": {"s3Location": {"uri": "s3://b/k"}}}}
    for over, words in (
        ({"guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"}}, "guardrail"),
        ({"messages": [{"role": "user", "content": [stored]}]}, "S3"),
    ):
        with pytest.raises(ClientError, match=words) as refused:
            of_amazon.converse(**({"modelId": model, "messages": [TURN]} | over))
        assert refused.value.response["Error"]["Code"] == "ValidationException"


# ---- both


@pytest.mark.parametrize("action", ["invoke", "converse"])
@pytest.mark.parametrize(
    ("fault", "name", "status"),
    [
        ("F5:401", "ModelErrorException", 502),
        ("F6:400", "ValidationException", 400),
        ("F10:500", "ModelErrorException", 502),
        ("F10:503", "ServiceUnavailableException", 503),
        ("F10:504", "ModelTimeoutException", 504),
    ],
)
def test_faults_of_providers_have_amazons_names(
    hub: Hub, fake: FakeUpstream, action: str, fault: str, name: str, status: int
) -> None:
    """F5 to F10, by a client that speaks either form."""
    model = open_model(hub, fake, "anthropic", retries=0)
    turn = {"role": "user", "content": [{"text": f"#fault={fault}"}]}
    body = invoked(f"#fault={fault}") if action == "invoke" else json.dumps({"messages": [turn]})
    answer = hub.post(hub.tenant(), body.encode(), path=f"/model/{model}/{action}")
    assert answer.headers["x-amzn-errortype"] == answer.json()["__type"] == name
    if action == "invoke" and status == 503:
        status = 529
    assert answer.status == status


@pytest.mark.parametrize("action", ["invoke", "converse-stream"])
def test_money_and_keys_apply_as_elsewhere(hub: Hub, fake: FakeUpstream, action: str) -> None:
    model = open_model(hub, fake, "anthropic")
    body = (invoked() if action == "invoke" else json.dumps({"messages": [TURN]})).encode()
    path = f"/model/{model}/{action}"
    poor = hub.post(hub.tenant("0"), body, path=path)
    assert (poor.status, poor.json()["__type"]) == (402, "ServiceQuotaExceededException")
    other = hub.post(hub.tenant(patterns=("other-*",)), body, path=path)
    assert (other.status, other.json()["__type"]) == (403, "AccessDeniedException")
    tenant = hub.tenant()
    hub.limit(tenant, endpoints=["chat_completions"])
    assert hub.post(tenant, body, path=path).status == 403
    capped = {"x-weir-max-cost": "0.000000001"}
    assert hub.post(hub.tenant(), body, path=path, headers=capped).status == 402


@pytest.mark.parametrize("action", ["invoke-with-response-stream", "converse-stream"])
def test_a_repeated_request_gets_the_same_stream(hub: Hub, fake: FakeUpstream, action: str) -> None:
    """P5: Amazon's messages are written again from what was stored."""
    model, tenant = open_model(hub, fake, "anthropic"), hub.tenant()
    body = (json.dumps({"messages": [TURN]}) if action[0] == "c" else invoked()).encode()
    once = {"idempotency-key": "k-1"}
    first, again = (
        hub.post(tenant, body, path=f"/model/{model}/{action}", headers=once) for _ in range(2)
    )
    assert again.headers["idempotent-replayed"] == "true"
    assert again.headers["content-type"] == "application/vnd.amazon.eventstream"
    told = [[(kind, body) for kind, body in messages(one.body)] for one in (first, again)]
    for events in told:
        # The time of an answer is its own.
        events[-1][1].pop("metrics", None)
    assert told[0] == told[1]


# ---- keys and names


def test_amazon_signature_is_answered_with_what_to_send(hub: Hub, fake: FakeUpstream) -> None:
    """Amazon's keys mean nothing here; a key of ours beside them does."""
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "secret"}
    model, client = open_model(hub, fake, "anthropic"), amazons_client(hub.url, **keys)
    with pytest.raises(ClientError, match="AWS_BEARER_TOKEN_BEDROCK") as refused:
        client.invoke_model(modelId=model, body=invoked())
    assert refused.value.response["Error"]["Code"] == "UnrecognizedClientException"
    client.close()
    signed = {"authorization": "AWS4-HMAC-SHA256 Credential=AKIAEXAMPLE/20261101/x, Signature=0"}
    path = f"/model/{model}/invoke"
    beside = signed | {"x-api-key": hub.tenant().key}
    assert hub.request("POST", path, None, invoked().encode(), beside).status == 200
    refused_here = hub.request("POST", "/v1/chat/completions", None, b"{}", signed)
    assert refused_here.status == 401
    assert "x-api-key" in refused_here.error["message"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/model/us.anthropic.{}-20250929-v1:0/invoke", invoked()),
        ("/model/anthropic.{}-20250929-v1:0/invoke", invoked()),
        ("/model/arn:aws:bedrock:us-east-1:1:inference-profile%2Fus.anthropic.{}-v2:0/invoke",
         invoked()),
        (f"{PROJECT}/publishers/anthropic/models/{{}}@20250929:rawPredict", invoked()),
        ("/projects/p/locations/global/publishers/anthropic/models/{}@latest:rawPredict",
         invoked()),
    ],
)  # fmt: skip
def test_cloud_model_name_leads_to_the_model(
    hub: Hub, fake: FakeUpstream, path: str, body: str
) -> None:
    model = open_model(hub, fake, "anthropic")
    tenant = hub.tenant(patterns=(model,))
    answer = hub.post(tenant, body.encode(), path=path.format(model))
    assert answer.status == 200, answer.body
    record = hub.record(answer.headers["x-request-id"])
    assert record["model"] == model
    # A name that is served as it stands comes first, and elsewhere no name is read so.
    chat = {"model": f"us.anthropic.{model}-v1:0", "messages": [{"role": "user", "content": "x"}]}
    assert hub.post(tenant, chat).status == 404


@pytest.mark.parametrize(
    ("path", "form"),
    [
        ("/model/m/invent", "message"),
        ("/v1beta1/projects/p/locations/l/publishers/google/models/m:predict", "error"),
        ("/projects/p/locations/l/publishers/anthropic/models/m:predict", "error"),
    ],
)
def test_unknown_cloud_paths_are_rejected_in_their_form(hub: Hub, path: str, form: str) -> None:
    answer = hub.post(hub.tenant(), {}, path=path)
    assert answer.status == 404
    assert form in answer.json()

"""Google's Interactions API for clients: through every upstream, stored and continued, and what it
does not offer.
"""

import json
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from lib.ids import id_text
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.relay.speakers import PICTURE, SCHEMA, TOOL, UPSTREAMS, Interactions, Wish
from tests.relay.test_matrix import ask_speaker, booked, open_model, send
from tests.support.hub import Answer, Hub, Tenant

with warnings.catch_warnings():
    # The library's own source has an escape that Python has begun to warn about.
    warnings.simplefilter("ignore")
    from google import genai
    from google.genai import types

pytestmark = pytest.mark.usefixtures("balanced_books")
upstreams = pytest.mark.parametrize("upstream", UPSTREAMS)
streamed = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
SPEAKER = Interactions()
PATH = "/v1beta/interactions"


@pytest.fixture
def tenant(hub: Hub) -> Tenant:
    return hub.tenant()


@pytest.fixture
def client(hub: Hub, tenant: Tenant) -> Iterator[genai.Client]:
    retries = types.HttpRetryOptions(attempts=1)
    options = types.HttpOptions(base_url=hub.url, retry_options=retries)
    client = genai.Client(api_key=tenant.key, vertexai=False, http_options=options)
    yield client
    client.close()


def create(hub: Hub, tenant: Tenant, model: str, **body: Any) -> Answer:
    return hub.post(tenant, {"model": model, "input": "#tokens=3 hello"} | body, path=PATH)


@upstreams
@streamed
def test_tools_in_two_phases(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, upstream: str, stream: bool
) -> None:
    model = open_model(hub, fake, upstream)
    wish = Wish("#reasoning=4 #tokens=4 #tools=2 weather?", stream, tools=True, think=True)
    text, answer, body = ask_speaker(hub, tenant, SPEAKER, model, wish)
    assert len(text.text.split()) == len(text.reasoning.split()) == 4
    assert [call.arguments["n"] for call in text.calls] == [0, 1]
    assert (text.whole, text.finish) == (True, "requires_action")
    booked(hub, fake, answer, SPEAKER, upstream, stream)
    followed = SPEAKER.follow(body, text, ["21 degrees", "rain"])
    answer = send(hub, tenant, SPEAKER, model, followed, stream)
    assert answer.status == 200, answer.body
    row = booked(hub, fake, answer, SPEAKER, upstream, stream)
    assert row["results"] == ["21 degrees", "rain"]


@upstreams
def test_official_client(hub: Hub, fake: FakeUpstream, client: genai.Client, upstream: str) -> None:
    model = open_model(hub, fake, upstream)
    # Its types have too many forms to be told apart at every step.
    interactions: Any = client.interactions
    whole = interactions.create(model=model, input="#tokens=6 hello")
    assert whole.output_text == expected_text("a", "#tokens=6 hello", 6)
    assert (whole.status, whole.usage.total_output_tokens) == ("completed", 6)
    assert interactions.get(whole.id).output_text == whole.output_text

    events = list(interactions.create(model=model, input="#reasoning=3 #tokens=4", stream=True))
    kinds = [event.event_type for event in events]
    assert (kinds[0], kinds[-1]) == ("interaction.created", "interaction.completed")
    deltas = [event.delta for event in events if event.event_type == "step.delta"]
    text = "".join(delta.text for delta in deltas if delta.type == "text")
    assert len(text.split()) == 4

    tool: Any = {"type": "function", "name": TOOL["name"], "parameters": TOOL["schema"]}
    asked = interactions.create(model=model, input="#tokens=2 #tools=1 weather?", tools=[tool])
    assert asked.status == "requires_action"
    (call,) = [step for step in asked.steps if step.type == "function_call"]
    assert call.name == "get_weather"
    result: Any = {
        "type": "function_result",
        "call_id": call.id,
        "name": call.name,
        "result": "rain",
    }
    told = interactions.create(
        model=model, previous_interaction_id=asked.id, input=[result], tools=[tool]
    )
    assert (told.status, told.previous_interaction_id) == ("completed", asked.id)
    assert fake.books()[-1]["results"] == ["rain"]

    form: Any = {"type": "text", "mime_type": "application/json", "schema": SCHEMA}
    trip = interactions.create(model=model, input="a trip", response_format=form)
    assert set(json.loads(trip.output_text)) == {"city", "days"}
    seen: Any = [
        {"type": "text", "text": "#tokens=2 what is this"},
        {"type": "image", "data": PICTURE, "mime_type": "image/png"},
    ]
    assert len(interactions.create(model=model, input=seen).output_text.split()) == 2
    interactions.delete(whole.id)
    with pytest.raises(Exception, match="does not exist") as missing:
        interactions.get(whole.id)
    assert type(missing.value).__name__ == "NotFoundError"
    with pytest.raises(Exception, match="provider's limit") as limited:
        interactions.create(model=model, input="#fault=F8:seconds")
    assert type(limited.value).__name__ == "RateLimitError"


@streamed
def test_stored_interaction_belongs_to_its_key(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, stream: bool
) -> None:
    """P12."""
    model = open_model(hub, fake, "anthropic")
    first = SPEAKER.read(create(hub, tenant, model, stream=stream))
    answer = create(hub, tenant, model, stream=stream)
    body = answer.body.decode()
    id_ = body[body.index("v1_") :].partition('"')[0]
    assert first.text
    shown = hub.get(f"{PATH}/{id_}?include_input=true", tenant).json()
    assert SPEAKER.plain(shown).text == first.text
    assert shown["input"][0]["content"][0]["text"] == "#tokens=3 hello"
    other = hub.tenant()
    for path in (id_, f"{id_}?include_input=true"):
        missing = hub.get(f"{PATH}/{path}", other)
        assert (missing.status, SPEAKER.error_of(missing.json())["code"]) == (404, "not_found")
    assert hub.get(f"/v1/responses/{id_}", tenant).status == 404
    refused = create(hub, other, model, previous_interaction_id=id_)
    assert "previous_interaction_id does not name a stored interaction" in refused.body.decode()
    assert create(hub, tenant, model, previous_interaction_id=id_).status == 200
    cancelled = hub.post(tenant, {}, path=f"{PATH}/{id_}/cancel")
    assert "background" in SPEAKER.error_of(cancelled.json())["message"]


def test_nothing_is_stored_against_the_clients_wish(
    hub: Hub, fake: FakeUpstream, tenant: Tenant
) -> None:
    answer = create(hub, tenant, open_model(hub, fake, "openai"), store=False)
    assert hub.get(f"{PATH}/{answer.json()['id']}", tenant).status == 404


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("agent", "deep-research-pro-preview-12-2025"),
        ("environment", "env_1"),
        ("webhook_config", {"uris": ["https://example.org"]}),
        ("continuation_token", "t"),
        ("cached_content", "cachedContents/1"),
        ("service_tier", "deferred"),
        ("tools", [{"type": "mcp_server", "url": "https://example.org"}]),
    ],
)
def test_unsupported_fields_are_rejected_by_name(
    hub: Hub, fake: FakeUpstream, tenant: Tenant, member: str, value: Any
) -> None:
    answer = create(hub, tenant, open_model(hub, fake, "anthropic"), **{member: value})
    error = SPEAKER.error_of(answer.json())
    assert (answer.status, error["code"]) == (400, "invalid_request")
    assert member in error["message"]
    assert id_text(hub.record(answer.headers["x-request-id"])["id"])

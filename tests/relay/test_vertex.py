"""Vertex AI through the hub, from clients of every dialect: Gemini, Claude and an open model, each
in its own form; temporary credentials, and their faults (docs/promises.md, "Fault table")."""

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import anthropic
import pytest

from lib.ids import id_text
from tests.fakes.google_keys import PRIVATE, PROJECT, service_account_key
from tests.fakes.upstream import FakeUpstream, expected_text
from tests.fakes.vertex import FOREIGN, LOCATION, FakeVertex
from tests.relay.speakers import SPEAKERS, Speaker, Wish
from tests.relay.test_matrix import IN, OUT, RATES
from tests.support.hub import TOKEN_FILE, Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

GEMINI = "gemini-2.5-flash"
CLAUDE = "claude-sonnet-4-5@20250929"
LLAMA = "meta/llama-3.3-70b-instruct-maas"
NAMES = {"gemini": GEMINI, "claude": CLAUDE, "llama": LLAMA}
DIALECTS = {GEMINI: "gemini", CLAUDE: "messages", LLAMA: "chat"}
PLACE = f"/v1/projects/{PROJECT}/locations/{LOCATION}"
named = pytest.mark.parametrize("named", NAMES.values(), ids=NAMES)
clients = pytest.mark.parametrize("client", SPEAKERS)
plain_and_streamed = pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])


@pytest.fixture
def vertex(fake: FakeUpstream) -> Iterator[FakeVertex]:
    with FakeVertex(fake) as vertex:
        yield vertex


def open_model(hub: Hub, vertex: FakeVertex, key: str = "", **over: Any) -> str:
    name = f"m-{secrets.token_hex(6)}"
    hub.price(name, RATES)
    settings = {"provider": "vertex", "upstream_model": GEMINI} | over
    hub.channel(name, settings.pop("base_url", vertex.url), key or vertex.key, **settings)
    hub.know(name, listed=True)
    return name


def ask(hub: Hub, tenant: Tenant, speaker: Speaker, model: str, wish: Wish) -> Answer:
    path = speaker.path(model, stream=wish.stream)
    return hub.post(tenant, speaker.body(model, wish), path=path)


def booked(hub: Hub, fake: FakeUpstream, answer: Answer, named: str) -> dict[str, Any]:
    """The fake's row; our record has the same counts, and the price of them."""
    record = hub.record(answer.headers["x-request-id"])
    row = fake.wait_for_row(id_text(record["id"]))
    assert row is not None
    assert (row["dialect"], row["unknown"]) == (DIALECTS[named], [])
    usage, meters = row["usage"], record["meters"]
    sides = {
        side: sum(count for name, count in meters.items() if name.startswith(side))
        for side in ("in_", "out_")
    }
    assert sides == {"in_": usage["prompt_tokens"], "out_": usage["completion_tokens"]}
    assert record["charge_nano"] == sides["in_"] * IN + sides["out_"] * OUT
    assert (record["status"], record["basis"]) == (200, "measured")
    assert "unknown_member" not in record["flags"]
    return row


def faults(hub: Hub, answer: Answer) -> set[str]:
    """The rows of the fault table that its attempts met."""
    records = hub.records(answer.headers["x-request-id"])
    return {flag for record in records for flag in record["flags"]}


def path_of(named: str, *, stream: bool) -> str:
    if named == LLAMA:
        return f"{PLACE}/endpoints/openapi/chat/completions"
    if named == CLAUDE:
        verb = "streamRawPredict" if stream else "rawPredict"
        return f"{PLACE}/publishers/anthropic/models/{quote(named, safe='')}:{verb}"
    verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"{PLACE}/publishers/google/models/{named}:{verb}"


# ---- the models


@named
@plain_and_streamed
@clients
def test_text(
    hub: Hub, fake: FakeUpstream, vertex: FakeVertex, client: str, stream: bool, named: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = open_model(hub, vertex, upstream_model=named)
    wish = Wish("#tokens=12 #lang=mixed #cached=2 good morning", stream)
    answer = ask(hub, tenant, speaker, model, wish)
    assert answer.status == 200, answer.body
    text = speaker.read(answer)
    assert text.text == expected_text("a", wish.text, 12, "mixed")
    assert (text.whole, text.error) == (True, None)
    row = booked(hub, fake, answer, named)
    assert text.usage == (row["usage"]["prompt_tokens"], 12)
    # Neither the provider's name nor the project is told.
    assert named.encode() not in answer.body
    assert PROJECT.encode() not in answer.body
    (sent,) = vertex.requests
    assert sent["path"] == path_of(named, stream=stream)
    assert "x-goog-api-key" not in {name.lower() for name in sent["headers"]}


@named
@plain_and_streamed
@clients
def test_tools_in_two_phases(
    hub: Hub, fake: FakeUpstream, vertex: FakeVertex, client: str, stream: bool, named: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = open_model(hub, vertex, upstream_model=named)
    wish = Wish("#tokens=4 #tools=2 weather?", stream, tools=True)
    body = speaker.body(model, wish)
    path = speaker.path(model, stream=stream)
    first = speaker.read(hub.post(tenant, body, path=path))
    assert [call.name for call in first.calls] == ["get_weather", "get_weather"]
    followed = speaker.follow(body, first, ["21 degrees", "rain"])
    answer = hub.post(tenant, followed, path=path)
    assert answer.status == 200, answer.body
    assert speaker.read(answer).whole
    assert booked(hub, fake, answer, named)["results"] == ["21 degrees", "rain"]


@pytest.mark.parametrize("named", [GEMINI, CLAUDE], ids=["gemini", "claude"])
@clients
def test_pictures_and_thoughts(
    hub: Hub, fake: FakeUpstream, vertex: FakeVertex, client: str, named: str
) -> None:
    speaker, tenant = SPEAKERS[client], hub.tenant()
    model = open_model(hub, vertex, upstream_model=named)
    wish = Wish("#reasoning=6 #tokens=5 think", stream=True, think=True, image=True)
    answer = ask(hub, tenant, speaker, model, wish)
    assert answer.status == 200, answer.body
    assert len(speaker.read(answer).reasoning.split()) == 6
    (picture,) = booked(hub, fake, answer, named)["media"]
    assert picture["kind"] == "image"


@pytest.mark.parametrize("named", [GEMINI, CLAUDE], ids=["gemini", "claude"])
def test_tokens_are_counted_by_vertex(hub: Hub, vertex: FakeVertex, named: str) -> None:
    """Gemini's request inside a request is unwrapped; Claude's names its model."""
    tenant, model = hub.tenant("0"), open_model(hub, vertex, upstream_model=named)
    if named == CLAUDE:
        body: Any = {
            "model": model,
            "messages": [{"role": "user", "content": "one two three four"}],
        }
        answer = hub.post(tenant, body, path="/v1/messages/count_tokens")
        assert answer.json() == {"input_tokens": 4}
        ends = "/publishers/anthropic/models/count-tokens:rawPredict"
    else:
        inner: Any = {
            "model": f"models/{model}",
            "contents": [{"parts": [{"text": "one two three"}]}],
        }
        body = {"generateContentRequest": inner}
        answer = hub.post(tenant, body, path=f"/v1beta/models/{model}:countTokens")
        assert answer.json()["totalTokens"] == 3
        ends = f"/publishers/google/models/{GEMINI}:countTokens"
    assert [sent["path"] for sent in vertex.requests] == [PLACE + ends]


def test_the_official_client_with_betas(hub: Hub, vertex: FakeVertex) -> None:
    """Vertex refuses betas that it does not know: they are left out, and named."""
    tenant, model = hub.tenant(), open_model(hub, vertex, upstream_model=CLAUDE)
    with anthropic.Anthropic(base_url=hub.url, api_key=tenant.key, max_retries=0) as client:
        got = client.beta.messages.with_raw_response.create(
            model=model,
            max_tokens=64,
            messages=[{"role": "user", "content": "#tokens=6 hello"}],
            betas=["interleaved-thinking-2025-05-14", "files-api-2025-04-14"],
            service_tier="auto",
        )
    assert got.parse().usage.output_tokens == 6
    (sent,) = vertex.requests
    headers = {name.lower(): value for name, value in sent["headers"].items()}
    betas = "web-search-2025-03-05,interleaved-thinking-2025-05-14"
    assert headers["anthropic-beta"] == betas
    assert got.headers["x-weir-dropped-params"] == "service_tier,files-api-2025-04-14"


# ---- credentials


def test_one_fetch_for_all_requests(hub: Hub, vertex: FakeVertex) -> None:
    """Thirty at once fetch credentials once; so do those after a change of the catalogue."""
    speaker, tenant, model = SPEAKERS["openai"], hub.tenant(), open_model(hub, vertex)
    with ThreadPoolExecutor(30) as threads:
        statuses = threads.map(
            lambda n: ask(hub, tenant, speaker, model, Wish(f"#tokens=2 {n}")).status, range(30)
        )
        assert set(statuses) == {200}
    assert vertex.issued == 1
    open_model(hub, vertex)
    assert ask(hub, tenant, speaker, model, Wish("#tokens=2 again")).status == 200
    assert vertex.issued == 1


def test_other_kinds_of_keys(hub: Hub, vertex: FakeVertex) -> None:
    speaker, wish = SPEAKERS["gemini"], Wish("#tokens=3 hello")
    TOKEN_FILE.write_text(FOREIGN + "\n")
    keys = (vertex.machine_key, vertex.federated_key(str(TOKEN_FILE)), vertex.api_key)
    for key in keys:
        answer = ask(hub, hub.tenant(), speaker, open_model(hub, vertex, key), wish)
        assert speaker.read(answer).text == expected_text("a", wish.text, 3)
    tokens = [sent["headers"].get("authorization", "") for sent in vertex.requests]
    # The exchanged token is not the one that is sent.
    assert [token[:19] for token in tokens] == ["Bearer ya29.fake-to", "Bearer ya29.fake-to", ""]
    assert vertex.issued == 3


def bad_key(vertex: FakeVertex, why: str) -> str:
    if why == "another machine's file":
        return vertex.federated_key("/etc/passwd")
    over = {"another account": {"client_email": "eve@evil.iam.gserviceaccount.com"},
            "another key": {"private_key_id": "0" * 40}}[why]  # fmt: skip
    return json.dumps(service_account_key(f"{vertex.origin}/token") | over)


@pytest.mark.parametrize("why", ["another account", "another key", "another machine's file"])
def test_rejected_key_is_a_key_fault(hub: Hub, vertex: FakeVertex, why: str) -> None:
    """F5; nothing of the key is told, to the client or in the log."""
    speaker, model = SPEAKERS["openai"], open_model(hub, vertex, bad_key(vertex, why))
    answer = ask(hub, hub.tenant(), speaker, model, Wish())
    assert (answer.status, answer.error["code"]) == (502, "upstream_error")
    record = hub.record(answer.headers["x-request-id"])
    assert (record["kind"], record["charge_nano"]) == ("upstream_auth", 0)
    assert "F5" in faults(hub, answer)
    assert (vertex.requests, vertex.issued) == ([], 0)
    for secret in (PRIVATE.splitlines()[1], "root:", PROJECT):
        assert secret.encode() not in answer.body
        assert secret not in hub.log()


@pytest.mark.parametrize(
    ("fault", "row"),
    [("refuse", "F5"), ("500", "F1"), ("html", "F1"), ("hang", "F4"), ("drip", "F4")],
)
def test_a_source_that_fails(
    hub: Hub, fake: FakeUpstream, vertex: FakeVertex, fault: str, row: str
) -> None:
    """A fault there is a 502, never 401, 402 or 403; and the next channel answers."""
    speaker, tenant, wish = SPEAKERS["openai"], hub.tenant(), Wish("#tokens=3 hello")
    vertex.fault = fault
    # Who is to wait waits no longer than it takes; who is to be answered is, on a busy machine too.
    timeouts = {"first_content": 0.5 if row == "F4" else 20.0}
    model = open_model(hub, vertex, timeouts=timeouts)
    answer = ask(hub, tenant, speaker, model, wish)
    assert answer.status == 502, answer.body
    assert row in faults(hub, answer)
    assert hub.record(answer.headers["x-request-id"])["charge_nano"] == 0
    both = f"m-{secrets.token_hex(6)}"
    hub.price(both, RATES)
    hub.channel(both, fake.url, fake.key, priority=1)
    settings: Any = {"provider": "vertex", "timeouts": timeouts}
    hub.channel(both, vertex.url, vertex.key, **settings)
    hub.know(both)
    other = ask(hub, tenant, speaker, both, wish)
    assert speaker.read(other).text == expected_text("a", wish.text, 3)
    assert row in faults(hub, other)
    assert vertex.requests == []


def test_revoked_token_is_fetched_again(hub: Hub, vertex: FakeVertex) -> None:
    """P26: the credentials are forgotten with the refusal, so that the next attempt succeeds."""
    speaker, tenant, model = SPEAKERS["openai"], hub.tenant(), open_model(hub, vertex)
    assert ask(hub, tenant, speaker, model, Wish("#tokens=2 a")).status == 200
    vertex.revoke()
    answer = ask(hub, tenant, speaker, model, Wish("#tokens=2 b"))
    assert (answer.status, faults(hub, answer)) == (200, {"F5"})
    assert vertex.issued == 2


# ---- faults


@pytest.mark.parametrize(
    ("fault", "status", "row"),
    [
        ("F6:400", 400, "F6"),
        ("F7", 502, "F7"),
        ("F8:seconds", 429, "F8"),
        ("F10:500", 502, "F10"),
        ("F10:503", 503, "F10"),
        ("F14:close", 502, "F14"),
        ("F24:200", 502, "F24"),
    ],
)
@named
def test_faults_before_content(
    hub: Hub, vertex: FakeVertex, fault: str, status: int, row: str, named: str
) -> None:
    speaker = SPEAKERS["openai"]
    model = open_model(hub, vertex, upstream_model=named)
    answer = ask(hub, hub.tenant(), speaker, model, Wish(f"#fault={fault} #tokens=6"))
    assert answer.status == status, answer.body
    assert row in faults(hub, answer)


@pytest.mark.parametrize(
    ("fault", "row"),
    [("F23:error@4", "F23"), ("F14:eof@4", "F14"), ("F14:chunk@4", "F14")],
)
@named
@clients
def test_faults_in_mid_stream(
    hub: Hub, vertex: FakeVertex, client: str, fault: str, row: str, named: str
) -> None:
    """A prefix, one typed error, no end, and what was told is charged."""
    speaker, model = SPEAKERS[client], open_model(hub, vertex, upstream_model=named)
    wish = Wish(f"#fault={fault} #tokens=20 #delay_ms=5", stream=True)
    answer = ask(hub, hub.tenant(), speaker, model, wish)
    text = speaker.read(answer)
    assert (text.whole, answer.status) == (False, 200)
    assert text.error is not None
    assert text.text
    assert expected_text("a", wish.text, 20).startswith(text.text)
    record = hub.record(answer.headers["x-request-id"])
    assert row in record["flags"]
    assert record["charge_nano"] > 0


@named
def test_foreign_project_is_a_key_fault(hub: Hub, vertex: FakeVertex, named: str) -> None:
    """Google's own error, in Google's form, whatever the model's."""
    url = f"{vertex.origin}/v1/projects/another/locations/{LOCATION}"
    model = open_model(hub, vertex, upstream_model=named, base_url=url)
    answer = ask(hub, hub.tenant(), SPEAKERS["anthropic"], model, Wish())
    assert answer.status == 502
    assert faults(hub, answer) == {"F5"}

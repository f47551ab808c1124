"""Embeddings and images of Vertex AI over the real hub: what is sent is what Google's own client
sends, and what is booked is what the fake billed (P2, F25, F28)."""

import json
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import types
from google.oauth2.credentials import Credentials

from tests.fakes.google_keys import PROJECT
from tests.fakes.upstream import FakeUpstream
from tests.fakes.vertex import LOCATION, FakeVertex
from tests.fakes.vertex_predictions import picture, vector
from tests.support.hub import Answer, Hub, Tenant

pytestmark = pytest.mark.usefixtures("balanced_books")

IN, IMAGE = 1_000, 40_000_000
TEXTS = ["two words", "and three more"]
GEMINI_DIMENSIONS = 5


@pytest.fixture
def vertex(fake: FakeUpstream) -> Iterator[FakeVertex]:
    with FakeVertex(fake) as vertex:
        yield vertex


@pytest.fixture
def google(vertex: FakeVertex) -> genai.Client:
    """Google's own client, at the fake."""
    return genai.Client(
        vertexai=True, project=PROJECT, location=LOCATION,
        credentials=Credentials(token=vertex.issue()),  # type: ignore[no-untyped-call]
        http_options=types.HttpOptions(base_url=vertex.origin, api_version="v1"),
    )  # fmt: skip


def open_model(hub: Hub, vertex: FakeVertex, upstream: str, **over: Any) -> str:
    name = f"m-{secrets.token_hex(6)}"
    rates = {"images": IMAGE * 10**6} if upstream.startswith("imagen") else {"in_text": IN * 10**6}
    hub.price(name, rates)
    hub.channel(name, vertex.url, vertex.key, provider="vertex", upstream_model=upstream, **over)
    hub.know(name)
    return name


def last(vertex: FakeVertex) -> tuple[str, Any]:
    sent = vertex.requests[-1]
    return sent["path"], json.loads(sent["body"])


def embedded(hub: Hub, tenant: Tenant, model: str, **members: Any) -> Answer:
    return hub.post(tenant, {"model": model, **members}, path="/v1/embeddings")


def booked(hub: Hub, answer: Answer, meters: dict[str, int], price: int) -> None:
    record = hub.record(answer.headers["x-request-id"])
    assert (record["meters"], record["basis"]) == (meters, "measured")
    assert record["charge_nano"] == price * sum(meters.values()) <= record["hold_nano"]


def test_embeddings_match_googles_client(
    hub: Hub, vertex: FakeVertex, google: genai.Client
) -> None:
    name, config = "text-embedding-005", types.EmbedContentConfig(output_dimensionality=4)
    model, tenant = open_model(hub, vertex, name), hub.tenant()
    theirs = google.models.embed_content(model=name, contents=TEXTS, config=config)
    expected = last(vertex)
    answer = embedded(hub, tenant, model, input=TEXTS, dimensions=4)
    assert answer.status == 200, answer.body
    assert last(vertex) == expected
    rows = answer.json()["data"]
    assert [row["embedding"] for row in rows] == [one.values for one in theirs.embeddings or ()]
    assert answer.json()["usage"]["prompt_tokens"] == 5
    booked(hub, answer, {"in_text": 5}, IN)
    assert vertex.predictions.billed[-2:] == [{"in_text": 2}, {"in_text": 3}]


@pytest.mark.parametrize("name", ["text-embedding-005", "gemini-embedding-2"])
def test_gemini_form_matches_googles_client(
    hub: Hub, vertex: FakeVertex, google: genai.Client, name: str
) -> None:
    """A task type and a title go along, in the place that each form has for them."""
    model, tenant = open_model(hub, vertex, name), hub.tenant()
    google.models.embed_content(
        model=name, contents=TEXTS[0],
        config=types.EmbedContentConfig(
            task_type="RETRIEVAL_DOCUMENT", title="T", output_dimensionality=GEMINI_DIMENSIONS
        ),
    )  # fmt: skip
    expected = last(vertex)
    body = {
        "content": {"parts": [{"text": TEXTS[0]}]}, "taskType": "RETRIEVAL_DOCUMENT", "title": "T",
        "outputDimensionality": GEMINI_DIMENSIONS,
    }  # fmt: skip
    answer = hub.post(tenant, body, path=f"/v1beta/models/{model}:embedContent")
    assert answer.status == 200, answer.body
    assert last(vertex) == expected
    assert answer.json() == {"embedding": {"values": vector(TEXTS[0], GEMINI_DIMENSIONS)}}
    booked(hub, answer, {"in_text": 2}, IN)


def test_model_that_embeds_one_text_says_so(hub: Hub, vertex: FakeVertex) -> None:
    model, tenant = open_model(hub, vertex, "gemini-embedding-2"), hub.tenant()
    answer = embedded(hub, tenant, model, input=TEXTS)
    assert (answer.status, vertex.requests) == (400, [])
    assert "one text for this model" in answer.error["message"]
    assert embedded(hub, tenant, model, input=TEXTS[0]).status == 200


@pytest.mark.parametrize(
    ("words", "basis", "flags"),
    [("#float", "measured", []), ("#nocount", "estimated", ["usage_missing"])],
)
def test_missing_or_unusual_google_counts(
    hub: Hub, vertex: FakeVertex, words: str, basis: str, flags: list[str]
) -> None:
    model, tenant = open_model(hub, vertex, "text-embedding-005"), hub.tenant()
    answer = embedded(hub, tenant, model, input=f"two words {words}")
    record = hub.record(answer.headers["x-request-id"])
    assert (answer.status, record["basis"], record["flags"]) == (200, basis, flags)
    assert 0 < record["charge_nano"] <= record["hold_nano"]


def test_missing_embeddings_are_a_fault(hub: Hub, vertex: FakeVertex) -> None:
    """F24: nothing is charged."""
    model, tenant = open_model(hub, vertex, "text-embedding-005"), hub.tenant()
    answer = embedded(hub, tenant, model, input="#nothing")
    assert answer.status == 502
    assert hub.balance(tenant).get("revenue", 0) == 0


@pytest.mark.filterwarnings("ignore:The generate_images method is deprecated")
@pytest.mark.parametrize(("size", "ratio"), [("1024x1024", "1:1"), ("1792x1024", "16:9")])
def test_images_match_googles_client(
    hub: Hub, vertex: FakeVertex, google: genai.Client, size: str, ratio: str
) -> None:
    name = "imagen-4.0-generate-001"
    model, tenant = open_model(hub, vertex, name), hub.tenant("100")
    large = "2K" if ratio == "16:9" else None
    theirs = google.models.generate_images(
        model=name, prompt="a boat",
        config=types.GenerateImagesConfig(number_of_images=2, aspect_ratio=ratio, image_size=large),
    )  # fmt: skip
    expected = last(vertex)
    body = {"model": model, "prompt": "a boat", "n": 2, "size": size}
    answer = hub.post(tenant, body, path="/v1/images/generations")
    assert answer.status == 200, answer.body
    assert last(vertex) == expected
    pictures = [row["b64_json"] for row in answer.json()["data"]]
    assert pictures == [picture(0), picture(1)]
    assert len(theirs.generated_images or ()) == 2
    booked(hub, answer, {"images": 2}, IMAGE)


def test_filtered_images_are_not_charged(hub: Hub, vertex: FakeVertex) -> None:
    model = open_model(hub, vertex, "imagen-4.0-generate-001", retries=0)
    tenant = hub.tenant("100")
    body = {"model": model, "prompt": "a boat #filter=1", "n": 2}
    answer = hub.post(tenant, body, path="/v1/images/generations")
    assert len(answer.json()["data"]) == 1
    booked(hub, answer, {"images": 1}, IMAGE)
    answer = hub.post(tenant, body | {"prompt": "#filter=2"}, path="/v1/images/generations")
    assert answer.status == 400
    assert "Unable to show" in answer.error["message"]
    assert hub.record(answer.headers["x-request-id"])["charge_nano"] == 0
    assert vertex.predictions.billed == [{"images": 1}, {"images": 0}]


def test_image_edits_are_rejected_before_sending(hub: Hub, vertex: FakeVertex) -> None:
    model, tenant = open_model(hub, vertex, "imagen-4.0-generate-001"), hub.tenant("100")
    body = {
        "model": model,
        "prompt": "x",
        "images": [{"image_url": f"data:image/png;base64,{picture(1)}"}],
    }
    answer = hub.post(tenant, body, path="/v1/images/edits")
    assert (answer.status, vertex.requests) == (400, [])
    assert "edits of images" in answer.error["message"]

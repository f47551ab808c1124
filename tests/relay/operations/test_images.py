"""Images, over the real hub: what clients read, what the provider was asked, what the books say."""

import base64
import json
from typing import Any

import openai
import pytest

from lib.ids import id_text
from tests.fakes.media import picture
from tests.fakes.upstream import FakeUpstream
from tests.relay.clients import OpenAIClient
from tests.support.hub import Answer, Hub

pytestmark = pytest.mark.usefixtures("balanced_books")

EACH = 10**6 * 10**9
PICTURES = {"images": 4 * EACH, "images[1024x1024,high]": 2 * EACH, "images[low]": EACH}
TOKENS = {"in_text": 10**6, "in_image": 2 * 10**6, "out_image": 3 * 10**6, "out_text": 10**6}
GENERATIONS, EDITS = "/v1/images/generations", "/v1/images/edits"
PNG = picture("mine")


def booked(hub: Hub, fake: FakeUpstream, request_id: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our record of a request that succeeded, and the provider's under the same id."""
    record = hub.record(request_id)
    row = fake.wait_for_row(id_text(record["id"]))
    assert (record["status"], row["outcome"], row["unknown"]) == (200, "finished", [])
    return record, row


def form(*parts: tuple[str, bytes | str], boundary: str = "xyz") -> tuple[bytes, dict[str, str]]:
    """A form in exactly this order; bytes are a file."""
    lines: list[bytes] = []
    for name, value in parts:
        is_file = isinstance(value, bytes)
        what = '; filename="a.bin"\r\nContent-Type: text/plain' if is_file else ""
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{what}\r\n\r\n'
        content = value if isinstance(value, bytes) else value.encode()
        lines += [head.encode(), content, b"\r\n"]
    body = b"".join(lines) + f"--{boundary}--\r\n".encode()
    return body, {"content-type": f"multipart/form-data; boundary={boundary}"}


def post_form(hub: Hub, tenant: Any, path: str, *parts: tuple[str, bytes | str]) -> Answer:
    body, headers = form(*parts)
    return hub.request("POST", path, tenant, body=body, headers=headers)


@pytest.mark.parametrize(
    ("wish", "meter"),
    [
        ({"size": "1024x1024", "quality": "high"}, "images[1024x1024,high]"),
        ({"size": "512x512", "quality": "low"}, "images[low]"),
        ({"size": "512x512"}, "images"),
    ],
)
def test_pictures_are_billed_by_size_and_quality(
    hub: Hub, fake: FakeUpstream, wish: dict[str, str], meter: str
) -> None:
    tenant, model = hub.tenant("100"), hub.model(fake, rates=PICTURES)
    body = {"model": model, "prompt": "a boat", "n": 2, "response_format": "url"} | wish
    answer = hub.post(tenant, body, path=GENERATIONS)
    assert answer.status == 200, answer.body
    assert [set(item) for item in answer.json()["data"]] == [{"url"}] * 2
    record, row = booked(hub, fake, answer.headers["x-request-id"])
    assert (record["operation"], record["meters"]) == ("image_generations", {meter: 2})
    assert (row["units"], record["basis"]) == ({"images": 2}, "measured")
    assert record["charge_nano"] == 2 * PICTURES[meter] // 10**6
    assert record["charge_nano"] <= record["hold_nano"]
    assert float(answer.headers["x-weir-cost"]) * 10**9 == record["charge_nano"]


def test_pictures_are_billed_by_tokens(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS)
    raw = openai_client(tenant.key).images.with_raw_response.generate(
        model=model, prompt="a small boat #tokens=9", n=2, size="1024x1024"
    )
    answer = raw.parse()
    assert answer.data is not None
    assert answer.usage is not None
    assert all(base64.b64decode(item.b64_json or "").startswith(b"\x89PNG") for item in answer.data)
    record, row = booked(hub, fake, raw.headers["x-request-id"])
    usage = row["usage"]
    wanted = {"in_text": usage["prompt_tokens"], "out_image": usage["completion_tokens"]}
    assert record["meters"] == wanted == {"in_text": 4, "out_image": 18}
    assert record["charge_nano"] == 4 + 18 * 3


@pytest.mark.parametrize("operation", ["generate", "edit"])
def test_streamed_pictures(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, operation: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS)
    images = openai_client(tenant.key).images
    wish: dict[str, Any] = {"model": model, "prompt": "a boat", "stream": True, "partial_images": 2}
    if operation == "edit":
        wish["image"] = ("boat.png", PNG)
    with getattr(images, operation)(**wish) as stream:
        events = list(stream)
    kind = "image_edit" if operation == "edit" else "image_generation"
    kinds = [event.type for event in events]
    assert kinds == [f"{kind}.partial_image"] * 2 + [f"{kind}.completed"]
    record, _ = booked(hub, fake, stream.response.headers["x-request-id"])
    seen = {"in_image": 1} if operation == "edit" else {}
    assert record["meters"] == {"in_text": 2, "out_image": 16} | seen
    assert (record["stream"], record["basis"]) == (True, "measured")


@pytest.mark.parametrize("file_first", [True, False])
@pytest.mark.parametrize("size", [0, 2_000_000])
def test_edits_by_a_form_in_any_order(
    hub: Hub, fake: FakeUpstream, file_first: bool, size: int
) -> None:
    """What a file is called does not count; a large one waits on the disk."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS)
    created = picture("mine", size)
    files: list[tuple[str, bytes | str]] = [("image[]", created), ("image[]", PNG), ("mask", PNG)]
    texts: list[tuple[str, bytes | str]] = [
        ("model", model), ("prompt", "paint #keep"), ("n", "2"), ("max_cost", "1"),
    ]  # fmt: skip
    parts = [*files, *texts] if file_first else [*texts, *files]
    answer = post_form(hub, tenant, EDITS, *parts)
    assert answer.status == 200, answer.body
    record, row = booked(hub, fake, answer.headers["x-request-id"])
    assert [(one["type"], one["bytes"]) for one in row["media"]] == [
        ("image/png", len(created)), ("image/png", len(PNG)),
    ]  # fmt: skip
    assert 'filename="a.png"' in row["body"]
    assert "max_cost" not in row["body"]
    assert record["meters"] == {"in_text": 2, "in_image": 2, "out_image": 32}


def test_edits_in_json_and_variations(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS)
    address = "data:image/png;base64," + base64.b64encode(PNG).decode()
    body = {"model": model, "prompt": "paint", "images": [{"image_url": address}]}
    answer = hub.post(tenant, body, path="/api/v1/images/edits")
    record, row = booked(hub, fake, answer.headers["x-request-id"])
    assert [one["bytes"] for one in row["media"]] == [len(PNG)]
    assert record["meters"] == {"in_text": 1, "in_image": 1, "out_image": 16}
    images = openai_client(tenant.key).images
    with pytest.warns(DeprecationWarning, match="deprecated"):
        varied = images.with_raw_response.create_variation(model=model, image=("a.png", PNG))
    record, row = booked(hub, fake, varied.headers["x-request-id"])
    assert (record["operation"], len(row["media"])) == ("image_variations", 1)


@pytest.mark.parametrize("qwen_body", [True, False])
@pytest.mark.parametrize("provider", ["qwen", "openai"])
def test_both_forms_reach_both_providers(
    hub: Hub, fake: FakeUpstream, qwen_body: bool, provider: str
) -> None:
    rates = {"images": EACH, "images[512x512]": 2 * EACH}
    tenant, model = hub.tenant(), hub.model(fake, rates=rates, provider=provider)
    body: dict[str, Any] = {
        "model": model,
        "prompt": "a paper boat #keep",
        "n": 2,
        "size": "512x512",
    }
    if qwen_body:
        content = [{"text": "a paper boat #keep"}]
        body = {
            "model": model,
            "input": {"messages": [{"role": "user", "content": content}]},
            "parameters": {"n": 2, "size": "512*512"},
        }
    answer = hub.post(tenant, body, path=GENERATIONS)
    assert answer.status == 200, answer.body
    assert len(answer.json()["data"]) == 2
    record, row = booked(hub, fake, answer.headers["x-request-id"])
    assert record["meters"] == {"images[512x512]": 2}
    sent = json.loads(row["body"])
    size = sent["parameters"]["size"] if provider == "qwen" else sent["size"]
    assert size == ("512*512" if provider == "qwen" else "512x512")
    assert "text/event-stream" not in answer.headers["content-type"]


def test_qwen_edits_form_files(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates={"images": EACH}, provider="qwen")
    answer = post_form(hub, tenant, EDITS, ("image", PNG), ("model", model), ("prompt", "paint"))
    assert answer.status == 200, answer.body
    _, row = booked(hub, fake, answer.headers["x-request-id"])
    assert [(one["type"], one["bytes"]) for one in row["media"]] == [("image/png", len(PNG))]


def test_the_whole_form_goes_to_the_next_channel(
    hub: Hub, fake: FakeUpstream, other_fake: FakeUpstream
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, other_fake, rates=TOKENS)
    created = picture("mine", 600_000)
    parts: tuple[tuple[str, bytes | str], ...] = (
        ("image", created), ("prompt", "paint #a.fault=F10:500"), ("model", model),
    )  # fmt: skip
    answer = post_form(hub, tenant, EDITS, *parts)
    assert answer.status == 200, answer.body
    _, row = booked(hub, other_fake, answer.headers["x-request-id"])
    assert [one["bytes"] for one in row["media"]] == [len(created)]


@pytest.mark.parametrize(
    ("wish", "kind"),
    [
        ("#fault=F6:400", openai.BadRequestError),
        ("#fault=F23:body", openai.InternalServerError),
        ("#fault=F24:200", openai.InternalServerError),
        ("#fault=F15", openai.InternalServerError),
        ("#fault=F14:close", openai.InternalServerError),
    ],
)
def test_failure_costs_nothing(
    hub: Hub, openai_client: OpenAIClient, fake: FakeUpstream, wish: str, kind: type[Exception]
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS, retries=0)
    with pytest.raises(kind) as caught:
        openai_client(tenant.key).images.generate(model=model, prompt=f"boat {wish}")
    assert isinstance(caught.value, openai.APIStatusError)
    record = hub.record(caught.value.response.headers["x-request-id"])
    assert record["charge_nano"] == 0


def test_a_stream_that_breaks_ends_with_an_error(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS, retries=0)
    body = {"model": model, "stream": True, "partial_images": 1, "prompt": "boat #fault=F14:eof@3"}
    answer = hub.post(tenant, body, path=GENERATIONS)
    assert answer.status == 200
    last = answer.body.split(b"\n\n")[-2]
    assert last.startswith(b"event: error\ndata: ")
    document = json.loads(last.partition(b"data: ")[2])
    assert (document["type"], document["error"]["code"]) == ("error", "upstream_truncated")
    record = hub.record(answer.headers["x-request-id"])
    assert (record["status"], record["basis"]) == (502, "estimated")
    assert record["meters"]["out_image"] == 0


@pytest.mark.parametrize(
    ("parts", "status", "param"),
    [
        ([("prompt", "x")], 400, "image"),
        ([("image", b"GIF89a"), ("prompt", "x"), ("n", "11")], 422, "n"),
        ([("image", b"GIF89a"), ("prompt", "x"), ("n", "two")], 400, "n"),
        ([("image", b"<html>"), ("prompt", "x")], 422, "image"),
        ([("image", PNG)], 400, "prompt"),
    ],
)
def test_invalid_forms_reach_no_provider(
    hub: Hub, fake: FakeUpstream, parts: list[tuple[str, bytes | str]], status: int, param: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS)
    asked = fake.totals()["requests"]
    answer = post_form(hub, tenant, EDITS, *parts, ("model", model))
    assert (answer.status, answer.error["param"]) == (status, param)
    assert fake.totals()["requests"] == asked
    assert hub.record(answer.headers["x-request-id"])["status"] == status


def test_malformed_form_is_rejected(hub: Hub, fake: FakeUpstream) -> None:
    tenant = hub.tenant()
    body, headers = form(("image", PNG), ("prompt", "x"))
    for raw, fields in (
        (body[:-10], headers),
        (body, {"content-type": "multipart/form-data"}),
        (b"nothing", headers),
    ):
        answer = hub.request("POST", EDITS, tenant, body=raw, headers=fields)
        assert (answer.status, answer.error["type"]) == (400, "invalid_request_error")
    answer = hub.request("POST", "/v1/chat/completions", tenant, body=body, headers=headers)
    assert answer.status == 415


def test_an_edit_is_made_once_under_one_key(hub: Hub, fake: FakeUpstream) -> None:
    """P5: by its files and fields, however the form is written."""
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS)
    parts: list[tuple[str, bytes | str]] = [("prompt", "x"), ("model", model)]
    results: list[Answer] = []
    for image, boundary, more in (
        (PNG, "one", []), (PNG, "two", []), (PNG, "three", [("n", "2")]), (PNG + b"\0", "four", []),
    ):  # fmt: skip
        body, headers = form(("image", image), *parts, *more, boundary=boundary)
        headers["idempotency-key"] = "k"
        results.append(hub.request("POST", EDITS, tenant, body=body, headers=headers))
    assert [answer.status for answer in results] == [200, 200, 422, 422]
    assert results[0].body == results[1].body
    assert results[1].headers["idempotent-replayed"] == "true"


def test_unpayable_requests_reach_no_provider(hub: Hub, fake: FakeUpstream) -> None:
    model = hub.model(fake, rates={"images": EACH})
    asked = fake.totals()["requests"]
    body = {"model": model, "prompt": "boat", "n": 2}
    assert hub.post(hub.tenant("1.99"), body, path=GENERATIONS).status == 402
    assert hub.post(hub.tenant("9"), body | {"max_cost": "1"}, path=GENERATIONS).status == 402
    assert fake.totals()["requests"] == asked


# ---- Gemini's models, and Ark's


@pytest.mark.parametrize("rates", [TOKENS, {"images": EACH}], ids=["tokens", "pictures"])
def test_a_gemini_model_makes_pictures_too(
    hub: Hub, fake: FakeUpstream, rates: dict[str, int]
) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=rates, provider="gemini")
    body = {"model": model, "prompt": "a boat #keep", "size": "1792x1024", "style": "vivid"}
    answer = hub.post(tenant, body, path=GENERATIONS)
    assert answer.status == 200, answer.body
    (created,) = answer.json()["data"]
    assert base64.b64decode(created["b64_json"]).startswith(b"\x89PNG")
    assert answer.headers["x-weir-dropped-params"] == "style"
    record, row = booked(hub, fake, answer.headers["x-request-id"])
    assert json.loads(row["body"])["generationConfig"] == {
        "responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": "16:9"},
    }  # fmt: skip
    by_tokens = rates is TOKENS
    tokens = {"in_text": 3, "out_text": 0, "out_image": 16}
    assert record["meters"] == (tokens if by_tokens else {"images": 1})
    assert (record["basis"], record["operation"]) == ("measured", "image_generations")


def test_imagen_is_only_called_by_predict(hub: Hub, fake: FakeUpstream) -> None:
    """The Gemini API would answer 404 to `generateContent`, which would rest the model."""
    tenant = hub.tenant()
    model = hub.model(
        fake, rates={"images": EACH}, provider="gemini", upstream_model="imagen-4.0-generate-001"
    )
    asked = fake.totals()["requests"]
    answer = hub.post(tenant, {"model": model, "prompt": "a boat"}, path=GENERATIONS)
    assert (answer.status, answer.error["code"]) == (400, "unsupported_parameter")
    assert f"model {model} has no images" in answer.error["message"]
    assert fake.totals()["requests"] == asked


def test_a_gemini_model_edits_a_file(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake, rates=TOKENS, provider="gemini")
    answer = post_form(hub, tenant, EDITS, ("image", PNG), ("prompt", "paint"), ("model", model))
    assert answer.status == 200, answer.body
    _, row = booked(hub, fake, answer.headers["x-request-id"])
    assert [(one["type"], one["bytes"]) for one in row["media"]] == [("image/png", len(PNG))]
    for more in ({"n": 2}, {"stream": True}):
        body = {"model": model, "prompt": "x"} | more
        refused = hub.post(tenant, body, path=GENERATIONS)
        assert (refused.status, refused.error["code"]) == (400, "unsupported_parameter")
    blocked = {"model": model, "prompt": "x #fault=F6:content"}
    refused = hub.post(tenant, blocked, path=GENERATIONS)
    assert (refused.status, refused.error["code"]) == (400, "content_filter")


def test_gemini_clients_get_pictures_and_sound_with_their_meters(
    hub: Hub, fake: FakeUpstream
) -> None:
    """Endpoints 11 and 27, whole and streamed."""
    tenant, rates = hub.tenant(), TOKENS | {"out_audio": 7 * 10**6}
    model = hub.model(fake, rates=rates, provider="gemini")
    for kind, meter in (("AUDIO", "out_audio"), ("IMAGE", "out_image")):
        for action in ("generateContent", "streamGenerateContent?alt=sse"):
            body = {
                "contents": [{"role": "user", "parts": [{"text": "say it #tokens=3"}]}],
                "generationConfig": {"responseModalities": [kind]},
            }
            answer = hub.post(tenant, body, path=f"/v1beta/models/{model}:{action}")
            assert b"inlineData" in answer.body
            record, _ = booked(hub, fake, answer.headers["x-request-id"])
            assert record["meters"] == {"in_text": 3, "out_text": 0, meter: 3}
            assert record["charge_nano"] == 3 + 3 * rates[meter] // 10**6


def test_ark_edits_by_its_generations(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant("100"), hub.model(fake, rates={"images": EACH}, provider="doubao")
    parts: list[tuple[str, bytes | str]] = [("image", PNG), ("prompt", "paint"), ("size", "2K")]
    answer = post_form(hub, tenant, EDITS, *parts, ("model", model))
    assert answer.status == 200, answer.body
    _, row = booked(hub, fake, answer.headers["x-request-id"])
    assert (row["operation"], len(row["media"])) == ("image_generations", 1)
    series = {
        "sequential_image_generation": "auto",
        "sequential_image_generation_options": {"max_images": 4},
    }
    answer = hub.post(tenant, {"model": model, "prompt": "x"} | series, path=GENERATIONS)
    assert (answer.headers["x-weir-hold"], answer.headers["x-weir-cost"]) == ("4.00", "1.00")
    assert hub.post(tenant, {"model": model, "prompt": "x", "n": 2}, path=GENERATIONS).status == 400

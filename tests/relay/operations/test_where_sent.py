"""Which operation of a provider serves each request other than a chat, in which dialect, and what
is counted of it, without a provider."""

import json
from types import SimpleNamespace
from typing import Any, Final

import pytest

from dialects.codec import Target
from dialects.errors.errors import RequestFault
from dialects.usage.usage import Quantities
from relay.counting.vocabularies import family_of
from relay.operations.image_operations import (
    IMAGE_EDITS,
    IMAGE_GENERATIONS,
    IMAGE_VARIATIONS,
    _reported_quantities,
)
from relay.operations.sound_operations import SPEECH, TRANSCRIPTIONS, TRANSLATIONS
from relay.operations.unary import (
    BATCH_EMBED_CONTENTS,
    EMBED_CONTENT,
    EMBEDDINGS,
    MODERATIONS,
    RERANK_COHERE,
    RERANK_JINA,
)

GPT: Final = family_of("gpt-5")
TEXT: Final = {"model": "m", "input": "hello"}
PICTURE: Final = {"model": "m", "prompt": "a cat"}
EDIT: Final = PICTURE | {"image": "data:image/png;base64,AAAA"}
SAID: Final = {"model": "m", "input": "hello", "voice": "v"}
EMBED: Final = {"content": {"parts": [{"text": "hello"}]}}
RANK: Final = {"model": "m", "query": "q", "documents": ["d"]}


def sent(operation: Any, body: Any, urls: dict[str, str], model: str = "m") -> tuple[str, str]:
    facts = operation.read(json.dumps(body).encode(), Target("m"))
    sending = operation.send(facts, urls, model, "r")
    return sending.operation, sending.dialect


@pytest.mark.parametrize(
    ("operation", "body", "offered", "model", "wanted"),
    [
        (EMBEDDINGS, TEXT, ("embeddings", "batch_embed_contents"), "m", ("embeddings", "openai")),
        (EMBEDDINGS, TEXT, ("batch_embed_contents",), "m", ("batch_embed_contents", "gemini")),
        (EMBEDDINGS, TEXT, ("predict",), "text-embedding-005", ("predict", "gemini")),
        (EMBEDDINGS, TEXT, ("chat_completions",), "m", "embeddings"),
        (EMBED_CONTENT, EMBED, ("embed_content", "embeddings"), "m", ("embed_content", "gemini")),
        (EMBED_CONTENT, EMBED, ("embeddings",), "m", ("embeddings", "openai")),
        (EMBED_CONTENT, EMBED, ("predict",), "text-embedding-005", ("predict", "gemini")),
        (EMBED_CONTENT, EMBED, ("moderations",), "m", "embeddings"),
        (BATCH_EMBED_CONTENTS, {"requests": [EMBED]}, ("batch_embed_contents", "embed_content"),
         "m", ("batch_embed_contents", "gemini")),
        (MODERATIONS, TEXT, ("moderations",), "m", ("moderations", "openai")),
        (MODERATIONS, TEXT, ("embeddings",), "m", "moderations"),
        (RERANK_JINA, RANK, ("rerank",), "m", ("rerank", "openai")),
        (RERANK_COHERE, RANK, ("rerank",), "m", ("rerank", "openai")),
        (RERANK_COHERE, RANK, ("embeddings",), "m", "rankings"),
        (IMAGE_GENERATIONS, PICTURE, ("image_generations", "generate_content"), "m",
         ("image_generations", "openai")),
        (IMAGE_GENERATIONS, PICTURE, ("ark_images",), "m", ("ark_images", "openai")),
        (IMAGE_GENERATIONS, PICTURE, ("qwen_images",), "m", ("qwen_images", "openai")),
        (IMAGE_GENERATIONS, PICTURE, ("generate_content",), "m", ("generate_content", "gemini")),
        (IMAGE_GENERATIONS, PICTURE, ("predict", "generate_content"), "imagen-4.0-generate-001",
         ("predict", "gemini")),
        (IMAGE_GENERATIONS, PICTURE, ("generate_content",), "imagen-4.0-generate-001", "images"),
        (IMAGE_GENERATIONS, PICTURE, ("predict",), "m", "images"),
        (IMAGE_EDITS, EDIT, ("image_edits",), "m", ("image_edits", "openai")),
        (IMAGE_EDITS, EDIT, ("ark_images",), "m", ("ark_images", "openai")),
        (IMAGE_EDITS, EDIT, ("generate_content",), "m", ("generate_content", "gemini")),
        (IMAGE_EDITS, EDIT, ("predict",), "imagen-4.0-generate-001", "edits of images"),
        (SPEECH, SAID, ("speech", "generate_content"), "m", ("speech", "openai")),
        (SPEECH, SAID, ("generate_content",), "m", ("generate_content", "gemini")),
        (SPEECH, SAID, ("embeddings",), "m", "speech"),
    ],
)  # fmt: skip
def test_request_goes_to_the_first_operation_that_its_provider_offers(
    operation: Any, body: Any, offered: tuple[str, ...], model: str, wanted: Any
) -> None:
    urls = {name: f"https://a.example/v1/{name}" for name in offered}
    if isinstance(wanted, tuple):
        assert sent(operation, body, urls, model) == wanted
        return
    with pytest.raises(RequestFault) as refused:
        sent(operation, body, urls, model)
    assert refused.value.kind == "unsupported_capability"
    assert f"has no {wanted}" in refused.value.message


# ---- pictures, by their rates


@pytest.mark.parametrize(
    ("rates", "bounds", "counts"),
    [
        ({"images": 5}, ({"images": 3}, None), {"images": 3}),
        ({"images[1024x1024,standard]": 5, "images[1024x1024,high]": 9},
         ({"images[1024x1024,high]": 3}, None), {"images[1024x1024,high]": 3}),
        ({}, (None, None), {"images": 3}),
    ],
)  # fmt: skip
def test_pictures_are_billed_by_number_where_they_have_a_rate(
    rates: dict[str, int], bounds: Any, counts: dict[str, int]
) -> None:
    body = PICTURE | {"n": 3, "size": "1024x1024", "quality": "high"}
    facts = IMAGE_GENERATIONS.read(json.dumps(body).encode(), Target())
    assert tuple(unit.bound(rates) for unit in facts.units) == bounds
    assert facts.units[0].own_count(rates, GPT) == counts


def test_pictures_are_billed_by_tokens_where_those_have_rates() -> None:
    facts = IMAGE_GENERATIONS.read(json.dumps(PICTURE | {"n": 2}).encode(), Target())
    rates = {"in_text": 1, "in_image": 1, "out_image": 1}
    by_number, by_tokens = facts.units
    assert by_number.bound(rates) is None
    assert by_tokens.bound(rates) == facts.own.token_bound()
    assert by_tokens.bound({"in_text": 1}) is None
    # Without a rate for pictures, their tokens count here too.
    assert by_number.own_count(rates, GPT) == facts.own.token_estimate(2)
    assert by_tokens.own_count(rates, GPT) == facts.own.token_estimate(2)


TOKENS: Final = Quantities({"out_image": 70}, ())


def made(*, size: str = "1024x1024", quality: str = "high", missing: bool = False) -> Any:
    tokens = SimpleNamespace(missing=missing, unknown=("odd",), meters={"out_image": 70})
    return SimpleNamespace(size=size, quality=quality, count=2, tokens=tokens)


@pytest.mark.parametrize(
    ("rates", "options", "meters"),
    [
        ({"out_image": 1}, {}, {"out_image": 70}),
        ({"out_image": 1}, {"missing": True}, {"out_image": 70}),
        ({"images": 5}, {}, {"images": 2}),
        ({"images[1024x1024,high]": 9, "images[1024x1024,standard]": 5}, {},
         {"images[1024x1024,high]": 2}),
        ({"images[1024x1024,high]": 9, "images[1024x1024,standard]": 5}, {"quality": ""},
         {"images[1024x1024,standard]": 2}),
        # Nothing fits the report: the dearest, which was held.
        ({"images[1024x1024,high]": 9, "images[1024x1024,standard]": 5}, {"size": "9x9"},
         {"images[1024x1024,high]": 2}),
    ],
)  # fmt: skip
def test_reported_pictures_are_charged_on_the_meter_that_has_a_rate(
    rates: dict[str, int], options: Any, meters: dict[str, int]
) -> None:
    quantities = _reported_quantities(made(**options), rates)
    assert quantities.meters == meters
    assert quantities.unknown == ("odd",)


# ---- sound, by its length


@pytest.mark.parametrize("operation", [TRANSCRIPTIONS, TRANSLATIONS], ids=["heard", "translated"])
def test_sound_is_held_for_by_whole_seconds_and_counted_by_its_length(
    operation: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = operation.bare()
    assert bound._lengths() == (0, 0)
    name = operation._operation
    head, tail = b"head", b"tail"
    file: Any = SimpleNamespace(
        name="file", size=9, head=lambda size: head, tail=lambda size: tail, check=lambda kind: None
    )
    bound.form = SimpleNamespace(files=[file])
    module = "relay.operations.sound_operations"
    monkeypatch.setattr(f"{module}.bound_ms", lambda start, size: 2_001)
    monkeypatch.setattr(f"{module}.length_ms", lambda start, end, size: 1_500)
    facts = bound.read(b'{"model": "m"}', Target())
    by_time, by_tokens = facts.units
    assert by_time.bound({"audio_ms": 1}) == {"audio_ms": 3_000}
    assert by_time.bound({"in_audio": 1}) is None
    assert by_time.own_count({}, GPT) == {"audio_ms": 1_500}
    assert by_tokens.bound({"audio_ms": 1}) is None
    sending = bound.send(facts, {name: "https://a.example"}, "m", "r")
    assert (sending.operation, sending.dialect) == (name, "openai")
    assert list(sending.files) == [file]
    elsewhere = {"speech": "https://a.example"}
    with pytest.raises(RequestFault):
        bound.send(facts, elsewhere, "m", "r")


def test_variations_are_for_their_own_operation_alone() -> None:
    bound: Any = IMAGE_VARIATIONS.bare()
    file: Any = SimpleNamespace(name="image", size=9, check=lambda kind: None)
    bound.form = SimpleNamespace(files=[file])
    facts = bound.read(b'{"model": "m"}', Target())
    offered = {"image_variations": "https://a.example"}
    assert bound.send(facts, offered, "m", "r").operation == "image_variations"
    with pytest.raises(RequestFault, match="variations of images"):
        bound.send(facts, {"ark_images": "https://a.example"}, "m", "r")

"""Requests for pictures in the form of each provider, and the answers of those forms."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from dialects.chat.chat import Encoded
from dialects.chat.events import UpstreamError
from dialects.chat.fold import AnswerFault
from dialects.errors.errors import RequestFault
from dialects.media import imagen, images, media_by_gemini
from dialects.media.images import ImageFacts
from tests.dialects.exchanges import fault_of

URL = "https://example.com/cat.png"


def facts(
    body: dict[str, Any], operation: images.ImageOperation = "image_generations"
) -> ImageFacts:
    return images.read(json.dumps({"model": "m", "prompt": "A cat"} | body).encode(), operation)


def qwen(content: list[dict[str, str]], **parameters: Any) -> ImageFacts:
    body = {
        "model": "m",
        "input": {"messages": [{"role": "user", "content": content}]},
        "parameters": parameters,
    }
    return images.read(json.dumps(body).encode(), "image_generations")


def sent(encoded: Encoded) -> tuple[Any, set[str]]:
    return json.loads(encoded.body), set(encoded.dropped)


# Reading ------------------------------------------------------------------------------------------


def test_request_in_qwens_form_says_the_same() -> None:
    read = qwen([{"image": URL}, {"text": "A cat"}, {"text": "at sea"}], n=2, size="1328*1024")
    assert (read.qwen, read.prompt, read.pictures) == (True, "A cat\nat sea", 1)
    assert (read.n, read.size) == (2, "1328x1024")
    plain = facts({"n": 3, "size": "1024x1536", "quality": "high", "partial_images": 2})
    assert (plain.qwen, plain.n, plain.size, plain.quality, plain.partial_images) == (
        False, 3, "1024x1536", "high", 2,
    )  # fmt: skip
    assert (plain.pictures, plain.stream, plain.in_json) == (0, False, True)


@pytest.mark.parametrize(
    ("body", "n"),
    [
        ({}, 1),
        ({"sequential_image_generation": "disabled"}, 1),
        ({"n": 2}, 2),
        ({"n": 2, "sequential_image_generation": "auto"}, 15),
        (
            {
                "sequential_image_generation": "auto",
                "sequential_image_generation_options": {"max_images": 4},
            },
            4,
        ),
        (
            {
                "sequential_image_generation": "auto",
                "sequential_image_generation_options": {"max_images": 99},
            },
            15,
        ),
    ],
)
def test_series_is_held_for_all_of_its_pictures(body: dict[str, Any], n: int) -> None:
    assert facts(body).n == n


def test_tokens_of_a_hold_grow_with_each_picture() -> None:
    """P2: each picture, each partial one, and each picture of the input has its own."""
    plain = facts({"n": 1}).token_bound()
    assert plain["out_image"] == 8_192
    assert "in_image" not in plain
    assert facts({"n": 3}).token_bound()["out_image"] == 3 * 8_192
    assert facts({"partial_images": 2}).token_bound()["out_image"] == 8_192 + 2 * 200
    two = facts({"images": [URL, URL]}, "image_edits").token_bound()
    assert two["in_image"] == 2 * 8_192
    most = facts({"images": [URL] * 16}, "image_edits").token_bound()
    assert most["in_image"] == 16 * 8_192


def test_tokens_are_estimated_by_quality() -> None:
    for quality, tokens in (("low", 272), ("medium", 1056), ("high", 4160), ("", 1056)):
        assert facts({"quality": quality}).token_estimate(2)["out_image"] == 2 * tokens


@pytest.mark.parametrize(
    ("operation", "body", "files", "param"),
    [
        ("image_generations", {"prompt": 3}, None, "prompt"),
        ("image_generations", {"n": 11}, None, "n"),
        ("image_generations", {"partial_images": 4}, None, "partial_images"),
        ("image_edits", {}, None, "images"),
        ("image_edits", {}, ["mask"], "image"),
        ("image_edits", {"images": [{"url": "a"}]}, None, "images[0]"),
        ("image_edits", {"images": [URL] * 17}, None, "image"),
    ],
)
def test_invalid_request_names_its_member(
    operation: images.ImageOperation, body: dict[str, Any], files: Any, param: str
) -> None:
    raw = json.dumps({"model": "m", "prompt": "A cat"} | body).encode()
    with pytest.raises(RequestFault) as fault:
        images.read(raw, operation, files=files)
    assert fault.value.param == param


# Ark ----------------------------------------------------------------------------------------------


def test_edit_is_a_generation_with_pictures_at_ark() -> None:
    read = facts(
        {"images": [URL], "size": "auto", "seed": 7, "quality": "high", "user": "u"}, "image_edits"
    )
    assert sent(images.to_ark(read, "seedream", [URL])) == (
        {"model": "seedream", "prompt": "A cat", "image": [URL], "seed": 7},
        {"quality", "user"},
    )


def test_ark_makes_several_pictures_only_as_a_series() -> None:
    with pytest.raises(RequestFault) as fault:
        images.to_ark(facts({"n": 2}), "seedream", [])
    assert (fault.value.kind, fault.value.param) == ("unsupported_capability", "n")
    series = facts({"n": 2, "sequential_image_generation": "auto"})
    assert sent(images.to_ark(series, "seedream", []))[0] == {
        "model": "seedream", "prompt": "A cat", "sequential_image_generation": "auto",
    }  # fmt: skip


# Qwen ---------------------------------------------------------------------------------------------


def test_request_in_openais_form_becomes_qwens() -> None:
    read = facts(
        {"n": 2, "size": "1024x768", "seed": 7, "negative_prompt": "dogs", "quality": "high"}
    )
    body, dropped = sent(images.to_qwen(read, "qwen-image", [URL]))
    assert body == {
        "model": "qwen-image",
        "input": {"messages": [{"role": "user", "content": [{"image": URL}, {"text": "A cat"}]}]},
        "parameters": {"n": 2, "size": "1024*768", "seed": 7, "negative_prompt": "dogs"},
    }
    assert dropped == {"quality"}
    assert sent(images.to_qwen(facts({"size": "auto"}), "q"))[0]["parameters"] == {}


@pytest.mark.parametrize(
    ("body", "parameters", "dropped"),
    [
        ({}, {"sampleCount": 1}, set()),
        ({"n": 3, "max_cost": "1", "response_format": "b64_json"}, {"sampleCount": 3}, set()),
        ({"size": "1024x1024"}, {"sampleCount": 1, "aspectRatio": "1:1"}, set()),
        ({"size": "1024x1791"}, {"sampleCount": 1, "aspectRatio": "9:16"}, set()),
        ({"size": "1792x1024"},
         {"sampleCount": 1, "aspectRatio": "16:9", "sampleImageSize": "2K"}, set()),
        ({"size": "auto", "quality": "high"}, {"sampleCount": 1}, {"quality"}),
    ],
)  # fmt: skip
def test_request_in_openais_form_becomes_imagens(
    body: dict[str, Any], parameters: dict[str, Any], dropped: set[str]
) -> None:
    instances = [{"prompt": "A cat"}]
    expected = {"instances": instances, "parameters": parameters}
    assert sent(imagen.encode(facts(body))) == (expected, dropped)


def test_request_in_qwens_form_becomes_imagens() -> None:
    """Its own parameters are not reported as those of OpenAI's form."""
    body, dropped = sent(imagen.encode(qwen([{"text": "A cat"}], n=2, size="1024*768")))
    assert body["parameters"] == {"sampleCount": 2, "aspectRatio": "4:3"}
    assert dropped == set()


@pytest.mark.parametrize("encode", [imagen.encode, lambda read: images.to_qwen(read, "q")])
def test_model_that_answers_whole_rejects_a_stream(encode: Callable[..., Any]) -> None:
    with pytest.raises(RequestFault) as fault:
        encode(facts({"stream": True}))
    assert (fault.value.kind, fault.value.param) == ("unsupported_capability", "stream")


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (b'{"predictions": [{"raiFilteredReason": "why"}]}', "content_filtered"),
        (b"{}", "content_filtered"),
        (b'{"predictions": 3}', "F15"),
    ],
)
def test_imagens_answer_without_pictures_is_a_fault(raw: bytes, kind: str) -> None:
    with pytest.raises(AnswerFault) as caught:
        imagen.read_answer(raw, facts({}))
    assert fault_of(caught) == kind


def test_imagens_pictures_are_those_that_passed_its_filter() -> None:
    rows = [{"bytesBase64Encoded": "AA=="}, {"raiFilteredReason": "why"}]
    pictures, made = imagen.read_answer(json.dumps({"predictions": rows}).encode(), facts({}))
    assert (pictures, made.count) == (["AA=="], 1)


def test_request_in_qwens_form_becomes_openais() -> None:
    read = qwen([{"text": "A cat"}], n=2, size="1024*768", seed=7)
    assert sent(images.from_qwen_request(read, "gpt-image")) == (
        {"model": "gpt-image", "prompt": "A cat", "n": 2, "size": "1024x768"},
        {"parameters.seed"},
    )
    with pytest.raises(RequestFault) as fault:
        images.from_qwen_request(qwen([{"image": URL}, {"text": "A cat"}]), "gpt-image")
    assert fault.value.param == "input.messages"


@pytest.mark.parametrize(
    ("usage", "count", "size"),
    [
        ({}, 2, "512x512"),
        ({"image_count": 3}, 3, "512x512"),
        ({"image_count": 11}, 2, "512x512"),
        ({"image_count": 2, "width": 1328, "height": 1024}, 2, "1328x1024"),
    ],
)
def test_qwens_answer_is_counted_by_its_usage(usage: dict[str, int], count: int, size: str) -> None:
    choices = [{"message": {"content": [{"image": URL}]}}]
    raw = json.dumps({"output": {"choices": choices, "results": [{"url": URL}]}, "usage": usage})
    addresses, made = images.read_qwen_answer(raw.encode(), facts({"size": "512x512"}))
    assert (addresses, made.count, made.size) == ([URL, URL], count, size)


def test_answer_without_pictures_is_a_fault() -> None:
    with pytest.raises(AnswerFault):
        images.read_qwen_answer(b'{"output": {"choices": []}}', facts({}))


def test_only_addresses_become_links() -> None:
    pictures = [{"url": URL}, {"url": "data:image/png;base64,AA=="}, {"b64_json": "AA=="}]
    raw = images.with_links(images.encode_answer(7, pictures), lambda url: f"/files?{url}")
    assert json.loads(raw) == {
        "created": 7, "data": [{"url": f"/files?{URL}"}, *pictures[1:]],
    }  # fmt: skip


def test_size_and_quality_of_an_answer_replace_those_of_the_request() -> None:
    answer = images.PassedImages()
    answer.feed(b'{"data": [{"url": "a", "size": "2048x2048"}, {"error": {}}], "quality": "low"}')
    answer.end()
    made = images.read_answer(answer.members, facts({"size": "1024x1024", "quality": "high"}))
    assert (made.count, made.size, made.quality) == (1, "2048x2048", "low")


def test_usage_of_a_drawing_is_unknown() -> None:
    """P28: it belongs to a model that nobody named."""
    for drawing, unknown in (('{"total_tokens": 9}', ("svg_usage",)), ('{"total_tokens": 0}', ())):
        answer = images.PassedImages()
        answer.feed(f'{{"data": [{{"url": "a"}}], "svg_usage": {drawing}}}'.encode())
        answer.end()
        assert images.read_answer(answer.members, facts({})).tokens.unknown == unknown


# Imagen -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "parameters"),
    [
        ("", {}),
        ("auto", {}),
        ("1024x1024", {"aspectRatio": "1:1"}),
        ("1024x1536", {"aspectRatio": "3:4"}),
        ("1280x720", {"aspectRatio": "16:9"}),
        ("1792x1024", {"aspectRatio": "16:9", "sampleImageSize": "2K"}),
        ("1024x1792", {"aspectRatio": "9:16", "sampleImageSize": "2K"}),
    ],
)
def test_size_becomes_imagens_ratio(size: str, parameters: dict[str, str]) -> None:
    body, dropped = sent(imagen.encode(facts({"size": size, "n": 2, "quality": "high"})))
    assert body == {
        "instances": [{"prompt": "A cat"}], "parameters": {"sampleCount": 2} | parameters,
    }  # fmt: skip
    assert dropped == {"quality"}


def test_imagen_neither_streams_nor_edits() -> None:
    for read, param in (
        (facts({"stream": True}), "stream"),
        (qwen([{"image": URL}, {"text": "A cat"}]), "input.messages"),
    ):
        with pytest.raises(RequestFault) as fault:
            imagen.encode(read)
        assert (fault.value.kind, fault.value.param) == ("unsupported_capability", param)


def test_filtered_pictures_of_imagen_do_not_count() -> None:
    predictions = [{"bytesBase64Encoded": "AA=="}, {"raiFilteredReason": "no"}]
    raw = json.dumps({"predictions": predictions}).encode()
    pictures, made = imagen.read_answer(raw, facts({"n": 2, "size": "1024x1024"}))
    assert (pictures, made.count, made.size) == (["AA=="], 1, "1024x1024")
    for none in (b'{"predictions": [{"raiFilteredReason": "no"}]}', b"{}"):
        with pytest.raises(AnswerFault) as fault:
            imagen.read_answer(none, facts({}))
        event = fault.value.event
        assert isinstance(event, UpstreamError)
        assert event.kind == "content_filtered"


# Gemini -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "ratio"),
    [
        ("1024x1024", "1:1"), ("1024x1536", "2:3"), ("1536x1024", "3:2"), ("1024x1792", "9:16"),
        ("2100x900", "21:9"), ("800x1000", "4:5"),
    ],
)  # fmt: skip
def test_size_becomes_the_nearest_ratio_of_gemini(size: str, ratio: str) -> None:
    body, dropped = sent(media_by_gemini.image_request(facts({"size": size, "quality": "low"}), []))
    assert body == {
        "contents": [{"role": "user", "parts": [{"text": "A cat"}]}],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"], "imageConfig": {"aspectRatio": ratio},
        },
    }  # fmt: skip
    assert dropped == {"quality"}


def test_pictures_stand_before_the_text_for_gemini() -> None:
    body, _ = sent(media_by_gemini.image_request(facts({}), [("image/png", "AA==")]))
    assert body["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "AA=="}}, {"text": "A cat"},
    ]  # fmt: skip
    assert "imageConfig" not in body["generationConfig"]
    for refused in ({"stream": True}, {"n": 2}):
        with pytest.raises(RequestFault) as fault:
            media_by_gemini.image_request(facts(refused), [])
        assert fault.value.param == next(iter(refused))


def candidate(*parts: dict[str, Any], **others: Any) -> bytes:
    usage = {"promptTokenCount": 3, "candidatesTokenCount": 1290, "totalTokenCount": 1293}
    candidates = [{"content": {"parts": list(parts)}, **others}]
    return json.dumps({"candidates": candidates, "usageMetadata": usage}).encode()


def inline(kind: str, data: str) -> dict[str, Any]:
    return {"inlineData": {"mimeType": kind, "data": data}}


def test_pictures_of_gemini_are_counted_without_its_thoughts() -> None:
    raw = candidate(
        {"text": "Here it is"},
        inline("image/png", "AA=="),
        inline("image/png", "BB==") | {"thought": True},
        inline("audio/L16", "CC=="),
    )
    pictures, made, _ = media_by_gemini.read_image_answer(raw, facts({"size": "1024x1024"}))
    assert (pictures, made.count, made.size) == (["AA=="], 1, "1024x1024")
    assert {name: n for name, n in made.tokens.meters.items() if n} == {
        "in_text": 3, "out_image": 1290,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("raw", "filtered"),
    [
        (candidate({"text": "no"}, finishReason="STOP"), False),
        (candidate(finishReason="IMAGE_SAFETY"), True),
        (b'{"promptFeedback": {"blockReason": "SAFETY"}}', True),
    ],
)
def test_answer_of_gemini_without_pictures_says_why(raw: bytes, filtered: bool) -> None:
    with pytest.raises(AnswerFault) as fault:
        media_by_gemini.read_image_answer(raw, facts({}))
    event = fault.value.event
    assert (isinstance(event, UpstreamError) and event.kind == "content_filtered") is filtered

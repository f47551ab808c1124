"""Media are stored by reference: their type, size and hash. The body keeps the form of its dialect
(P31)."""

import json
from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from content.log.conversation import Piece, conversation_of
from content.log.kept import Kept
from content.log.redaction import Redaction

CONTENT = bytes(range(256)) * 8
DATA = b64encode(CONTENT).decode()
DIGEST = sha256(CONTENT).hexdigest()
PNG = f"data:image/png;base64,{DATA}"


def stored(body: dict[str, Any]) -> bytes:
    return Redaction((), {}).body(json.dumps(body).encode(), "application/json")


@pytest.mark.parametrize(
    ("dialect", "body", "media_type"),
    [
        (
            "openai",
            {"messages": [{"role": "user", "content": [
                {"type": "image_url", "image_url": {"url": PNG}}]}]},
            "image/png",
        ),
        (
            "openai",
            {"messages": [{"role": "user", "content": [
                {"type": "input_audio", "input_audio": {"data": DATA, "format": "wav"}}]}]},
            "audio/wav",
        ),
        (
            "responses",
            {"input": [{"role": "user", "content": [
                {"type": "input_image", "image_url": PNG, "detail": "auto"}]}]},
            "image/png",
        ),
        (
            "anthropic",
            {"max_tokens": 9, "messages": [{"role": "user", "content": [
                {"type": "document", "source": {
                    "type": "base64", "media_type": "application/pdf", "data": DATA}}]}]},
            "application/pdf",
        ),
        (
            "gemini",
            {"contents": [{"role": "user", "parts": [
                {"inlineData": {"mimeType": "image/jpeg", "data": DATA}}]}]},
            "image/jpeg",
        ),
        (
            "converse",
            {"messages": [{"role": "user", "content": [
                {"image": {"format": "png", "source": {"bytes": DATA}}}]}]},
            "image/png",
        ),
    ],
    ids=["openai", "sound", "responses", "anthropic", "gemini", "converse"],
)  # fmt: skip
def test_conversation_says_which_media_were_sent(
    dialect: str, body: dict[str, Any], media_type: str
) -> None:
    kept = Kept(stored({"model": "m", **body}))
    assert len(kept.request) < 400
    turns = conversation_of(kept, dialect, "m")
    assert turns is not None
    (piece,) = turns[0].pieces
    assert (piece.kind, piece.text) == ("media", "")
    assert (piece.media_type, piece.size, piece.digest) == (media_type, len(CONTENT), DIGEST)


@pytest.mark.parametrize(
    "body",
    [
        {"data": [{"b64_json": DATA, "revised_prompt": "a cat"}]},
        {"output": [{"type": "image_generation_call", "result": DATA}]},
        {"input": "x", "image": [PNG, {"image_url": PNG}]},
        {"whatever": DATA.replace("+", "-").replace("/", "_")},
    ],
    ids=["image", "responses", "edit", "unknown"],
)
def test_no_data_is_stored_wherever_it_is(body: dict[str, Any]) -> None:
    once = stored(body)
    assert DATA[:40] not in once.decode()
    assert DIGEST in once.decode()
    assert stored(json.loads(once)) == once


def test_long_text_is_no_data() -> None:
    body = {"content": "a" * 5000, "signature": DATA, "thoughtSignature": DATA}
    assert json.loads(stored(body)) == body


def test_a_picture_at_an_address_keeps_it() -> None:
    url = "https://example.com/cat.png"
    body = {"model": "m", "messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": url}}]}]}  # fmt: skip
    turns = conversation_of(Kept(stored(body)), "openai", "m")
    assert turns is not None
    assert turns[0].pieces == (Piece("media", url, "Image"),)

import time
from typing import Any, get_args

import pytest

from dialects.codec import Codec, Target
from dialects.endpoints.codecs import CODECS, TEXT_CODECS
from dialects.errors.errors import KINDS, RequestFault, detail_of, message_of
from dialects.errors.kinds import ErrorKind
from dialects.errors.masking import (
    clean_upstream,
    mask_members,
    mask_upstream,
    mask_value,
    quote_value,
)


def test_every_kind_has_a_row() -> None:
    assert set(get_args(ErrorKind)) == set(KINDS)


@pytest.mark.parametrize("codec", [*CODECS.values(), *TEXT_CODECS.values()])
def test_only_a_stream_frame_names_its_request(codec: Codec[Any]) -> None:
    for array in (False, True):
        assert b'"r-1"' in codec.error_frame("timeout", "late", "r-1", Target(array=array))


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_phrase_can_be_filled(kind: ErrorKind) -> None:
    message = message_of(kind, "what", model="m", seconds=3, size=2, limit=1)
    assert "{" not in message
    assert 400 <= KINDS[kind].status <= 599


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("authentication", "Error: Invalid or unauthorized API key"),
        ("model_not_found", "Error: Model m does not exist or is not supported"),
        ("timeout", "Error: Cannot connect to API server: timed out after 3 s"),
        ("upstream_unreachable", "Error: Cannot connect to API server"),
        ("malformed_json", "API request failed: Invalid Format: w"),
        ("invalid_value", "API request failed: Invalid Parameters: w"),
        ("insufficient_balance", "Insufficient Balance: w"),
        ("rate_limited", "Rate Limit Reached: w; retry in 3 s"),
        ("internal", "API request failed: Server Error"),
        ("upstream_auth", "API request failed: the provider refused the request"),
        ("overloaded", "Server Overloaded: try again shortly"),
        ("no_channel", "Server Overloaded: no channel is available for model m"),
        ("permission", "The API key may not use w"),
        ("body_too_large", "API request failed: Invalid Format: w is 2 bytes; the limit is 1"),
    ],
)
def test_phrases_match_the_contract(kind: ErrorKind, message: str) -> None:
    assert message_of(kind, "w", model="m", seconds=3, size=2, limit=1) == message


def test_unimplemented_may_have_a_reason() -> None:
    assert message_of("not_implemented") == "This API is not implemented."
    assert message_of("not_implemented", " Use x.") == "This API is not implemented. Use x."


def test_timeout_without_seconds() -> None:
    assert message_of("timeout") == "Error: Cannot connect to API server"


@pytest.mark.parametrize(
    ("kind", "message", "detail"),
    [
        ("rate_limited", "Rate Limit Reached: 60 tokens; retry in 1 s", "60 tokens; retry in 1 s"),
        ("provider_rejected", "API request failed: bad value", "bad value"),
        ("invalid_value", "API request failed: Invalid Parameters: n", "n"),
        ("upstream_unreachable", "Error: Cannot connect to API server", ""),
        ("timeout", "Error: Cannot connect to API server: late", "late"),
        ("no_channel", "Server Overloaded: no channel is available for model m", ""),
        ("overloaded", "Server Overloaded: queue is full", "queue is full"),
        ("upstream_error", "upstream text", "upstream text"),
        ("unknown kind", "Error: text", "text"),
        ("", "", ""),
    ],
)  # fmt: skip
def test_detail_is_what_a_message_adds_to_its_kind(kind: str, message: str, detail: str) -> None:
    assert detail_of(kind, message) == detail


def test_request_fault_is_ready_to_be_rendered() -> None:
    fault = RequestFault("model_not_found", "model", "", model="sk-abcdefgh1234wxyz {x}\n")
    assert str(fault) == fault.message
    assert fault.message == "Error: Model sk-abc***wxyz {x}  does not exist or is not supported"


def test_names_of_a_client_are_masked_too() -> None:
    """A message never quotes a key-like value; logit_bias has its names."""
    fault = RequestFault("invalid_type", "p", "logit_bias.sk-abcdefgh1234wxyz must be a number")
    assert "logit_bias.sk-abc***wxyz must be" in fault.message


def test_values_are_short_and_masked() -> None:
    assert quote_value("a\nb" + "c" * 100) == "a b" + "c" * 61
    assert (
        mask_value("sk-abcdefghijklmnop and gsk_1234567890ab") == "sk-abc***mnop and gsk_12***90ab"
    )
    assert mask_value("sk-short api_version key-value") == "sk-short api_version key-value"
    # A client secret, also as the subprotocol of a page.
    assert mask_value("key.ek_abcdefghijklmnop ek_short") == "key.ek_abc***mnop ek_short"


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("API key sk-inval***1234 is bad", "API key *** is bad"),
        ("key sk-proj-abc_DEF-123456", "key ***"),
        ("Bearer abcdefgh.ijkl", "Bearer ***"),
        ("AIzaSyA1234567890abcdef", "***"),
        (
            "openai-insecure-api-key.ek_abcdefgh of week_abcdefgh",
            "openai-insecure-api-key.*** of week_abcdefgh",
        ),
        ("in organization org-Ab12Cd34Ef on", "in organization org-*** on"),
        ("proj_abc123456 acct-1234567", "proj-*** acct-***"),
        ("user_message api-reference", "user_message api-reference"),
    ],
)
def test_upstream_secrets_are_masked(text: str, clean: str) -> None:
    assert mask_upstream(text) == clean
    assert mask_members({"k": [text, 1]}) == {"k": [clean, 1]}


@pytest.mark.parametrize("piece", ["a", "-", "长", "a-", "a**", "a\u2026", "sk-"])
def test_long_text_is_masked_quickly(piece: str) -> None:
    """Whatever anybody asks for is in the log, masked."""
    began = time.process_time()
    mask_upstream(piece * 30_000)
    assert time.process_time() - began < 1


def test_markup_and_line_ends_are_taken_out() -> None:
    assert clean_upstream("<html><b>502</b>\r\n\x00 Bad\u2028 <open") == "502 Bad"
    assert len(clean_upstream("x" * 10_000)) == 500

"""What a channel changes of requests, and what no channel may change: the money that was held, the
form of the answer, who asks (P2, I13)."""

import json
from typing import Any

import msgspec
import pytest

from dialects.chat.chat import Dialect
from dialects.json.body import read_body
from gateway.channels.overrides.overrides import (
    check_overrides,
    headers_text,
    parameters_text,
    read_headers,
    read_parameters,
)
from gateway.channels.overrides.rules import (
    RequestOverrides,
    is_header,
    is_protected,
    read_overrides,
    stored_overrides,
)
from gateway.channels.refusals import ChannelRefused
from gateway.providers import PROVIDERS

OPENAI = PROVIDERS["openai"]


def overrides(**parts: Any) -> RequestOverrides:
    return msgspec.convert(parts, RequestOverrides)


def body(dialect: Dialect, fields: dict[str, Any], **parts: Any) -> dict[str, Any]:
    raw = overrides(**parts).chat_body(json.dumps(fields).encode(), dialect)
    read_body(raw)
    read: dict[str, Any] = json.loads(raw)
    return read


def on(dialect: str, **verbs: Any) -> dict[str, Any]:
    return {"parameters": {dialect: verbs}}


PARAMETERS: list[tuple[Dialect, dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ("openai", {"temperature": 1}, {"set": {"temperature": 0.2}}, {"temperature": 0.2}),
    ("openai", {}, {"set": {"a.b.c": [1]}}, {"a": {"b": {"c": [1]}}}),
    ("openai", {"a": {"x": 1}}, {"set": {"a.b": 2}}, {"a": {"x": 1, "b": 2}}),
    ("openai", {"a": "text"}, {"set": {"a.b": 2}}, {"a": {"b": 2}}),
    ("openai", {"seed": 7}, {"default": {"seed": 1, "top_p": 0.5}}, {"seed": 7, "top_p": 0.5}),
    ("openai", {"seed": None}, {"default": {"seed": 1}}, {"seed": 1}),
    ("openai", {"a": "text"}, {"default": {"a.b": 2}}, {"a": "text"}),
    ("openai", {"user": "x", "a": {"b": 1, "c": 2}}, {"remove": ["user", "a.b", "no.such"]},
     {"a": {"c": 2}}),
    ("responses", {"reasoning": {"effort": "high"}}, {"set": {"reasoning.effort": "low"}},
     {"reasoning": {"effort": "low"}}),
    ("gemini", {"generation_config": {"top_k": 9, "stop_sequences": ["x"]}},
     {"set": {"generationConfig.topK": 3}, "default": {"generationConfig.stopSequences": []}},
     {"generation_config": {"topK": 3, "stop_sequences": ["x"]}}),
    ("gemini", {"generationConfig": {"topP": 1}}, {"remove": ["generationConfig.top_p"]},
     {"generationConfig": {}}),
    # Those of another dialect are left alone.
    ("anthropic", {"top_k": 1}, {}, {"top_k": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "fields", "verbs", "sent"), PARAMETERS)
def test_parameters_are_set_defaulted_and_removed(
    dialect: Dialect, fields: dict[str, Any], verbs: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert body(dialect, fields, **on(dialect, **verbs)) == sent


def test_unnamed_fields_keep_their_bytes() -> None:
    raw = b'{"a": 1.10, "big": 123456789012345678901234567890, "o": {"x": 1e400, "y": 1}}'
    sent = overrides(**on("openai", set={"o.y": 2})).chat_body(raw, "openai")
    assert sent == b'{"a":1.10,"big":123456789012345678901234567890,"o":{"x":1e400,"y":2}}'


S, U = {"role": "system", "content": "theirs"}, {"role": "user", "content": "hi"}
D = {"role": "developer", "content": "theirs"}
OURS = {"role": "system", "content": "ours"}
PROMPTS: list[tuple[Dialect, str, dict[str, Any], dict[str, Any]]] = [
    ("openai", "prepend", {"messages": [S, U]}, {"messages": [OURS, S, U]}),
    ("openai", "append", {"messages": [S, U]}, {"messages": [S, OURS, U]}),
    ("openai", "replace", {"messages": [S, U, S]}, {"messages": [OURS, U]}),
    ("openai", "append", {"messages": [D, U]},
     {"messages": [D, {"role": "developer", "content": "ours"}, U]}),
    ("openai", "prepend", {"messages": "odd"}, {"messages": "odd"}),
    ("responses", "prepend", {"input": "hi"}, {"input": "hi", "instructions": "ours"}),
    ("responses", "prepend", {"instructions": "theirs"}, {"instructions": "ours\n\ntheirs"}),
    ("responses", "append", {"instructions": "theirs"}, {"instructions": "theirs\n\nours"}),
    ("responses", "replace", {"instructions": "theirs", "input": [S, D, U]},
     {"instructions": "ours", "input": [U]}),
    ("anthropic", "prepend", {}, {"system": "ours"}),
    ("anthropic", "append", {"system": "theirs"}, {"system": "theirs\n\nours"}),
    ("anthropic", "prepend", {"system": [{"type": "text", "text": "theirs"}]},
     {"system": [{"type": "text", "text": "ours"}, {"type": "text", "text": "theirs"}]}),
    ("anthropic", "replace", {"system": [{"type": "text", "text": "theirs"}]}, {"system": "ours"}),
    ("gemini", "prepend", {}, {"systemInstruction": {"parts": [{"text": "ours"}]}}),
    ("gemini", "append", {"system_instruction": {"role": "system", "parts": {"text": "theirs"}}},
     {"system_instruction": {"role": "system", "parts": [{"text": "theirs"}, {"text": "ours"}]}}),
    ("gemini", "append", {"systemInstruction": "theirs"},
     {"systemInstruction": {"parts": [{"text": "theirs"}, {"text": "ours"}]}}),
    ("gemini", "replace", {"systemInstruction": {"parts": [{"text": "theirs"}]}},
     {"systemInstruction": {"parts": [{"text": "ours"}]}}),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "mode", "fields", "sent"), PROMPTS)
def test_system_prompt_goes_to_the_stated_place(
    dialect: Dialect, mode: str, fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    assert body(dialect, fields, system_prompt={"text": "ours", "mode": mode}) == sent


def test_additions_never_exceed_their_hold() -> None:
    """P2: a token has at least a byte, so the bytes that are added bound the tokens."""
    inputs = json.dumps({"messages": [U]}, separators=(",", ":")).encode()
    for text in ("a", "é" * 300, "\n" * 50, "😀" * 100):
        changed = overrides(
            system_prompt={"text": text},
            **on("openai", set={"metadata.note": text}, default={"seed": 1}),
        )
        grown = json.loads(changed.chat_body(inputs, "openai"))
        read = len(json.dumps(grown, ensure_ascii=False).encode()) - text.count("\n") * 2
        assert read - len(inputs) <= changed.added_bytes


# ---- what may not be changed

PROTECTED: list[tuple[Dialect, str, Any]] = [
    *[("openai", name, 1) for name in (
        "model", "max_tokens", "max_completion_tokens", "n", "stream", "stream_options", "tools",
        "service_tier", "messages", "modalities", "web_search_options", "best_of", "prediction",
        "stream_options.include_usage", "tools.x")],
    *[("responses", name, 1) for name in (
        "max_output_tokens", "tools", "service_tier", "input", "instructions", "background",
        "previous_response_id", "prompt")],
    *[("anthropic", name, 1) for name in (
        "max_tokens", "system", "tools", "speed", "service_tier", "mcp_servers")],
    ("gemini", "generationConfig", {"topK": 1}),
    ("gemini", "generation_config", None),
    ("gemini", "generationConfig.maxOutputTokens", 1),
    ("gemini", "generation_config.max_output_tokens", 1),
    ("gemini", "generationConfig.speechConfig.voice", 1),
    ("gemini", "system_instruction", 1),
    ("gemini", "cached_content", 1),
]  # fmt: skip


@pytest.mark.parametrize(("dialect", "name", "value"), PROTECTED)
def test_money_or_form_related_fields_are_rejected(dialect: Dialect, name: str, value: Any) -> None:
    assert is_protected(dialect, name, value)
    for verbs in ({"set": {name: value or 1}}, {"default": {name: value or 1}}, {"remove": [name]}):
        with pytest.raises(ChannelRefused, match="cannot be changed"):
            check_overrides(OPENAI, on(dialect, **verbs))


RESERVED = """
authorization Authorization proxy-authorization x-api-key x-goog-api-key api-key cookie host
content-length transfer-encoding connection upgrade te trailer keep-alive content-type
accept-encoding expect x-client-request-id idempotency-key x-weir-labels X-Weir-Cost
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", [*RESERVED, "", "a b", "a:b", "a\r\nb", "é", "x" * 65, "a\0"])
def test_connection_and_identity_headers_are_never_set(name: str) -> None:
    assert not is_header(name)
    for part in ({"headers": {name: "v"}}, {"client_headers": [name]}):
        with pytest.raises(ChannelRefused):
            check_overrides(OPENAI, part)


# How proxies, load balancers and content delivery networks tell who asks.
OF_CALLERS = """
x-forwarded-for X-Forwarded-For x_forwarded_for x-forwarded forwarded Forwarded forwarded-for
x-original-forwarded-for x-vercel-forwarded-for x-real-ip X_Real_IP x-ali-cdn-real-ip client-ip
x-client-ip x-cluster-client-ip true-client-ip fastly-client-ip fly-client-ip incap-client-ip
x-sucuri-clientip x-arr-clientip x-azure-clientip x-azure-socketip cf-connecting-ip
CF-Connecting-IPv6 cf-pseudo-ipv4 do-connecting-ip x-nf-client-connection-ip x-appengine-user-ip
x-appengine-remote-addr x-envoy-external-address cloudfront-viewer-address x-remote-ip
x-remote-addr remote-addr wl-proxy-client-ip proxy-client-ip x-source-ip
""".split()  # noqa: SIM905


@pytest.mark.parametrize("name", OF_CALLERS)
def test_a_callers_network_address_is_never_forwarded(name: str) -> None:
    with pytest.raises(ChannelRefused, match=r"cannot be forwarded: .* network address"):
        check_overrides(OPENAI, {"client_headers": ["x-session", name]})
    # Stored by an older version, which allowed it.
    stored = read_overrides({"client_headers": ["x-session", name.lower()]})
    assert stored is not None
    assert stored.passed == {b"x-session"}


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "x-real-ip"])
def test_an_operator_may_set_a_fixed_address(name: str) -> None:
    """As a provider behind a proxy of one's own may need it: it says nothing about a caller."""
    stored = check_overrides(OPENAI, {"headers": {name: "192.0.2.1"}})
    assert stored == {"headers": {name: "192.0.2.1"}}


def test_provider_authentication_header_is_never_set() -> None:
    azure = PROVIDERS["azure_openai"]
    (header,) = {spoken.auth.header for spoken in azure.dialects.values()}
    with pytest.raises(ChannelRefused):
        check_overrides(azure, {"headers": {header: "mine"}})


@pytest.mark.parametrize("value", ["a\r\nx: y", "a\nb", "a\0b", "", " a", "é", "😀", "x" * 1025])
def test_no_value_ends_its_line(value: str) -> None:
    with pytest.raises(ChannelRefused):
        check_overrides(OPENAI, {"headers": {"x-a": value}})


@pytest.mark.parametrize("value", ["{", "}", "{secret}", "{request_id", "{{model}}", "{}"])
def test_only_known_variables_may_be_in_braces(value: str) -> None:
    with pytest.raises(ChannelRefused):
        check_overrides(OPENAI, {"headers": {"x-a": value}})


def test_variable_cannot_add_a_line_end() -> None:
    """The name of a model is the client's."""
    changed = overrides(headers={"x-a": "<{model}>", "x-u": "{user}"})
    values = dict.fromkeys(("request_id", "organisation", "key", "user"), "")
    written = changed.written_headers({**values, "model": "m\r\nhost: é{key}%"})  # type: ignore[dict-item]
    assert written == {"x-a": "<m%0D%0Ahost:%20%C3%A9%7Bkey%7D%25>"}


@pytest.mark.parametrize(
    "value", [None, float("nan"), float("inf"), "a\0", "\ud800", "x" * 9000, {"a\0": 1}]
)
def test_a_value_that_cannot_be_stored_is_refused(value: Any) -> None:
    with pytest.raises(ChannelRefused):
        check_overrides(OPENAI, on("openai", set={"x": value}))
    deep: Any = 1
    for _ in range(30):
        deep = [deep]
    with pytest.raises(ChannelRefused):
        check_overrides(OPENAI, on("openai", set={"x": deep}))


FIELDS = [
    ("service_tier", {"service_tier": "flex"}, True),
    ("service_tier", {"serviceTier": "flex"}, True),
    ("service_tier", {"service_tier": None}, False),
    ("store", {"store": True}, True),
    # Who asks for less than the default is not kept from it.
    ("store", {"store": False}, False),
    ("inference_geo", {"inference_geo": "us"}, True),
    ("inference_geo", {}, False),
]


@pytest.mark.parametrize(("name", "fields", "asks"), FIELDS)
def test_a_field_is_passed_dropped_or_refused(
    name: str, fields: dict[str, Any], asks: bool
) -> None:
    read = read_body(json.dumps(fields).encode())
    refusing, dropping = overrides(fields={name: "refuse"}), overrides(fields={name: "drop"})
    assert refusing.refused_field(read) == (name if asks else None)
    assert dropping.refused_field(read) is None
    assert json.loads(dropping.chat_body(read.raw, "openai")) == ({} if asks else fields)
    assert json.loads(dropping.other_body(read.raw)) == ({} if asks else fields)
    assert json.loads(refusing.chat_body(read.raw, "openai")) == fields


# ---- as it is stored and written


def test_rules_are_stored_in_one_form() -> None:
    values = {
        "parameters": {"openai": {"set": {"top_k": 1}}, "gemini": {"remove": []}},
        "headers": {"X-A": "{model}"},
        "client_headers": ["X-Trace"],
        "fields": {"store": "pass", "user": "drop"},
    }
    stored = check_overrides(OPENAI, values)
    assert stored == {
        "parameters": {"openai": {"set": {"top_k": 1}}},
        "headers": {"x-a": "{model}"},
        "client_headers": ["x-trace"],
        "fields": {"user": "drop"},
    }
    again = read_overrides(stored)
    assert again is not None
    assert stored_overrides(again) == stored
    assert read_overrides(check_overrides(OPENAI, {})) is None


def test_texts_are_read_as_they_are_written() -> None:
    text = 'set a.b {"c": "d e"}\ndefault seed 4\nremove user'
    assert parameters_text(read_parameters(f"\n{text}\r\n  \n")) == text
    lines = "x-a: b: c\nx-d: e"
    assert headers_text(read_headers(lines)) == lines
    for wrong in ("temperature 1", "set x", "set", "remove x 1", "set x low", "set x 1\nset x 2"):
        with pytest.raises(ChannelRefused):
            read_parameters(wrong)
    for wrong in ("x", "x-a: 1\nx-a: 2"):
        with pytest.raises(ChannelRefused):
            read_headers(wrong)

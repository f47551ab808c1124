"""Read and edit a chat completions request of the openai dialect.

Only what the gateway itself uses is checked: model, stream, the container of the messages, the
numbers that limit the cost, the bounds of sampling. The provider checks the rest, and the body is
forwarded unchanged.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from dialects.chat.bounds import (
    CHOICES_MAX,
    LOGIT_BIAS,
    LOGPROBS,
    OUTPUT_CAP_MAX,
    PENALTY,
    SHARE,
    TEMPERATURE,
    Bound,
    check_bounds,
)
from dialects.chat.chat import Effort
from dialects.chat.hosted_tools import (
    LIVE_SOURCES_ASSUMED,
    USES_ASSUMED,
    HostedTool,
    HostedTools,
    most_uses,
)
from dialects.chat.media import MediaKind
from dialects.errors.errors import RequestFault
from dialects.json.body import NO_QUIRKS, Body, Quirks, read_body
from dialects.json.members import (
    Members,
    check_integers,
    edit_body,
    read_array,
    read_max_cost,
    read_model,
    read_user,
    small_members,
)
from dialects.json.raw_json import dicts, is_present, members_of, starts, value_of
from dialects.openai.request.decode import STOPS_MAX

_CAP_NAMES = ("max_completion_tokens", "max_tokens")
_RANGES = dict.fromkeys(_CAP_NAMES, (0, OUTPUT_CAP_MAX)) | {"n": (1, CHOICES_MAX)}
_SMALL = ("model", "stream", *_RANGES)
_WORDS = {"true": True, "false": False, "null": None}
_BOUNDS = {
    "temperature": TEMPERATURE,
    "top_p": SHARE,
    "presence_penalty": PENALTY,
    "frequency_penalty": PENALTY,
    "top_logprobs": LOGPROBS,
    "stop": Bound(items=STOPS_MAX),
    "logit_bias": LOGIT_BIAS,
    "reasoning_effort": Bound(words=get_args(Effort)),
}
_OF_ANSWERS: Final = frozenset({"functions", "function_call", "modalities", "audio"})
_OF_SEARCHES: Final = frozenset(
    {"web_search_options", "search_parameters", "parameters", "enable_search", "tools"}
)


class ChatFacts(msgspec.Struct, frozen=True):
    """The facts that the gateway needs before routing, holding and sending a chat request.

    `include_usage`: the client itself asked for the usage chunk of its stream. `output_cap` is the
    client's limit in tokens for one choice, None without one. `text_bytes` is the length of the
    body without its pictures. It is an upper bound of the text's tokens, because a token has at
    least one byte, and JSON escapes only lengthen the text. `media` counts the content parts that
    may cost more tokens than they have bytes, by kind. `audio_output`: the answer may contain
    audio. `max_cost_nano` is our own field.
    """

    body: Body
    model: str
    stream: bool
    include_usage: bool
    output_cap: int | None
    choices: int
    user: str
    text_bytes: int
    media: Mapping[MediaKind, int]
    audio_output: bool
    max_cost_nano: int | None


_NULL = msgspec.Raw(b"null")


class _Part(msgspec.Struct):
    image_url: msgspec.Raw = _NULL
    input_audio: msgspec.Raw = _NULL
    file: msgspec.Raw = _NULL
    video_url: msgspec.Raw = _NULL


class _Message(msgspec.Struct):
    content: msgspec.Raw = _NULL


_raws = msgspec.json.Decoder(list[msgspec.Raw])
_message = msgspec.json.Decoder(_Message)
_messages = msgspec.json.Decoder(list[_Message])
_part = msgspec.json.Decoder(_Part)


def read(raw: bytes) -> ChatFacts:
    """Read a chat request. Raises RequestFault in the contract's order: the JSON text, the root,
    model, the messages, then types (400), then values (422). The caller checks whether the model
    exists.
    """
    body = read_body(raw)
    small = small_members(body, _SMALL)
    model = read_model(small)
    messages = _read_messages(body)
    stream = bool(small.boolean("stream"))
    include_usage = stream and read_include_usage(body)
    bounded = not _RANGES.keys().isdisjoint(small.value)
    if bounded:
        check_integers(small, _RANGES)
    members = body.members
    max_cost_nano = read_max_cost(body) if "max_cost" in members else None
    if not messages:
        raise RequestFault("invalid_value", "messages", "messages must have at least 1 item")
    current = legacy = choices = None
    if bounded:
        current, legacy, choices = [
            small.integer(name, low, high) for name, (low, high) in _RANGES.items()
        ]
        if 0 in (current, legacy):
            body = _without_empty_caps(body, small)
    check_bounds(body, _BOUNDS)
    audio_output = "modalities" in members and _requests_audio(body)
    media, picture_bytes = _count_media(messages)
    return ChatFacts(
        body=body,
        model=model,
        stream=stream,
        include_usage=include_usage,
        output_cap=current or legacy or None,
        choices=1 if choices is None else choices,
        user=read_user(body) if "user" in members else "",
        text_bytes=len(raw) - picture_bytes,
        media=media,
        audio_output=audio_output,
        max_cost_nano=max_cost_nano,
    )


def _without_empty_caps(body: Body, small: Members) -> Body:
    """Return the body without a cap of 0, which means no cap (source 003, the examples)."""
    empty = [name for name in _CAP_NAMES if small.value.get(name) == 0]
    return read_body(body.splice(dict.fromkeys(empty)))


def edit(
    facts: ChatFacts,
    upstream_model: str,
    *,
    ask_usage: bool = True,
    output_cap: int | None = None,
    quirks: Quirks = NO_QUIRKS,
) -> bytes:
    """Return the body for the upstream: the client's bytes with minimal changes. The model gets its
    upstream name. A stream asks for usage and keeps its other stream options, which are removed
    without a stream. Our own fields are removed. `output_cap`, in tokens for one choice, replaces
    the client's cap, or becomes `max_tokens` if there was none. `quirks` are those of the model.
    """
    body = facts.body
    edits: dict[str, bytes | None] = {}
    if not facts.stream:
        edits["stream_options"] = None
    elif ask_usage and not facts.include_usage:
        edits["stream_options"] = request_usage(body)
    if quirks.edits:
        edits |= quirks.edits
    if output_cap is not None:
        is_present = [name for name in _CAP_NAMES if edits.get(name, body.value(name)) is not None]
        edits |= dict.fromkeys(name for name in is_present if name in quirks.edits)
        edits[is_present[0] if is_present else quirks.cap_name] = b"%d" % output_cap
    edits = {name: value for name, value in edits.items() if value or name in body.members}
    return edit_body(body, upstream_model, edits)


def _read_messages(body: Body) -> list[_Message]:
    try:
        return _messages.decode(body.value("messages") or b"null")
    except msgspec.ValidationError:
        items = read_array(body, "messages")
    return [_message.decode(item) if starts(item, b"{") else _Message() for item in items]


def read_include_usage(body: Body) -> bool:
    """Return whether the client itself asked for the usage chunk. Raises RequestFault."""
    raw = _stream_options(body).get("include_usage")
    if raw is None:
        return False
    text = bytes(raw).decode()
    options = Members({"include_usage": _WORDS.get(text, text)}, "stream_options")
    return bool(options.boolean("include_usage"))


def request_usage(body: Body) -> bytes:
    """Return the client's stream options, changed to ask for usage."""
    return msgspec.json.encode({**_stream_options(body), "include_usage": True})


def _stream_options(body: Body) -> Mapping[str, msgspec.Raw]:
    raw = body.value("stream_options")
    if raw is None:
        return {}
    if not raw.startswith(b"{"):
        raise RequestFault("invalid_type", "stream_options", "stream_options must be an object")
    return msgspec.json.decode(raw, type=dict[str, msgspec.Raw])


def _requests_audio(body: Body) -> bool:
    raw = body.value("modalities")
    return raw is not None and "audio" in _texts(value_of(raw))


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _count_media(messages: list[_Message]) -> tuple[Mapping[MediaKind, int], int]:
    """Count pictures, sounds, files and videos, and the bytes of the pictures. Parts are identified
    by their members and not by `type`, which might appear twice and be read differently by the
    provider. Invalid shapes are not counted, because the provider refuses them.
    """
    parts = [part for message in messages for part in _parts(message.content)]
    if not parts:
        return {}, 0
    kinds: Counter[MediaKind] = Counter()
    picture_bytes = 0
    for part in parts:
        if is_present(part.image_url):
            kinds["image"] += 1
            picture_bytes += len(memoryview(part.image_url))
        kinds["audio"] += is_present(part.input_audio)
        kinds["file"] += is_present(part.file)
        kinds["video"] += is_present(part.video_url)
    return +kinds, picture_bytes


def _parts(content: msgspec.Raw) -> list[_Part]:
    if not starts(content, b"["):
        return []
    return [_part.decode(part) for part in _raws.decode(content) if starts(part, b"{")]


def hosted_tools(facts: ChatFacts) -> HostedTools:
    """Return the searches that the request lets its provider make: those of OpenAI, xAI, Qwen, and
    GLM or Kimi together, because the hold is placed before a provider is chosen, and a channel may
    be another gateway, behind which any of them answers. The results of all searches are read at
    once."""
    body = facts.body
    if body.members.keys().isdisjoint(_OF_SEARCHES):
        return ()
    hosted = []
    if body.value("web_search_options") is not None:
        # OpenAI's search models search once for each choice.
        hosted.append(facts.choices)
    # xAI
    if (live := body.value("search_parameters")) is not None:
        parameters = members_of(live)
        if parameters.get("mode") != "off":
            results_max = parameters.get("max_search_results")
            hosted.append(most_uses(results_max, LIVE_SOURCES_ASSUMED))
    # Qwen
    own = members_of(body.value("parameters"))
    if own.get("enable_search") or body.value("enable_search") == b"true":
        hosted.append(USES_ASSUMED)
    # GLM and Kimi
    raw_tools = body.value("tools")
    if raw_tools is not None and b"web_search" in raw_tools and _has_search(raw_tools):
        hosted.append(USES_ASSUMED)
    return tuple(HostedTool("web_search", 1, searches) for searches in hosted)


def has_plain_answer(body: Body) -> bool:
    """Return whether an answer is written without looking at the tools and the sound that the
    request asks for: it has no freeform tool, no function in the old form, and no sound."""
    if not body.members.keys().isdisjoint(_OF_ANSWERS):
        return False
    raw_tools = body.value("tools")
    return raw_tools is None or (b'"custom"' not in raw_tools and b"\\u" not in raw_tools)


def _has_search(raw_tools: bytes) -> bool:
    """Return whether a tool is the provider's own web search, and not the client's function of this
    name."""
    kinds = [str(tool.get("type")) for tool in dicts(value_of(raw_tools))]
    return any(kind.startswith(("web_search", "builtin_function")) for kind in kinds)

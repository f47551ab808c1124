"""A turn as a chat request of the openai dialect, as any client of the API would write it.

parts of a user's message       {"files": [{"id", "name", "kind", "media_type", "size", …}]}
parts of an answer              {"calls": [{"id", "name", "arguments"}], "sources": […],
                                 "media": [{"id", "kind", "media_type"}],
                                 "tokens": [{"text", "logprob", "top": [[text, logprob] …]}],
                                 "summary": [{"text"}]} of everything up to it
parts of a tools' message       {"results": [{"call_id", "name", "content", "failed"}]}
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from content.prompts.settings import Settings, form_members, members_of, tool_members
from content.prompts.variables import fill
from gateway.providers.capabilities import Capabilities
from playground.turns.context_window import Context, apply_summary, context_of, messages_left_out
from relay.counting.estimates import estimate_tokens

_AUDIO_FORMATS: Final = {"audio/mpeg": "mp3", "audio/wav": "wav", "audio/x-wav": "wav",
                         "audio/webm": "webm", "audio/ogg": "ogg", "audio/mp4": "m4a",
                         "audio/flac": "flac"}  # fmt: skip


class ChatMessage(NamedTuple):
    """A message of the path that is sent."""

    role: str
    content: str
    parts: Mapping[str, Any] = {}
    reasoning: str = ""


class Stored(NamedTuple):
    """A file as it is sent."""

    name: str
    kind: str
    media_type: str
    data: bytes


def build_request(
    model: str,
    path: Iterable[ChatMessage],
    settings: Settings,
    capabilities: Capabilities,
    files: Mapping[str, Stored],
) -> dict[str, Any]:
    """Build the whole body. `files` has the files that the path refers to; a deleted one is left
    out with a note."""
    members = members_of(settings, capabilities.flags)
    path = list(path)
    messages = list(_system(settings, path))
    for message in path[left_out(path, settings, capabilities) :]:
        messages += _messages(message, files)
    if settings.raw is None and settings.params.get("cache") == "on":
        _mark(messages)
    return {"model": model, "messages": messages, **members, "stream": True,
            "stream_options": {"include_usage": True}}  # fmt: skip


def left_out(path: Sequence[ChatMessage], settings: Settings, capabilities: Capabilities) -> int:
    """Return how many of the first messages are not sent, because the chat is longer than the
    context."""
    begin = apply_summary(path)[0]
    if not settings.trim or capabilities.context_max is None:
        return begin
    cap, fixed = settings.params.get("max_output"), fixed_tokens(settings, path)
    return begin + messages_left_out(path[begin:], fixed, capabilities.context_max, cap)


def context_for(
    path: Sequence[ChatMessage], settings: Settings, capabilities: Capabilities
) -> Context:
    """Estimate the share of the model's context that the request uses."""
    skipped = left_out(path, settings, capabilities)
    return context_of(path, fixed_tokens(settings, path), skipped)


def fixed_tokens(settings: Settings, path: Sequence[ChatMessage]) -> int:
    """Estimate what every turn contains: system prompt, summary, tools and schema."""
    members = [*_system(settings, path), tool_members(settings), form_members(settings)]
    return sum(estimate_tokens(len(json.dumps(member, ensure_ascii=False).encode()))
               for member in members if member)  # fmt: skip


def shorten_request(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body for display, with the data of files shortened and their length given."""
    preview: dict[str, Any] = _shorten_value(body)
    return preview


def _shorten_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _shorten_value(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_shorten_value(inner) for inner in value]
    if isinstance(value, str) and len(value) > 4000:
        return f"{value[:64]}… ({len(value):,} characters)"
    return value


_SUMMARY: Final = "What was said before, in short:"


def _system(settings: Settings, path: Sequence[ChatMessage]) -> Iterable[dict[str, Any]]:
    text, (_, summary) = fill(settings.system, settings.variables), apply_summary(path)
    if summary:
        text = f"{text}\n\n{_SUMMARY}\n\n{summary}".lstrip()
    if text.strip():
        yield {"role": "system", "content": text}


def _mark(messages: list[dict[str, Any]]) -> None:
    """Mark the system prompt, and everything up to the last message, for the provider's prompt
    cache. This uses at most two of its four marks."""
    for place in sorted({0, len(messages) - 1}):
        content = messages[place].get("content")
        if isinstance(content, str) and content:
            content = messages[place]["content"] = [{"type": "text", "text": content}]
        if isinstance(content, list):
            content[-1]["cache_control"] = {"type": "ephemeral"}


def _messages(message: ChatMessage, files: Mapping[str, Stored]) -> list[dict[str, Any]]:
    if message.role == "tool":
        return [
            {"role": "tool", "tool_call_id": result["call_id"], "content": result["content"]}
            for result in message.parts.get("results", ())
        ]
    if message.role == "assistant":
        return _answer(message)
    attached = message.parts.get("files", ())
    if not attached:
        return [{"role": "user", "content": message.content}] if message.content else []
    content = [_file(file, files.get(file["id"])) for file in attached]
    if message.content:
        content.append({"type": "text", "text": message.content})
    return [{"role": "user", "content": content}]


def _answer(message: ChatMessage) -> list[dict[str, Any]]:
    calls = message.parts.get("calls", ())
    if not message.content and not calls:
        return []
    encoded: dict[str, Any] = {"role": "assistant", "content": message.content or None}
    if calls:
        encoded["tool_calls"] = [
            {"id": call["id"], "type": "function",
             "function": {"name": call["name"], "arguments": call["arguments"] or "{}"}}
            for call in calls
        ]  # fmt: skip
        if message.reasoning:
            # DeepSeek requires the reasoning of a turn with tool calls.
            encoded["reasoning_content"] = message.reasoning
    return [encoded]


def _file(file: Mapping[str, Any], stored: Stored | None) -> dict[str, Any]:
    if stored is None:
        return {"type": "text", "text": f"[{file['name']}: the file is gone]"}
    if stored.kind == "text":
        text = stored.data.decode("utf-8", "replace")
        return {"type": "text", "text": f"{stored.name}:\n\n{text}"}
    data = base64.b64encode(stored.data).decode()
    if stored.kind == "audio":
        form = _AUDIO_FORMATS.get(stored.media_type, "wav")
        return {"type": "input_audio", "input_audio": {"data": data, "format": form}}
    url = f"data:{stored.media_type};base64,{data}"
    if stored.kind == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    return {"type": "file", "file": {"filename": stored.name, "file_data": url}}

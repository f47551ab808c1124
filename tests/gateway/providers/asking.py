"""One neutral request per case, and what goes out for it to a model of a provider."""

import json
from collections.abc import Mapping
from typing import Any

from dialects.chat.chat import (
    ChatRequest,
    FunctionTool,
    JsonSchema,
    Message,
    ReasoningSettings,
    Text,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from gateway.providers.codecs import codec_for
from gateway.providers.models import capabilities_of
from gateway.providers.provider import Provider
from gateway.providers.targets import dialect_for, needs_of, upstream_of
from tests.dialects import neutral

KEY = "KEY"
# Jina's models rank and embed, the others' tasks are no chats: what goes out to them is read from
# the client's own body.
NOT_CHATTING = frozenset({"jina", "kling", "jimeng", "minimax", "midjourney_proxy", "suno_api"})

_WEATHER = FunctionTool(
    "get_weather",
    "Weather by city",
    {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
_ANSWER = JsonSchema(
    {"type": "object", "properties": {"sum": {"type": "integer"}}, "required": ["sum"]}, "Answer"
)


def _user(text: str) -> Message:
    return Message("user", (Text(text),))


CASES: Mapping[str, ChatRequest] = {
    "plain": neutral.request(
        Message("system", (Text("Be brief."),)),
        _user("Hello"),
        temperature=1.5,
        output_cap=4_096,
        stop=("END",),
    ),
    "streamed": neutral.request(_user("Hello"), stream=True, include_usage=True),
    "tool": neutral.request(
        _user("Weather in Paris?"),
        Message("assistant", (ToolCall("call_1", "get_weather", '{"city":"Paris"}'),)),
        Message("tool", (ToolResult("call_1", (Text("21 °C"),)),)),
        _user("And in Rome?"),
        tools=(_WEATHER,),
        tool_choice=ToolChoice("required"),
        parallel_tool_calls=False,
    ),
    "reasoning": neutral.request(
        _user("What is 2 + 2?"),
        reasoning=ReasoningSettings(effort="high"),
        temperature=0.5,
        output_cap=32_000,
        output_form=_ANSWER,
    ),
}


def outgoing(
    provider: Provider, case: str, model: str, base_url: str = "", asked: str = ""
) -> dict[str, Any]:
    """Everything that is sent for a case, as a golden file shows it."""
    request = CASES[case]
    known = capabilities_of(model, provider, asked)
    dialect = dialect_for(provider, known, "openai", needs_of(request))
    upstream = upstream_of(provider, dialect, model, known)
    codec = codec_for(provider, dialect)
    encoded = codec.encode(request, upstream)
    operation = codec.upstream_operation(stream=request.stream)
    return {
        "dialect": dialect,
        "method": "POST",
        "url": provider.url(operation, base_url or provider.base_url, upstream.model),
        "headers": provider.headers(KEY, dialect),
        "dropped": list(encoded.dropped),
        "body": json.loads(encoded.body),
    }

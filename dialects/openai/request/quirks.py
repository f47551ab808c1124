"""What a model's flags change in a forwarded request.

Only single members of the body are replaced, added or removed; all other bytes stay. The encoder
makes the same changes to a translated request.

A client of this dialect may set a switch that the model does not have; it is then converted to the
model's own: reasoning_effort, thinking and enable_thinking are three names for one switch.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec

from dialects.chat.chat import Effort, Flag, ReasoningSettings, Upstream
from dialects.chat.reasoning import EFFORTS, budget_of, nearest
from dialects.errors.errors import RequestFault
from dialects.json.body import Body, Quirks
from dialects.json.not_json import NOT_JSON
from dialects.json.raw_json import value_of
from dialects.openai.request import mistral

CAP_NAMES: Final = ("max_completion_tokens", "max_tokens")
JSON_SENTENCE: Final = "Answer with one JSON object only, without any other text."
# Compatible mode is always incremental and has one form of result; the other members affect the
# hold, and must not appear a second time.
NOT_PARAMETERS: Final = frozenset(
    {"incremental_output", "result_format", "model", "messages", "n", "stream", "stream_options"}
)
_FLAGS: Final[frozenset[Flag]] = frozenset(
    {
        "max_completion_tokens_only",
        "no_sampling",
        "no_penalties_no_stop",
        "no_parallel_tools",
        "no_reasoning_effort",
        "no_developer_role",
        "thinking_switch",
        "thinking_default_off",
        "enable_thinking_switch",
        "reasoning_content_rule",
        "json_object_only",
        "tool_choice_auto_only",
        "no_web_search_options",
        "temperature_max_1",
        "thinking_no_forced_tool",
        "mistral_form",
        "no_logprobs",
        "no_message_names",
    }
)
LOGPROBS: Final = ("logprobs", "top_logprobs", "logit_bias")
SAMPLING: Final = (
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    *LOGPROBS,
)
PENALTIES: Final = ("presence_penalty", "frequency_penalty", "stop")
_THINKING: Final = ("reasoning_effort", "thinking", "enable_thinking", "thinking_budget")
_DEVELOPER: Final = b'"developer"'
_NO_FORCED_TOOL: Final[frozenset[Flag]] = frozenset(
    {"thinking_no_forced_tool", "enable_thinking_switch"}
)
_OF_MESSAGES: Final[frozenset[Flag]] = frozenset(
    {"reasoning_content_rule", "mistral_form", "no_message_names"}
)
_SWITCHES: Final = {"enabled": True, "auto": True, "adaptive": True, "disabled": False}

_raws = msgspec.json.Decoder(list[msgspec.Raw])
_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_encode = msgspec.json.encode


def needs_fit(body: Body, flags: frozenset[Flag]) -> bool:
    """Return whether `fit` could change anything."""
    return not flags.isdisjoint(_FLAGS) or (
        "parameters" in body.members and "parameters_whole" not in flags
    )


def calls_without_reasoning(body: Body) -> list[str]:
    """Return the ids of tool calls in turns without their reasoning."""
    return [
        call["id"]
        for message in _messages(body)
        if _is_bare(members := _object(message))
        for call in _list(members.get("tool_calls"))
        if isinstance(call, dict) and isinstance(call.get("id"), str)
    ]


def quirks_for(body: Body, upstream: Upstream, thoughts: Mapping[str, str]) -> Quirks:
    """Return the edits for a model with its flags. `thoughts` is the known reasoning that led to
    earlier tool calls, by their ids. Raises RequestFault `unsupported_capability` for a web search
    that the model does not offer in this way.
    """
    fitting = _BodyFitter(body, upstream)
    fitting.run(thoughts)
    cap_name = CAP_NAMES["max_completion_tokens_only" not in upstream.flags]
    return Quirks(fitting.edits, tuple(dict.fromkeys(fitting.dropped)), cap_name)


class _BodyFitter:
    def __init__(self, body: Body, upstream: Upstream) -> None:
        self._body = body
        self._upstream = upstream
        self._flags = upstream.flags
        self._efforts = upstream.efforts
        self.edits: dict[str, bytes | None] = {}
        self.dropped: list[str] = []

    def run(self, thoughts: Mapping[str, str]) -> None:
        flags = self._flags
        if "no_web_search_options" in flags and self._is_set("web_search_options"):
            what = "web search with this model needs a tool in `tools`"
            raise RequestFault("unsupported_capability", "web_search_options", what)
        if "parameters_whole" not in flags:
            self._move_parameters()
        if "max_completion_tokens_only" in flags:
            self._rename_cap()
        if "no_sampling" in flags and self._effort_sent() != "none":
            self._drop(*SAMPLING)
            if self._value("n") not in (None, 1):
                self._drop("n")
        if "no_penalties_no_stop" in flags:
            self._drop(*PENALTIES)
        if "no_parallel_tools" in flags:
            self._drop("parallel_tool_calls")
        if "no_logprobs" in flags:
            self._drop(*LOGPROBS)
        if "temperature_max_1" in flags:
            self._bound_temperature()
        self._fit_thinking()
        self._fit_tool_choice()
        sentence = self._fit_output() if "json_object_only" in flags else ""
        renamed = "no_developer_role" in flags and _DEVELOPER in self._body.raw
        if sentence or renamed or not flags.isdisjoint(_OF_MESSAGES):
            self._fit_messages(sentence, thoughts)
        if "mistral_form" in flags:
            self._fit_to_mistral()

    # ---- members

    def _raw(self, name: str) -> bytes | None:
        """Return a member as it will be sent."""
        return self.edits[name] if name in self.edits else self._body.value(name)

    def _is_set(self, name: str) -> bool:
        return self._raw(name) is not None

    def _value(self, name: str) -> Any:
        raw = self._raw(name)
        return None if raw is None else _decode(raw)

    def _remove(self, *names: str) -> None:
        for name in names:
            if name in self._body.members:
                self.edits[name] = None
            else:
                self.edits.pop(name, None)

    def _drop(self, *names: str) -> None:
        for name in names:
            if self._is_set(name):
                self.dropped.append(name)
                self._remove(name)

    # ---- flags

    def _move_parameters(self) -> None:
        parameters = self._value("parameters")
        if parameters is None:
            return
        self._remove("parameters")
        if "params_object" not in self._flags or not isinstance(parameters, dict):
            self.dropped.append("parameters")
            return
        for name, value in _members.decode(self._body.value("parameters") or b"{}").items():
            if name in NOT_PARAMETERS:
                self.dropped.append(f"parameters.{name}")
            else:
                self.edits[name] = bytes(value)

    def _rename_cap(self) -> None:
        legacy = self._raw("max_tokens")
        if legacy is None:
            return
        self._remove("max_tokens")
        if not self._is_set("max_completion_tokens"):
            self.edits["max_completion_tokens"] = legacy

    def _bound_temperature(self) -> None:
        value = self._value("temperature")
        if isinstance(value, int | Decimal) and not isinstance(value, bool) and value > 1:
            self.edits["temperature"] = b"1"

    def _effort(self) -> Effort | None:
        word = self._value("reasoning_effort")
        return next((effort for effort in EFFORTS if effort == word), None)

    def _effort_sent(self) -> Effort | None:
        effort = self._effort()
        return None if effort is None else nearest(effort, self._efforts)

    def _switch(self) -> bool | None:
        """Return whether thinking is switched on or off by any parameter; off takes precedence."""
        thinking = self._value("thinking")
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        own, effort = self._value("enable_thinking"), self._effort()
        values = [
            _SWITCHES.get(kind) if isinstance(kind, str) else None,
            own if isinstance(own, bool) else None,
            None if effort is None else effort != "none",
        ]
        present = [value for value in values if value is not None]
        return None if not present else all(present)

    def _budget(self) -> int | None:
        """Return the tokens of thinking that `thinking` or the effort asks for. A switch alone
        leaves the depth to the model."""
        thinking = self._value("thinking")
        tokens = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
        settings = ReasoningSettings(
            effort=self._effort(), budget_tokens=tokens if type(tokens) is int else None
        )
        upstream = self._upstream
        return budget_of(settings, budget_min=upstream.budget_min, budget_max=upstream.budget_max)

    def _fit_thinking(self) -> None:
        flags = self._flags
        if "enable_thinking_switch" in flags:
            wanted, budget = self._switch(), self._budget()
            self._remove("reasoning_effort", "thinking")
            if wanted and budget is not None and budget > 0 and not self._is_set("thinking_budget"):
                self.edits["thinking_budget"] = _encode(budget)
            if wanted is not None and self._value("enable_thinking") is not wanted:
                self.edits["enable_thinking"] = b"true" if wanted else b"false"
        elif "thinking_switch" in flags:
            self._fit_thinking_object()
        elif "no_reasoning_effort" in flags:
            self._drop(*_THINKING)

    def _fit_thinking_object(self) -> None:
        wanted, effort = self._switch(), self._effort()
        self._remove("enable_thinking", "reasoning_effort")
        self._drop("thinking_budget")
        if wanted is None and "thinking_default_off" in self._flags:
            wanted = False
        thinking = self._value("thinking")
        kind = thinking.get("type") if isinstance(thinking, dict) else None
        if wanted is not None and (kind == "adaptive" or _SWITCHES.get(str(kind)) is not wanted):
            # Only Claude knows the word adaptive.
            self.edits["thinking"] = _encode({"type": "enabled" if wanted else "disabled"})
        if wanted and effort is not None and self._efforts:
            if "reasoning_content_rule" in self._flags and effort == "xhigh":
                # DeepSeek has high and max, and treats xhigh as max.
                effort = "max"
            self.edits["reasoning_effort"] = _encode(nearest(effort, self._efforts))

    def _fit_tool_choice(self) -> None:
        choice = self._value("tool_choice")
        if choice in (None, "auto"):
            return
        if "tool_choice_auto_only" in self._flags:
            self._drop("tool_choice")
            if choice == "none":
                self._remove("tools")
        elif self._flags >= _NO_FORCED_TOOL and choice != "none":
            self._remove("thinking_budget")
            self.edits["enable_thinking"] = b"false"

    def _fit_output(self) -> str:
        """Request a JSON object if the model does not support schemas; return the sentence to
        add."""
        form = self._value("response_format")
        kind = form.get("type") if isinstance(form, dict) else None
        if kind == "json_schema":
            self.edits["response_format"] = b'{"type":"json_object"}'
            schema = _encode(_object(form.get("json_schema")).get("schema")).decode()
            return f"{JSON_SENTENCE} It must fit this JSON Schema: {schema}"
        if kind == "json_object" and b"json" not in (self._raw("messages") or b"").lower():
            return JSON_SENTENCE
        return ""

    def _fit_messages(self, sentence: str, thoughts: Mapping[str, str]) -> None:
        before = _messages(self._body)
        after = list(before)
        if "no_developer_role" in self._flags:
            after = [_as_system(message) for message in after]
        if "reasoning_content_rule" in self._flags:
            after = [_with_thought(message, thoughts) for message in after]
        if "no_message_names" in self._flags:
            after = [_without_name(message) for message in after]
        if "mistral_form" in self._flags:
            after = [_as_mistral(message) for message in after]
        if sentence:
            after = _with_sentence(after, sentence)
        if list(map(bytes, after)) != list(map(bytes, before)):
            self.edits["messages"] = _encode(after)

    def _fit_to_mistral(self) -> None:
        for name, own_name in mistral.RENAMED.items():
            value = self._raw(name)
            self._remove(name)
            if value is not None:
                self.edits[own_name] = value
        self.edits |= dict.fromkeys(mistral.DROPPED_SILENTLY)
        self._drop(*mistral.unknown_members({**self._body.members, **self.edits}))


def _messages(body: Body) -> list[msgspec.Raw]:
    raw = body.value("messages")
    return _raws.decode(raw) if raw is not None and raw.startswith(b"[") else []


def _is_bare(message: Mapping[str, Any]) -> bool:
    """Return whether a turn has calls without the reasoning that must accompany them."""
    return bool(
        message.get("role") == "assistant"
        and _list(message.get("tool_calls"))
        and not isinstance(message.get("reasoning_content"), str)
    )


def _as_system(raw: msgspec.Raw) -> msgspec.Raw:
    if _DEVELOPER not in bytes(raw) or _object(raw).get("role") != "developer":
        return raw
    return msgspec.Raw(_encode(_members.decode(raw) | {"role": "system"}))


def _without_name(raw: msgspec.Raw) -> msgspec.Raw:
    message = _object(raw) if b'"name"' in bytes(raw) else {}
    if "name" not in message or message.get("role") == "tool":
        return raw
    members = _members.decode(raw)
    del members["name"]
    return msgspec.Raw(_encode(members))


def _as_mistral(raw: msgspec.Raw) -> msgspec.Raw:
    message = value_of(bytes(raw))
    fitted = mistral.fit_message(message) if isinstance(message, dict) else message
    return raw if fitted == message else msgspec.Raw(_encode(fitted))


def _with_thought(raw: msgspec.Raw, thoughts: Mapping[str, str]) -> msgspec.Raw:
    if b'"tool_calls"' not in bytes(raw):
        return raw
    message = _object(raw)
    if not _is_bare(message):
        return raw
    ids = [call.get("id") for call in _list(message["tool_calls"]) if isinstance(call, dict)]
    texts: Iterable[str] = (thoughts.get(id_, "") for id_ in ids if isinstance(id_, str))
    members = _members.decode(raw)
    members["reasoning_content"] = msgspec.Raw(_encode("\n\n".join(filter(None, texts))))
    return msgspec.Raw(_encode(members))


def _with_sentence(messages: list[msgspec.Raw], sentence: str) -> list[msgspec.Raw]:
    """Add the sentence to the system message, or as a message of its own."""
    first = _object(messages[0]) if messages else {}
    if first.get("role") == "system" and isinstance(first.get("content"), str):
        members = _members.decode(messages[0])
        members["content"] = msgspec.Raw(_encode(f"{first['content']}\n\n{sentence}"))
        return [msgspec.Raw(_encode(members)), *messages[1:]]
    own = msgspec.Raw(_encode({"role": "system", "content": sentence}))
    return [own, *messages]


def _decode(raw: bytes) -> Any:
    """Return a member's decoded value; numbers with a fraction are exact."""
    try:
        return _exact.decode(raw)
    except NOT_JSON:
        return None


_exact = msgspec.json.Decoder(float_hook=Decimal)


def _object(value: Any) -> dict[str, Any]:
    if isinstance(value, msgspec.Raw):
        value = _decode(bytes(value))
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

"""Read the settings of a turn from a form, and check them (`content/prompts/settings.py`)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from content.prompts.settings import Settings
from content.prompts.variables import names_in
from dialects.errors.errors import RequestFault
from dialects.json.max_cost import read_amount
from playground.panel.json_schema import check_schema
from playground.panel.json_text import InvalidJson, parse_json
from playground.panel.parameters import InvalidSetting, Parameter, read_values

SYSTEM_MAX: Final = 200_000
TOOLS_MAX: Final = 64
TOOL_CHOICES: Final = ("", "auto", "none", "required")
# Settings of the conversation itself.
RESERVED: Final = ("messages", "model", "stream", "stream_options", "max_cost", "n")
KNOWN: Final = frozenset(
    {"temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed",
     "presence_penalty", "frequency_penalty", "logit_bias", "logprobs", "top_logprobs",
     "reasoning_effort", "thinking", "enable_thinking", "thinking_budget", "tools", "tool_choice",
     "parallel_tool_calls", "response_format", "modalities", "audio", "web_search_options",
     "search_parameters", "service_tier", "store", "metadata", "user", "verbosity", "prediction",
     "prompt_cache_key", "safety_identifier", "functions", "function_call"}
)  # fmt: skip
_TOOL_MEMBERS: Final = {"name", "description", "parameters", "strict", "mock", "always"}


def read_settings(
    form: Mapping[str, str], parameters: Sequence[Parameter]
) -> tuple[Settings, tuple[str, ...]]:
    """Return the settings of a form (`p.<parameter>`, `var.<variable>`, and the members' own
    names), and the parameters that the model does not support. Raises InvalidSetting."""
    words = {name[2:]: word for name, word in form.items() if name.startswith("p.")}
    values, dropped = read_values(words, parameters)
    system = form.get("system", "").replace("\r\n", "\n")
    if len(system) > SYSTEM_MAX:
        raise InvalidSetting("system", "too_long", high=SYSTEM_MAX)
    choice = form.get("tool_choice", "")
    tools = read_tools(form.get("tools", ""))
    if choice not in TOOL_CHOICES and choice not in {tool["name"] for tool in tools}:
        raise InvalidSetting("tool_choice", "no_choice", choices=", ".join(TOOL_CHOICES[1:]))
    max_cost = form.get("max_cost", "").strip().removeprefix("$")
    if max_cost:
        _check_max_cost(max_cost)
    return (
        Settings(
            params=values,
            system=system,
            variables={name: form[f"var.{name}"] for name in names_in(system)
                       if form.get(f"var.{name}")},
            tools=tools,
            tool_choice=choice if tools else "",
            serial=bool(tools) and "serial" in form,
            schema=read_schema(form.get("schema", "")),
            strict="strict" in form,
            raw=read_raw(form.get("raw", "")),
            max_cost=max_cost,
            trim=form.get("trim", "") == "oldest",
        ),
        dropped,
    )  # fmt: skip


def _check_max_cost(text: str) -> None:
    """Raise InvalidSetting for a value that the API refuses."""
    try:
        read_amount(text, "max_cost")
    except RequestFault:
        raise InvalidSetting("max_cost", "no_amount") from None


def read_tools(text: str) -> list[dict[str, Any]]:
    """Parse a JSON list of tool definitions, in our form or OpenAI's. Raises InvalidSetting."""
    if not text.strip():
        return []
    definitions = _json("tools", text)
    if not isinstance(definitions, list):
        raise InvalidSetting("tools", "no_list")
    if len(definitions) > TOOLS_MAX:
        raise InvalidSetting("tools", "too_many", high=TOOLS_MAX)
    tools = [_read_tool(tool, f"/{number}") for number, tool in enumerate(definitions)]
    names = [tool["name"] for tool in tools]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise InvalidSetting("tools", "twice", path=f"/{number}/name", name=name)
    return tools


def _read_tool(tool: Any, path: str) -> dict[str, Any]:
    if isinstance(tool, dict) and tool.get("type") == "function":
        tool = tool.get("function")
    if not isinstance(tool, dict):
        raise InvalidSetting("tools", "no_object", path=path)
    unknown = sorted(set(tool) - _TOOL_MEMBERS)
    if unknown:
        raise InvalidSetting(
            "tools", "unknown_member", path=f"{path}/{unknown[0]}", name=unknown[0]
        )
    name = tool.get("name")
    if not isinstance(name, str) or not _is_name(name):
        raise InvalidSetting("tools", "no_name", path=f"{path}/name")
    for member, kind in (("description", str), ("strict", bool), ("always", bool)):
        if member in tool and not isinstance(tool[member], kind):
            raise InvalidSetting(
                "tools", "wrong_type", path=f"{path}/{member}", expected=kind.__name__
            )
    if tool.get("always") and "mock" not in tool:
        raise InvalidSetting("tools", "no_mock", path=f"{path}/mock")
    faults = check_schema(tool.get("parameters", {"type": "object"}), strict=False)
    if faults:
        raise InvalidSetting("tools", "bad_schema", path=f"{path}/parameters{faults[0].path}",
                    reason=faults[0].reason)  # fmt: skip
    return dict(tool)


def _is_name(name: str) -> bool:
    return 0 < len(name) <= 64 and all(sign.isascii() and (sign.isalnum() or sign in "_-")
                                       for sign in name)  # fmt: skip


def read_schema(text: str) -> dict[str, Any] | None:
    """Parse an output schema, or None. Raises InvalidSetting."""
    if not text.strip():
        return None
    schema = _json("schema", text)
    if not isinstance(schema, dict):
        raise InvalidSetting("schema", "no_object", path="/")
    faults = check_schema(schema, strict=False)
    if faults:
        raise InvalidSetting("schema", "bad_schema", path=faults[0].path, reason=faults[0].reason)
    return schema


def read_raw(text: str) -> dict[str, Any] | None:
    """Parse a raw body, or None. Raises InvalidSetting."""
    if not text.strip():
        return None
    body = _json("raw", text)
    if not isinstance(body, dict):
        raise InvalidSetting("raw", "no_object", path="/")
    reserved = sorted(set(body) & set(RESERVED))
    if reserved:
        raise InvalidSetting("raw", "reserved", path=f"/{reserved[0]}", name=reserved[0])
    return body


def unknown_members(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the members of a raw body that we do not know. They are sent unchanged."""
    return tuple(sorted(set(body) - KNOWN))


def _json(field: str, text: str) -> Any:
    try:
        return parse_json(text)
    except InvalidJson as fault:
        raise InvalidSetting(field, "no_json", line=fault.line, column=fault.column,
                    reason=fault.reason) from fault  # fmt: skip


def write_json(value: Any) -> str:
    """Return JSON formatted for an editor."""
    return json.dumps(value, indent=2, ensure_ascii=False)

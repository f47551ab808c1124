"""The tools of a request's body, in any dialect: those that it declares, the earlier calls that it
repeats, and the results that it returns, as the firewall judges them.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from content.guards.rules import GuardRule, Place
from content.guards.tool_calls import Judged, judge_call, judge_tool
from dialects.json.body import Body

_DECLARING: Final = ("tools", "functions", "toolConfig", "tool_config")
_LISTED: Final = ("functionDeclarations", "function_declarations", "tools")
_OF_ONE: Final = ("function", "custom", "toolSpec", "tool_spec")
_ARGUMENTS: Final = ("arguments", "args", "input")
_CALLS: Final = ("function", "custom", "function_call", "functionCall", "toolUse", "tool_use")
_RESULTS: Final = ("functionResponse", "function_response", "toolResult", "tool_result")
_IDS: Final = ("tool_call_id", "tool_use_id", "toolUseId", "call_id", "id")
_RESULT_TYPES: Final = ("tool_result", "call_output", "function_result")


class _Call(NamedTuple):
    name: str
    arguments: str


class _Result(NamedTuple):
    name: str
    id: str


def judge_request(
    rules: Sequence[GuardRule], body: Body, decide: Callable[[Judged, Place], None]
) -> None:
    """Call `decide` for each tool, call and result of a body with what rules decide about it."""
    calls: dict[str, _Call] = {}
    results: list[_Result] = []
    for name in body.members:
        raw = body.value(name)
        if raw is None or raw[:1] not in (b"[", b"{"):
            continue
        value = msgspec.json.decode(raw)
        if name in _DECLARING:
            for declared in _declared(value):
                decide(judge_tool(rules, "request", declared), "request")
            continue
        for one, id in _calls_within(value, ""):
            if isinstance(one, _Result):
                results.append(one)
                continue
            calls[id] = one
            decide(judge_call(rules, "tool_call", *one), "tool_call")
    for result in results:
        call = calls.get(result.id)
        if call is not None:
            decide(judge_call(rules, "tool_result", *call), "tool_result")
        elif result.name:
            decide(judge_tool(rules, "tool_result", result.name), "tool_result")


def _declared(value: Any) -> Iterator[str]:
    """Yield the names of declared tools; that of one which a provider runs itself is its kind."""
    for tool in value if isinstance(value, list) else [value]:
        if not isinstance(tool, dict):
            continue
        inner = [tool[one] for one in _LISTED if one in tool]
        if inner:
            for listed in inner:
                yield from _declared(listed)
            continue
        of_one = next((tool[one] for one in _OF_ONE if isinstance(tool.get(one), dict)), tool)
        named = of_one.get("name") or tool.get("type")
        yield from [named] if isinstance(named, str) else list(tool)


def _calls_within(value: Any, id: str) -> Iterator[tuple[_Call | _Result, str]]:
    """Yield each call and result within a value, a call with its id."""
    if isinstance(value, list):
        for item in value:
            yield from _calls_within(item, id)
        return
    if not isinstance(value, dict):
        return
    id = next((value[one] for one in _IDS if isinstance(value.get(one), str)), id)
    name = value["name"] if isinstance(value.get("name"), str) else ""
    if _is_result(value):
        yield _Result(name, id), id
        return
    arguments = next((value[one] for one in _ARGUMENTS if one in value), None)
    if name and arguments is not None:
        yield _Call(name, _written(arguments)), id
        return
    for member, item in value.items():
        if isinstance(item, dict) and isinstance(item.get("name"), str) and member in _CALLS:
            one = item if _has_arguments(item) else {"input": {}, **item}
            yield from _calls_within(one, id)
        elif isinstance(item, dict) and member in _RESULTS:
            yield from _calls_within({"type": "tool_result", **item}, id)
        elif isinstance(item, list | dict):
            yield from _calls_within(item, id)


def _is_result(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    if isinstance(kind, str) and kind.endswith(_RESULT_TYPES):
        return True
    # In other dialects the turn of a tool contains its results.
    return value.get("role") in ("tool", "function") and "parts" not in value


def _has_arguments(value: dict[str, Any]) -> bool:
    return any(one in value for one in _ARGUMENTS)


def _written(arguments: Any) -> str:
    if isinstance(arguments, str):
        return arguments
    return msgspec.json.encode(arguments).decode()

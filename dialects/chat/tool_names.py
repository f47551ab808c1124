"""The names of tools that are longer than an upstream accepts: Claude takes 128 characters, and
agents join the name of an MCP server and of its tool; most others take 64.

    client's name        mcp__inventory_of_the_…__list_articles      up to 128 characters
    sent to the upstream mcp__inventory_of_the_…_5f0c21ab            its beginning and a digest
    in the answer        mcp__inventory_of_the_…__list_articles      again

A name is shortened wherever the request has it: in declarations, in a forced choice, in earlier
calls and their results. The same request always gives the same names, and the same name gives the
same one in every turn, so that a provider's cache of the conversation holds; no two tools of a
request get the same name.
"""

from collections.abc import Mapping, Sequence, Set
from hashlib import blake2s
from typing import Final, TypeVar

import msgspec

from dialects.chat.chat import ChatRequest, FunctionTool, Part, Tool, ToolCall, ToolResult
from dialects.chat.events import Event, ToolCallStart

_DIGEST_BYTES: Final = 4
_Item = TypeVar("_Item", Part, Tool)


def fit_names(request: ChatRequest, most: int) -> tuple[ChatRequest, Mapping[str, str]]:
    """Return the request with every name of a tool at most `most` characters long, and the client's
    names by those that replace them."""
    names = {tool.name for tool in request.tools if type(tool) is FunctionTool}
    # Types are compared, because this reads long histories, and isinstance is slow with these
    # classes.
    names.update([
        part.name for message in request.messages for part in message.parts
        if type(part) is ToolCall or type(part) is ToolResult
    ])  # fmt: skip
    long = [name for name in names if len(name) > most]
    if not long:
        return request, {}
    short: dict[str, str] = {}
    for name in sorted(long):
        short[name] = _shorten(name, most, names.union(short.values()))
    return _renamed(request, short), {new: name for name, new in short.items()}


def restore_names(events: Sequence[Event], names: Mapping[str, str]) -> list[Event]:
    """Return the events of an answer with the client's names of the tools that it calls, by those
    that `fit_names` gave."""
    return [
        msgspec.structs.replace(event, name=names[event.name])
        if type(event) is ToolCallStart and event.name in names
        else event
        for event in events
    ]


def _shorten(name: str, most: int, taken: Set[str]) -> str:
    """Return the beginning of a name with a digest of the whole, not one of `taken`."""
    salt = 0
    while True:
        salted = blake2s(name.encode(), digest_size=_DIGEST_BYTES, salt=salt.to_bytes(4, "big"))
        digest = salted.hexdigest()
        short = f"{name[: most - 1 - len(digest)]}_{digest}"
        if short not in taken:
            return short
        salt += 1


def _renamed(request: ChatRequest, short: Mapping[str, str]) -> ChatRequest:
    choice = request.tool_choice
    messages = tuple(
        msgspec.structs.replace(message, parts=tuple(_named(part, short) for part in message.parts))
        for message in request.messages
    )
    if choice is not None:
        names = tuple(short.get(name, name) for name in choice.names)
        choice = msgspec.structs.replace(choice, names=names)
    tools = tuple(_named(tool, short) for tool in request.tools)
    return msgspec.structs.replace(request, tools=tools, tool_choice=choice, messages=messages)


def _named(item: _Item, short: Mapping[str, str]) -> _Item:
    if isinstance(item, FunctionTool | ToolCall | ToolResult) and item.name in short:
        return msgspec.structs.replace(item, name=short[item.name])
    return item

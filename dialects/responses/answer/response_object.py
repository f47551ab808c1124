"""The response object around an answer: our id and time, and the settings of its request."""

from typing import Any, Final

from dialects.chat.chat import (
    ChatRequest,
    FunctionTool,
    JsonObject,
    Message,
    OwnTool,
    Text,
    Tool,
    ToolChoice,
)
from dialects.chat.custom_tools import freeform_names
from dialects.chat.turns import derive_id
from dialects.responses.client_tools import CLIENT_CALLS, client_tools
from dialects.responses.request.encode import write_choice, write_form, write_tool

ID_PREFIX: Final = "resp_"


def open_response(request: ChatRequest) -> JsonObject:
    """Return the initial response: in progress and empty, with defaults for what was not set."""
    response: JsonObject = {
        "id": derive_id(ID_PREFIX, request.request_id),
        "object": "response",
        "created_at": request.received_at,
        "completed_at": None,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": _instructions(request.messages),
        "max_output_tokens": request.output_cap,
        "max_tool_calls": request.tool_calls_max,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.continues or request.previous_response_id,
        **_settings(request),
        "usage": None,
        "metadata": request.metadata or {},
    }
    return response if request.user is None else response | {"user": request.user}


def _settings(request: ChatRequest) -> JsonObject:
    """Return the client's settings, or the defaults."""
    settings, choice = request.reasoning, request.tool_choice
    text: dict[str, Any] = {"format": write_form(request.output_form)}
    if request.verbosity is not None:
        text["verbosity"] = request.verbosity
    return {
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": {
            "effort": None if settings is None else settings.effort,
            "summary": None if settings is None else settings.summary,
        },
        "safety_identifier": request.safety_identifier,
        "service_tier": request.service_tier or "default",
        "store": request.store is not False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": text,
        "tool_choice": "auto" if choice is None else _echo_choice(choice, request),
        "tools": _echo_tools(request.tools),
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "truncation": request.truncation or "disabled",
    }


def _instructions(messages: tuple[Message, ...]) -> str | None:
    match messages[:1]:
        case [Message(role="system", parts=[Text(text=text)])]:
            return text
        case _:
            return None


def _echo_tools(tools: tuple[Tool, ...]) -> list[JsonObject]:
    """Return the tools as the client declared them; those of one namespace in one declaration."""
    echoed: list[JsonObject] = []
    for tool in tools:
        if isinstance(tool, OwnTool) and tool.dialect != "responses":
            continue
        written = _echo_tool(tool)
        if not any(written is other for other in echoed):
            echoed.append(written)
    return echoed


def _echo_tool(tool: Tool) -> JsonObject:
    """Return a tool as the client declared it; a function always has a description, which may be
    null.
    """
    if isinstance(tool, FunctionTool):
        if tool.client is not None:
            return tool.client.declared
        return tool.freeform or {"description": None} | write_tool(tool)
    return write_tool(tool)


def _echo_choice(choice: ToolChoice, request: ChatRequest) -> str | JsonObject:
    if choice.mode != "required" or len(choice.names) != 1:
        return write_choice(choice)
    (name,) = choice.names
    custom = name in freeform_names(request.tools)
    named: JsonObject = {"type": "custom" if custom else "function", "name": name}
    client = client_tools(request.tools).get(name)
    if client is None:
        return named
    if client.kind in CLIENT_CALLS:
        return {"type": client.name}
    return named | {"name": client.name, "namespace": client.namespace}

"""The text that a model reads of a request, message by message, in any dialect.

It is counted if no provider reports the usage. JSON, ids, settings and the reasoning of earlier
turns do not count; images count by their size (`relay/counting/image_tokens.py`); the chat
template's overhead is a number of its family (`relay/counting/vocabularies.py`).
"""

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import msgspec

from relay.counting.image_tokens import Picture, count_picture, size_of
from relay.counting.vocabularies import Family

Count = Callable[[str], int]

_SYSTEM: Final = ("system", "instructions", "system_instruction", "systemInstruction")
# The members that may surround a whole request in Gemini's counting requests.
_WHOLE: Final = ("generateContentRequest", "generate_content_request")
_TALK: Final = ("messages", "contents", "input")
_INSIDE: Final = (
    "content", "parts", "text", "refusal", "output", "response", "result", "name", "toolResult",
    "citationsContent", "stdout", "stderr", "context", "document",
)  # fmt: skip
# The members of a message that may have parts with pictures.
_HOLDERS: Final = ("content", "parts", "output", "result", "toolResult")
# The items of earlier reasoning, which is not read again.
_THOUGHTS: Final = ("reasoning", "thought")
# The tokens of functions in OpenAI's notation, by its cookbook: per function, for its parameters,
# per parameter, and per listed value.
_FUNCTION, _PARAMETERS, _PARAMETER, _LISTED, _VALUE = 7, 3, 3, -3, 3


class Message(NamedTuple):
    """A message, or an equivalent of one: its texts, and its number of calls and results."""

    role: str
    texts: tuple[str, ...]
    calls: int = 0
    results: int = 0


class Tool(NamedTuple):
    """A function that the model may call; `parameters` is its JSON schema."""

    name: str
    description: str
    parameters: dict[str, Any]


class Prompt(NamedTuple):
    """Everything that the model reads. `bare` texts are sent without a template (completions)."""

    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    bare: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()


def read_prompt(body: Any) -> Prompt:
    """Return the text of a decoded request. Never raises: unknown shapes have no text."""
    if not isinstance(body, dict):
        return Prompt()
    for name in _WHOLE:
        if isinstance(body.get(name), dict):
            return read_prompt(body[name])
    messages = [_message({"role": "system", "content": body[name]}) for name in _SYSTEM
                if body.get(name)]  # fmt: skip
    pictures: list[Picture] = []
    for name in _TALK:
        value = body.get(name)
        items = [{"role": "user", "content": value}] if isinstance(value, str) else value
        if isinstance(items, list):
            spoken = (item for item in items if isinstance(item, dict))
            messages += [_message(item) for item in spoken if item.get("type") not in _THOUGHTS]
            pictures += _pictures(items)
    bare = tuple(_texts(body.get("prompt")))
    return Prompt(tuple(messages), tuple(_tools(body)), bare, tuple(pictures))


def count_prompt(prompt: Prompt, family: Family, count: Count) -> int:
    """Return the tokens of a prompt. `count` counts the tokens of one text."""
    tokens = sum(map(count, prompt.bare))
    if not prompt.messages:
        return tokens
    tokens += family.start + sum(
        _count_message(message, family, count) for message in prompt.messages
    )
    tokens += sum(count_picture(picture, family.picture) for picture in prompt.pictures)
    if all(message.role not in ("system", "developer") for message in prompt.messages):
        tokens += family.unsaid_system
    return tokens + _count_tools(prompt.tools, family, count)


def words_of(prompt: Prompt) -> Iterator[str]:
    """Yield all texts of a prompt except its tools, in order."""
    yield from prompt.bare
    for message in prompt.messages:
        yield from message.texts


def _count_message(message: Message, family: Family, count: Count) -> int:
    around = family.message + family.call * message.calls + family.result * message.results
    return around + sum(map(count, message.texts))


def _count_tools(tools: tuple[Tool, ...], family: Family, count: Count) -> int:
    if not tools or family.tools_as == "none":
        return 0
    if family.tools_as == "functions":
        return family.tools + sum(_count_function(tool, count) for tool in tools)
    if family.tools_as == "texts":
        return family.tools + sum(map(count, _tool_texts(tools)))
    write = _tool_compact if family.tools_as == "compact" else _tool_json
    return family.tools + sum(count(write(tool)) for tool in tools)


def _count_function(tool: Tool, count: Count) -> int:
    line = f"{tool.name}:{tool.description.removesuffix('.')}"
    return _FUNCTION + count(line) + _count_parameters(tool.parameters, count)


def _count_parameters(schema: dict[str, Any], count: Count) -> int:
    parameters = schema.get("properties")
    if not isinstance(parameters, dict) or not parameters:
        return 0
    tokens = _PARAMETERS
    for name, parameter in parameters.items():
        if not isinstance(parameter, dict):
            continue
        description = str(parameter.get("description", "")).removesuffix(".")
        tokens += _PARAMETER + count(f"{name}:{parameter.get('type', '')}:{description}")
        if isinstance(parameter.get("enum"), list):
            tokens += _LISTED + sum(_VALUE + count(str(value)) for value in parameter["enum"])
        inner = parameter["items"] if isinstance(parameter.get("items"), dict) else parameter
        tokens += _count_parameters(inner, count)
    return tokens


def _tool_texts(tools: tuple[Tool, ...]) -> Iterator[str]:
    for tool in tools:
        yield from filter(None, (tool.name, tool.description, *_schema_texts(tool.parameters)))


def _schema_texts(schema: dict[str, Any]) -> Iterator[str]:
    """Yield the texts of a JSON schema, as Google's SDK counts them."""
    yield from (schema[name] for name in ("format", "description") if _is_text(schema.get(name)))
    for name in ("enum", "required"):
        listed = schema.get(name)
        yield from filter(_is_text, listed if isinstance(listed, list) else ())
    if isinstance(schema.get("items"), dict):
        yield from _schema_texts(schema["items"])
    parameters = schema.get("properties")
    for name, inner in parameters.items() if isinstance(parameters, dict) else ():
        yield name
        yield from _schema_texts(inner if isinstance(inner, dict) else {})


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _tool_json(tool: Tool) -> str:
    """Return the definition as templates write it, with a space after each colon and comma."""
    return msgspec.json.format(_tool_compact(tool), indent=0) + "\n"


def _tool_compact(tool: Tool) -> str:
    return _json({"type": "function", "function": tool._asdict()})


def _message(item: dict[str, Any]) -> Message:
    texts: list[str] = []
    calls = results = 0
    for text, kind in _iterate_texts(item):
        texts.append(text)
        calls += kind == "call"
        results += kind == "result"
    return Message(str(item.get("role", "")), tuple(texts), calls, results)


def _iterate_texts(value: Any) -> Iterator[tuple[str, str]]:
    """Yield the texts of a message or part, each with its kind: text, call, result."""
    if isinstance(value, str):
        yield value, "text"
    elif isinstance(value, list):
        for part in value:
            yield from _iterate_texts(part)
    elif isinstance(value, dict):
        call = _call(value)
        if call:
            yield call, "call"
        elif value.get("thought") is not True:
            yield from _iterate_inner_texts(value)


def _iterate_inner_texts(value: dict[str, Any]) -> Iterator[tuple[str, str]]:
    response = value.get("functionResponse") or value.get("function_response")
    if isinstance(response, dict):
        yield _json(response.get("response")), "result"
    if "json" in value:
        yield _json(value["json"]), "text"
    kind = "result" if _is_result(value) else "text"
    for name in _INSIDE:
        # A result repeats the name of its call.
        if kind == "result" and name == "name":
            continue
        for text, inner in _iterate_texts(value.get(name)):
            yield text, kind if inner == "text" else inner
    source = value.get("source")
    if isinstance(source, dict) and source.get("type") in ("text", "content"):
        yield from _iterate_texts(source.get("data") or source.get("content"))
    elif isinstance(source, dict) and "type" not in source:
        # Converse's documents.
        yield from _iterate_texts(source.get("text") or source.get("content"))
    yield from _iterate_texts(value.get("tool_calls"))


def _is_result(value: dict[str, Any]) -> bool:
    kind = _kind(value)
    named = kind in ("tool_result", "function_result") or kind.endswith("_call_output")
    return named or value.get("role") == "tool" or "toolUseId" in value


def _kind(value: dict[str, Any]) -> str:
    kind = value.get("type")
    return kind if isinstance(kind, str) else ""


def _call(value: dict[str, Any]) -> str:
    """Return the text of a call and its arguments; "" for anything else. Calls of a shell, a patch
    or a tool search have no name but their type."""
    names = ("function", "functionCall", "function_call", "toolUse", "custom")
    inner = next((value[name] for name in names if value.get(name)), None)
    call, kind = inner if isinstance(inner, dict) else value, _kind(value)
    members = ("arguments", "args", *(("action", "operation") if kind.endswith("_call") else ()))
    arguments = next((call[name] for name in members if call.get(name)), None)
    if kind in ("tool_use", "custom", "custom_tool_call") or "toolUse" in value:
        arguments = call.get("input") or {}
    name = call.get("name", kind.removesuffix("_call"))
    if arguments is None or not isinstance(name, str):
        return ""
    return f"{name} {arguments if isinstance(arguments, str) else _json(arguments)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _pictures(value: Any) -> Iterator[Picture]:
    """Yield the pictures of messages, their parts and their results, in any dialect."""
    if isinstance(value, list):
        for inner in value:
            yield from _pictures(inner)
    elif isinstance(value, dict):
        picture = _picture(value)
        if picture is not None:
            yield picture
        else:
            for name in _HOLDERS:
                yield from _pictures(value.get(name))


def _picture(part: dict[str, Any]) -> Picture | None:
    source = part.get("image_url") or part.get("inlineData") or part.get("inline_data")
    image = part.get("image")
    if source is None and isinstance(image, dict):
        source = image.get("source") or {}
    if source is None and part.get("type") in ("image", "input_image"):
        source = part.get("source") or {}
    detail = part.get("detail")
    if isinstance(source, dict):
        kind = source.get("mimeType") or source.get("mime_type") or "image/"
        if not str(kind).startswith("image/"):
            return None
        detail = detail or source.get("detail")
        source = source.get("url") or source.get("data") or source.get("bytes") or ""
    if not isinstance(source, str):
        return None
    if source[:4].lower() == "http":
        return Picture(None, detail == "low")
    data = source[source.find(",", 0, 200) + 1 :] if source[:5].lower() == "data:" else source
    return Picture(size_of(data), detail == "low")


def _texts(value: Any) -> Iterator[str]:
    """Return the texts of a prompt without a template, which is one text or a list."""
    return (text for text, _ in _iterate_texts(value))


def _tools(body: dict[str, Any]) -> Iterator[Tool]:
    config = body.get("toolConfig")
    of_config = config.get("tools") if isinstance(config, dict) else None
    # Items of the Responses API may add tools.
    items = body["input"] if isinstance(body.get("input"), list) else []
    of_items = (item.get("tools") for item in items if isinstance(item, dict))
    for listed in (body.get("tools"), body.get("functions"), of_config, *of_items):
        for entry in listed if isinstance(listed, list) else ():
            if isinstance(entry, dict):
                yield from (tool for item in _declared(entry) if (tool := _tool(item)) is not None)


def _declared(entry: dict[str, Any]) -> list[Any]:
    """Return the tools that an entry declares. A namespace is read before its tools."""
    declared = entry.get("functionDeclarations") or entry.get("function_declarations")
    if isinstance(declared, list):
        return declared
    own = next((entry[name] for name in ("function", "toolSpec", "custom") if name in entry), entry)
    inner = entry.get("tools")
    return [own, *(inner if isinstance(inner, list) else ())]


def _tool(item: Any) -> Tool | None:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        return None
    wrapped = item.get("inputSchema")
    if isinstance(wrapped, dict):
        item = item | {"parameters": wrapped.get("json")}
    schema: dict[str, Any] = next(
        (item[name] for name in ("parameters", "input_schema", "parametersJsonSchema")
         if isinstance(item.get(name), dict)),
        {},
    )  # fmt: skip
    texts = (item.get("description"), _grammar(item.get("format")))
    return Tool(item["name"], "\n\n".join(str(text) for text in texts if text), schema)


def _grammar(form: Any) -> Any:
    """Return the grammar of a custom tool's input, if it has one."""
    form = form if isinstance(form, dict) else {}
    inner = form.get("grammar")
    return (inner if isinstance(inner, dict) else form).get("definition")

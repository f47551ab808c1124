import pytest
from msgspec import structs

from dialects.chat.chat import (
    Dialect,
    FunctionTool,
    Message,
    OwnPart,
    OwnTool,
    Text,
    ToolResult,
    WebSearch,
)
from dialects.chat.client_names import client_name, dropped_names, omit_tool
from dialects.errors.errors import RequestFault
from tests.dialects.neutral import request


@pytest.mark.parametrize(
    ("dialect", "names"),
    [
        ("openai", ("seed", "n", "stop", "safe")),
        ("responses", ("seed", "choices", "stop", "safe")),
        ("anthropic", ("seed", "choices", "stop_sequences", "safe")),
        ("gemini", ("generationConfig.seed", "generationConfig.candidateCount",
                    "generationConfig.stopSequences", "safe")),
    ],
)  # fmt: skip
def test_dropped_names_are_the_clients(dialect: Dialect, names: tuple[str, ...]) -> None:
    chat_request = request(dialect=dialect, seed=0, choices=1, stop=("x",), extra={"safe": 1})
    other: Dialect = "gemini" if dialect == "openai" else "openai"
    fields = ("seed", "choices", "stop", "user", "logit_bias", "seed")
    assert dropped_names(chat_request, other, *fields) == names
    assert dropped_names(chat_request, dialect, "user", "metadata") == ()


def test_implied_fields_are_not_dropped() -> None:
    seals = "reasoning.encrypted_content"
    chat_request = request(dialect="responses", include=(seals,))
    assert dropped_names(chat_request, "gemini", "include") == ()
    chat_request = request(dialect="responses", include=(seals, "file_search_call.results"))
    assert dropped_names(chat_request, "gemini", "include") == ("include",)


def test_common_field_names() -> None:
    assert client_name(request(), "metadata") == "metadata"


@pytest.mark.parametrize("where", ["part", "result", "tool"])
def test_cache_marks_are_named_where_unsupported(where: str) -> None:
    marked = Text("hi", cache="5m")
    members = {
        "part": request(Message("user", (marked,))),
        "result": request(Message("user", (ToolResult("c", (marked,)),))),
        "tool": request(tools=(FunctionTool("f", cache="1h"),)),
    }[where]
    assert dropped_names(members, "responses") == ("cache_control",)
    assert dropped_names(members, "openai", marks=True) == ()


@pytest.mark.parametrize(
    ("dialect", "name"), [("anthropic", "is_error"), ("gemini", "functionResponse.error")]
)
def test_failed_tool_is_named_where_inexpressible(dialect: Dialect, name: str) -> None:
    chat_request = request(Message("tool", (ToolResult("c", (Text("no"),), failed=True),)))
    chat_request = structs.replace(chat_request, dialect=dialect)
    assert dropped_names(chat_request, "openai") == (name,)
    assert dropped_names(chat_request, "responses") == (name,)
    assert name not in dropped_names(
        chat_request, "gemini" if dialect == "anthropic" else "anthropic"
    )


def test_dialect_specific_history_is_named() -> None:
    search = OwnPart("anthropic", {"type": "server_tool_use", "id": "s"})
    code = OwnPart("gemini", {"thought": True, "executableCode": {}})
    chat_request = request(Message("assistant", (search, code)))
    assert dropped_names(chat_request, "openai") == ("server_tool_use", "executableCode")
    assert dropped_names(chat_request, "gemini") == ("server_tool_use",)


BASH = OwnTool("anthropic", {"type": "bash_20250124", "name": "bash"})
PICTURES = OwnTool("responses", {"type": "image_generation"})
FILES = OwnTool("responses", {"type": "file_search", "vector_store_ids": ["vs_1"]})
TOOL_SEARCH = OwnTool("anthropic", {"type": "tool_search_tool_bm25_20251119", "name": "s"})
SEARCH = WebSearch("responses", {"type": "web_search"})
OWN = FunctionTool("read_file")


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        (BASH, "bash_20250124"),
        (FILES, "file_search"),
        (OwnTool("gemini", {"codeExecution": {}}), "codeExecution"),
        (OwnTool("gemini", {}), ""),
    ],
)
def test_dialect_specific_tool_is_named_with_the_remedy(tool: OwnTool, name: str) -> None:
    """Beside the client's functions too: the answer would pretend to have used it."""
    for tools in ((tool,), (tool, OWN)):
        with pytest.raises(RequestFault) as raised:
            omit_tool(structs.replace(request(), tools=tools), tool)
        fault = raised.value
        assert (fault.kind, fault.param) == ("unsupported_capability", "tools")
        prefix = f"tools: {name} is a tool of the {tool.dialect} dialect alone"
        assert fault.what.startswith(prefix)
        assert "declare a function" in fault.what


@pytest.mark.parametrize(
    ("tool", "name"),
    [
        (PICTURES, "tools.image_generation"),
        (TOOL_SEARCH, "tools.tool_search_tool_bm25_20251119"),
        (SEARCH, "tools.web_search"),
    ],
)
def test_agent_works_without_a_hosted_tool(tool: OwnTool | WebSearch, name: str) -> None:
    assert omit_tool(structs.replace(request(), tools=(tool, OWN)), tool) == name
    with pytest.raises(RequestFault):
        omit_tool(structs.replace(request(), tools=(tool,)), tool)


def test_sole_search_is_never_left_out() -> None:
    search = WebSearch("web_search_options", {})
    with pytest.raises(RequestFault):
        omit_tool(structs.replace(request(), tools=(search, OWN)), search)

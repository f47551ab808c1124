"""Tools that only one API has, and what models of the others are offered. The codecs decide;
`tests/reference/guides/test_tool_guide.py` tries every cell of this table with them.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from django.utils.functional import Promise
from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from dialects.chat.chat import Dialect
from reference.guides.guide import Guide, Section
from reference.operations.page import Field

Fate = Literal["function", "search", "omitted", "refused"]
"""What a model of another API is offered: a function, its provider's own web search, or nothing,
with a note in the answer's headers or as a refusal."""

APIS: Final[Mapping[Dialect, str]] = {
    "openai": "Chat Completions",
    "responses": "Responses",
    "anthropic": "Messages",
    "gemini": "Gemini",
    "interactions": "Interactions",
}
_FATES: Final[Mapping[Fate, Promise]] = {
    "function": _("function"),
    "search": _("web search of the provider"),
    "omitted": _("left out"),
    "refused": _("rejected"),
}


class ToolRule(NamedTuple):
    """What becomes of tools beside a function of the client. `names` are the types of `dialect`,
    `fate` that at all other APIs but for `elsewhere`; `text` says what the client sees."""

    dialect: Dialect
    names: tuple[str, ...]
    fate: Fate
    text: Promise
    elsewhere: Mapping[Dialect, Fate] = {}

    def fate_at(self, dialect: Dialect) -> Fate | None:
        """Return what a model of that API is offered; None for the tool itself."""
        return None if dialect == self.dialect else self.elsewhere.get(dialect, self.fate)


_SEARCH: Final = _(
    "Citations. Left out where the provider has no web search, and at Gemini beside functions."
)
_NO_SEARCH: Final[Mapping[Dialect, Fate]] = {"openai": "omitted", "gemini": "omitted"}
_LOOKS_UP: Final = _(
    "Without it, the answer would look as if it had run or looked up something. Declare a function "
    "in its place."
)

RULES: Final[tuple[ToolRule, ...]] = (
    ToolRule(
        "responses",
        ("namespace",),
        "function",
        _(
            "Each of its tools is a function namespace__name. Calls have the tool's own name and "
            "its namespace."
        ),
    ),
    ToolRule(
        "responses",
        ("custom",),
        "function",
        _(
            "A function with one text, input, whose description contains the grammar. The call is "
            "a custom_tool_call with that text."
        ),
    ),
    ToolRule(
        "responses",
        ("tool_search (client)",),
        "function",
        _(
            "The call is a tool_search_call. The tools that your program found are offered with "
            "the next request."
        ),
    ),
    ToolRule(
        "responses",
        ("local_shell", "shell", "apply_patch"),
        "function",
        _(
            "The call is a local_shell_call, shell_call or apply_patch_call. Arguments that are no "
            "JSON object run nothing."
        ),
    ),
    ToolRule("responses", ("web_search", "web_search_preview"), "search", _SEARCH, _NO_SEARCH),
    ToolRule(
        "responses",
        ("image_generation", "tool_search"),
        "omitted",
        _("Nothing: agents declare them with every request and can do without."),
    ),
    ToolRule(
        "responses",
        ("file_search", "code_interpreter", "mcp", "computer_use_preview"),
        "refused",
        _LOOKS_UP,
    ),
    ToolRule(
        "openai",
        ("custom",),
        "function",
        _("A function with one text, input. The call is a custom call with that text."),
    ),
    ToolRule("anthropic", ("web_search_20250305",), "search", _SEARCH, _NO_SEARCH),
    ToolRule(
        "anthropic",
        ("tool_search_tool_regex_20251119", "tool_search_tool_bm25_20251119"),
        "omitted",
        _("Nothing: all tools are offered at once."),
    ),
    ToolRule(
        "anthropic",
        ("bash_20250124", "text_editor_20250728", "memory_20250818"),
        "function",
        _("A function with the members that Claude knows. The call has the form of any other."),
    ),
    ToolRule(
        "anthropic",
        (
            "code_execution_20250825",
            "web_fetch_20250910",
            "computer_20250124",
        ),
        "refused",
        _LOOKS_UP,
    ),
    ToolRule("gemini", ("googleSearch",), "search", _SEARCH, {"openai": "omitted"}),
    ToolRule(
        "gemini",
        ("codeExecution", "urlContext", "googleMaps", "fileSearch"),
        "refused",
        _LOOKS_UP,
    ),
    ToolRule("interactions", ("google_search",), "search", _SEARCH, _NO_SEARCH),
    ToolRule("interactions", ("code_execution", "url_context", "mcp_server"), "refused", _LOOKS_UP),
)


def _field(rule: ToolRule) -> Field:
    where: dict[Fate, list[str]] = {}
    for dialect, api in APIS.items():
        fate = rule.fate_at(dialect)
        if fate is not None:
            where.setdefault(fate, []).append(api)
    words = [_FATES[fate] for fate in where]
    if len(where) > 1:
        words = [
            format_lazy("{fate} ({where})", fate=_FATES[fate], where=", ".join(apis))
            for fate, apis in where.items()
        ]
    kind = words[0] if len(words) == 1 else format_lazy("{}; {}", *words)
    return Field(", ".join(rule.names), kind, rule.text)


def _section(dialect: Dialect) -> Section:
    fields = tuple(_field(rule) for rule in RULES if rule.dialect == dialect)
    title = format_lazy(_("Tools of {api}"), api=APIS[dialect])
    return Section(f"tools-of-{dialect}", title, fields=fields)


OWN_TOOLS: Final = Guide(
    "tools-of-one-api",
    _("Tools of one API"),
    _(
        "Agents declare tools that only one API has. This is what they become at models that are "
        "reached in another API."
    ),
    (
        Section(
            "choice",
            _("What is left out, and what is rejected"),
            (
                _(
                    "A tool that is left out is listed in x-weir-dropped-params, for example as "
                    "tools.web_search. It is rejected instead if it is the only tool of the "
                    "request, or if tool_choice calls for it, because an answer without it would "
                    "look as if it had used it."
                ),
            ),
        ),
        *(_section(dialect) for dialect in APIS),
    ),
)

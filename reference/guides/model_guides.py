"""Guides to models: the series, how each reasons, and which can search the web."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.guides.guide import Guide, Section
from reference.operations.page import Field

MODELS: Final = Guide(
    "model-series",
    _("Model series"),
    _(
        "Common model series. GET /v1/models lists the models you can use; a model that is not "
        "listed here may still work."
    ),
    (
        Section(
            "series",
            _("Series"),
            fields=(
                Field(
                    "OpenAI",
                    "gpt-5.4, gpt-5.4-mini, gpt-5.2, gpt-5.1, gpt-5-chat, gpt-4.1, gpt-4o, "
                    "gpt-4o-mini, gpt-4, gpt-3.5-turbo, o4-mini, o3-mini, o1",
                    _("Text and images. The o-series and gpt-5 think."),
                ),
                Field(
                    "Claude",
                    "claude-opus-4-6, claude-sonnet-4-5-20250929, claude-haiku-4-5-20251001, "
                    "claude-sonnet-4-20250514, claude-3-opus-20240229, claude-3-haiku-20240307",
                    _("Text, images and PDF. Versions from 3.7 on can think."),
                ),
                Field(
                    "DeepSeek",
                    "deepseek-v4-pro, deepseek-v3-1-250821, deepseek-v3, deepseek-r1",
                    _("Text. deepseek-r1 always thinks and does not support functions."),
                ),
                Field(
                    "Grok",
                    "grok-4, grok-4-fast-reasoning, grok-3, grok-3-fast",
                    _("Text; grok-4 also images. grok-4 always thinks."),
                ),
                Field(
                    "Gemini",
                    "gemini-3.1-pro-preview, gemini-3-pro-preview, gemini-3-flash-preview, "
                    "nano-banana-pro",
                    _("Text, images, audio, video and files. nano-banana-pro generates images."),
                ),
                Field(
                    "Qwen",
                    "qwen3-coder-plus, qwen3-omni-flash",
                    _(
                        "Text. qwen3-omni-flash supports audio input and output, and is "
                        "always called with streaming."
                    ),
                ),
                Field(
                    "GLM, Doubao, Kimi",
                    "glm-5, glm-4.7, doubao-seed-1-8-251228, kimi-k2.5",
                    _("Text; Doubao and Kimi also images. All of them can think."),
                ),
            ),
        ),
        Section(
            "needs-responses",
            _("Models that need Responses"),
            (
                _(
                    "o1, o3-mini, o4-mini, and gpt-5 with tools are called through the Responses "
                    "API. Chat requests to them still work: they are sent there and translated "
                    "back."
                ),
                _(
                    "Files are supported by gpt-4o, gpt-4o-mini, gpt-5-chat and other models "
                    "with vision in the Responses API, by URL or as base64: up to 50 MB per file "
                    "and for all files of a request together. A chat request with a file is "
                    "sent there if the provider supports it."
                ),
            ),
            """{"model": "gpt-5.2",
 "input": [{"role": "user", "content": [
   {"type": "input_text", "text": "Summarise this letter."},
   {"type": "input_file", "file_url": "https://www.example.com/document.pdf"}]}]}""",
        ),
    ),
)

THINKING: Final = Guide(
    "thinking",
    _("Thinking"),
    _("Which models think before answering, how to control it, and how reasoning is counted."),
    (
        Section(
            "thinking-defaults",
            _("Defaults"),
            (
                _(
                    "The thinking settings of GPT, Claude and Qwen work for every model that "
                    "thinks, and are translated into its provider's own. Use streaming if a "
                    "model thinks for long: the first words come much later."
                ),
            ),
            fields=(
                Field(
                    "DeepSeek",
                    "thinking.type",
                    _(
                        "deepseek-v3-1 does not think unless thinking.type is enabled; "
                        "deepseek-v4-pro thinks unless it is disabled, at high or max; deepseek-r1 "
                        "always thinks."
                    ),
                ),
                Field(
                    "GPT",
                    "reasoning_effort",
                    _(
                        "gpt-5.1 and later support none to high, some also xhigh; the o-series "
                        "low to high."
                    ),
                ),
                Field(
                    "Claude",
                    "thinking.budget_tokens",
                    _(
                        "Off by default. A budget is at least 1024 and below max_tokens; "
                        "claude-opus-4-6 takes an effort instead."
                    ),
                ),
                Field(
                    "Gemini",
                    "thinkingLevel, thinkingBudget",
                    _(
                        "Gemini 3 thinks by level, low to high. Thinking cannot be turned "
                        "off for pro models."
                    ),
                ),
                Field(
                    "Qwen",
                    "enable_thinking",
                    _(
                        "Off unless enable_thinking is true. The provider is then called with "
                        "streaming."
                    ),
                ),
                Field(
                    "Grok",
                    "reasoning_effort",
                    _(
                        "grok-4 always thinks and does not support effort; grok-3-mini "
                        "supports low and high."
                    ),
                ),
            ),
        ),
        Section(
            "gemini-suffixes",
            _("Suffixes of Gemini model names"),
            (
                _(
                    "A model name that starts with gemini-, and nano-banana-pro, may end in "
                    "a suffix that sets how it thinks, in every API format. The suffix is "
                    "removed before the request is routed and priced, and wins over the "
                    "request body. Any other suffix is part of the name, and the model is "
                    "then not found."
                ),
            ),
            fields=(
                Field(
                    "-thinking",
                    "gemini-3-flash-preview-thinking",
                    _("Thinks: Gemini 2.5 without a limit, Gemini 3 at level high."),
                ),
                Field(
                    "-thinking-<budget>",
                    "gemini-2.5-flash-thinking-8192",
                    _(
                        "A maximum number of tokens, within the model's range; -1 means no "
                        "limit. Gemini 3: low up to 4096, medium up to 12288, otherwise high."
                    ),
                ),
                Field(
                    "-thinking-low, -thinking-high",
                    "gemini-3-pro-preview-thinking-low",
                    _("That level; for Gemini 2.5 a budget of 2048 or 16384."),
                ),
                Field(
                    "-nothinking",
                    "gemini-3-flash-preview-nothinking",
                    _("As little as the model allows: no thinking, or its lowest level or budget."),
                ),
            ),
        ),
        Section(
            "grok-usage",
            _("How Grok's tokens are counted"),
            (
                _(
                    "Completion tokens include reasoning tokens. The visible answer is the rest: "
                    "completion tokens minus reasoning tokens."
                ),
                _(
                    "xAI itself reports completion tokens without reasoning. Usage is rewritten "
                    "here so that one formula works for every model."
                ),
            ),
            """"usage": {
  "prompt_tokens": 100, "completion_tokens": 500, "total_tokens": 600,
  "completion_tokens_details": {"reasoning_tokens": 300}
}

500 − 300 = 200""",
        ),
    ),
)

SEARCH: Final = Guide(
    "web-search",
    _("Web search"),
    _("Each provider has its own way to search. Results are returned as citations."),
    (
        Section(
            "search-by-provider",
            _("Calling each model"),
            fields=(
                Field(
                    "GPT",
                    "web_search_options, tools: web_search",
                    _("The search models in chat; the tool web_search in Responses."),
                ),
                Field(
                    "Claude",
                    "tools: web_search_20250305",
                    _(
                        "Only with a tool in Messages, or with a function of your own in "
                        "chat. web_search_options is rejected with 400."
                    ),
                ),
                Field(
                    "Grok",
                    "search_parameters",
                    _("mode off, auto or on; sources, dates and max_search_results."),
                ),
                Field("Gemini", "tools: google_search", _("In Gemini's format, with grounding.")),
                Field("Qwen", "parameters.enable_search", _("Together with search_options.")),
                Field("GLM", "tools: web_search", _("With a tool of its own.")),
                Field("Kimi", "tools: $web_search", _("With a built-in function.")),
            ),
        ),
        Section(
            "qwen-parameters",
            _("Qwen's rules"),
            (
                _(
                    "Qwen's own settings go into an object named parameters, not to the top "
                    "level. Temperature and top p may be in either place; the one in parameters "
                    "applies. The switch for thinking may also be at the top level."
                ),
                _(
                    "For other models this object is dropped, and listed in the header "
                    "x-weir-dropped-params."
                ),
            ),
            """{"model": "qwen3-omni-flash",
 "messages": [{"role": "user", "content": "What was found this month about tides?"}],
 "stream": true, "enable_thinking": true,
 "parameters": {"enable_search": true,
   "search_options": {"region": "CN", "recency_days": 30}, "incremental_output": true}}""",
            (
                Field("enable_search", "boolean", _("Lets the model search the web.")),
                Field("search_options", "object", _("How it searches, such as region and age.")),
                Field("asr_options", "object", _("How it recognises speech.")),
                Field(
                    "incremental_output",
                    "boolean",
                    _("Accepted but not needed: a stream always sends only what is new."),
                ),
            ),
        ),
        Section(
            "search-stability",
            _("Reliability of search"),
            (
                _(
                    "Search depends on external services. It can be slow, limited, "
                    "unavailable or return nothing useful, and the model may decide not to "
                    "search. It takes longer and adds the tokens of the results. Only "
                    "searches counted by the provider are charged; a failed search does not "
                    "fail the request."
                ),
                _(
                    "Retry where it matters, continue without search results if it fails, "
                    "and do not rely on it alone for up-to-the-minute information."
                ),
            ),
        ),
    ),
)

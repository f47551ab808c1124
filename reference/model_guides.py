"""Guides to models: the series, how each thinks, and who searches the web."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.fields import Field
from reference.guide import Guide, Section

MODELS: Final = Guide(
    "model-series",
    _("Model series"),
    _(
        "The series of models that are known here. Which of them can be asked is told by GET "
        "/v1/models; a name that is not listed may still be served."
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
                    _("Text and pictures; the o-series and gpt-5 think."),
                ),
                Field(
                    "Claude",
                    "claude-opus-4-6, claude-sonnet-4-5-20250929, claude-haiku-4-5-20251001, "
                    "claude-sonnet-4-20250514, claude-3-opus-20240229, claude-3-haiku-20240307",
                    _("Text, pictures and PDF; those from 3.7 on think."),
                ),
                Field(
                    "DeepSeek",
                    "deepseek-v4-pro, deepseek-v3-1-250821, deepseek-v3, deepseek-r1",
                    _("Text; deepseek-r1 always thinks and calls no functions."),
                ),
                Field(
                    "Grok",
                    "grok-4, grok-4-fast-reasoning, grok-3, grok-3-fast",
                    _("Text, grok-4 pictures too; grok-4 always thinks."),
                ),
                Field(
                    "Gemini",
                    "gemini-3.1-pro-preview, gemini-3-pro-preview, gemini-3-flash-preview, "
                    "nano-banana-pro",
                    _("Text, pictures, sound, films and files; nano-banana-pro makes pictures."),
                ),
                Field(
                    "Qwen",
                    "qwen3-coder-plus, qwen3-omni-flash",
                    _("Text; qwen3-omni-flash hears and speaks, and is always asked as a stream."),
                ),
                Field(
                    "GLM, Doubao, Kimi",
                    "glm-5, glm-4.7, doubao-seed-1-8-251228, kimi-k2.5",
                    _("Text, Doubao and Kimi pictures too; all of them can think."),
                ),
            ),
        ),
        Section(
            "needs-responses",
            _("Which models need Responses"),
            (
                _(
                    "o1, o3-mini and o4-mini think at /v1/responses, and gpt-5 with tools while it "
                    "thinks. A chat request to them works: it is sent there and translated back."
                ),
                _(
                    "Files are read by gpt-4o, gpt-4o-mini, gpt-5-chat and other models with "
                    "pictures at /v1/responses, as input_file with file_url or file_data: one file "
                    "at most 50 MB, and all files of a request together. A chat request with a "
                    "file is sent there where the provider has it."
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
    _("Who thinks before it answers, how it is switched, and how what it thought is counted."),
    (
        Section(
            "thinking-defaults",
            _("What holds when you say nothing"),
            (
                _(
                    "reasoning_effort, thinking and enable_thinking are understood for every "
                    "model that thinks, and become what its provider has. Stream where a model "
                    "thinks long: the first words come much later."
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
                    _("gpt-5.1 and later take none to high, some xhigh; the o-series low to high."),
                ),
                Field(
                    "Claude",
                    "thinking.budget_tokens",
                    _(
                        "Off until asked for. A budget is at least 1024 and below max_tokens; "
                        "claude-opus-4-6 takes an effort instead."
                    ),
                ),
                Field(
                    "Gemini",
                    "thinkingLevel, thinkingBudget",
                    _("Gemini 3 thinks by level, low to high; a pro model cannot be told not to."),
                ),
                Field(
                    "Qwen",
                    "enable_thinking",
                    _("Off until enable_thinking is true; it is then asked as a stream."),
                ),
                Field(
                    "Grok",
                    "reasoning_effort",
                    _("grok-4 always thinks and takes no effort; grok-3-mini takes low and high."),
                ),
            ),
        ),
        Section(
            "gemini-suffixes",
            _("Endings of Gemini's names"),
            (
                _(
                    "A name that begins with gemini-, and nano-banana-pro, may end in how it shall "
                    "think, in every form. The ending is cut off before routing and pricing, and "
                    "wins over what the body says. An ending that is none of these is part of the "
                    "name, which is then not found."
                ),
            ),
            fields=(
                Field(
                    "-thinking",
                    "gemini-3-flash-preview-thinking",
                    _("Thinks: Gemini 2.5 as long as it likes, Gemini 3 at level high."),
                ),
                Field(
                    "-thinking-<budget>",
                    "gemini-2.5-flash-thinking-8192",
                    _(
                        "At most so many tokens, within the model's range; -1 is as long as it "
                        "likes. Gemini 3: low up to 4096, medium up to 12288, else high."
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
                    _("As little as the model can: no thinking, or its lowest level or budget."),
                ),
            ),
        ),
        Section(
            "grok-usage",
            _("How Grok's tokens are counted"),
            (
                _(
                    "completion_tokens includes what was thought, and reasoning_tokens says how "
                    "much that is. The text of the answer is the rest: completion_tokens − "
                    "reasoning_tokens."
                ),
                _(
                    "xAI itself tells completion_tokens without reasoning; the usage is rewritten "
                    "here, so that one formula holds for every model."
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
    _("Each provider has its own way to search; what was found comes as citations."),
    (
        Section(
            "search-by-provider",
            _("How each model is asked"),
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
                        "By a tool only, in Messages, or by a function of your own in chat. "
                        "web_search_options is refused with 400."
                    ),
                ),
                Field(
                    "Grok",
                    "search_parameters",
                    _("mode off, auto or on; sources, dates and max_search_results."),
                ),
                Field("Gemini", "tools: google_search", _("In Gemini's form, with grounding.")),
                Field("Qwen", "parameters.enable_search", _("With search_options beside it.")),
                Field("GLM", "tools: web_search", _("By a tool of its own.")),
                Field("Kimi", "tools: $web_search", _("By a function that is built in.")),
            ),
        ),
        Section(
            "qwen-parameters",
            _("Qwen's rules"),
            (
                _(
                    "All settings of Qwen's own stand in the object parameters and not at the top "
                    "level: enable_search, search_options, asr_options, incremental_output, and "
                    "temperature or top_p where you like. What stands in both places holds as in "
                    "parameters. enable_thinking may stand at the top level too."
                ),
                _(
                    "For models that are not Qwen's, parameters is left out and named in "
                    "x-weir-dropped-params."
                ),
            ),
            """{"model": "qwen3-omni-flash",
 "messages": [{"role": "user", "content": "What was found this month about tides?"}],
 "stream": true, "enable_thinking": true,
 "parameters": {"enable_search": true,
   "search_options": {"region": "CN", "recency_days": 30}, "incremental_output": true}}""",
        ),
        Section(
            "search-stability",
            _("Stability of search"),
            (
                _(
                    "Search depends on services outside: it can be slow, limited, unavailable or "
                    "find nothing of use, and the model may decide not to search. It takes longer "
                    "and costs the tokens of what was found. Only searches that the provider "
                    "counts are charged; one that failed is no error of the request."
                ),
                _(
                    "Try again where it matters, go on without a search where it fails, and do "
                    "not rely on it alone for what must be up to the minute."
                ),
            ),
        ),
    ),
)

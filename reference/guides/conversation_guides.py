"""Guides to conversations: members of messages, tool calling, structured output."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.guides.guide import Guide, Section
from reference.operations.page import Field

MEMBERS: Final = Guide(
    "message-members",
    _("Message fields"),
    _("The fields of a Chat Completions message, and its content parts."),
    (
        Section(
            "message",
            _("Message"),
            (
                _(
                    "In a conversation, send all messages every time: add the assistant's "
                    "message as you received it, then the user's next message."
                ),
            ),
            fields=(
                Field(
                    "role",
                    "string",
                    _(
                        "The author: system or developer for instructions, user, assistant "
                        "for the model's answers, tool for the result of a call."
                    ),
                    True,
                    "system, developer, user, assistant, tool",
                ),
                Field(
                    "content",
                    "string | object[] | null",
                    _(
                        "A string, or parts. Null or absent only for an assistant message "
                        "with tool_calls."
                    ),
                ),
                Field(
                    "name", "string", _("Distinguishes several participants with the same role.")
                ),
                Field(
                    "tool_calls",
                    "object[]",
                    _(
                        "For an assistant: the calls it made, each with id, type and "
                        "function with name and arguments (JSON as a string)."
                    ),
                ),
                Field(
                    "tool_call_id",
                    "string",
                    _("For a tool: the id of the call this result belongs to. Required."),
                ),
                Field(
                    "reasoning_content",
                    "string",
                    _(
                        "For an assistant: its reasoning. Send it back with tool_calls to "
                        "DeepSeek models that think; if a client drops it, it is restored "
                        "for 24 hours."
                    ),
                ),
                Field("refusal", "string", _("For an assistant: why it refused to answer.")),
            ),
        ),
        Section(
            "parts",
            _("Content parts"),
            fields=(
                Field("text", "text", _("Text.")),
                Field(
                    "image_url",
                    "url, detail",
                    _("An image, by https or as a data URL; detail is low, high or auto."),
                ),
                Field("input_audio", "data, format", _("Audio in base64, as wav or mp3.")),
                Field(
                    "file",
                    "file_data, filename",
                    _("A document as a data URL. OpenAI models read it through Responses."),
                ),
                Field("video_url", "url", _("A video, for models that support video.")),
            ),
        ),
    ),
)

TOOLS: Final = Guide(
    "tool-calling",
    _("Tool calling"),
    _(
        "The model requests a call, your program runs it, and a second request returns the "
        "result to the model. Supported by GPT, Claude, DeepSeek, Grok, Qwen and most other "
        "models."
    ),
    (
        Section(
            "phase-1",
            _("Step 1: the model requests a call"),
            (
                _(
                    "List your functions under tools, each with a JSON Schema of its parameters. "
                    "By default the model decides whether to call one. You can also forbid "
                    "calls, require at least one, or name the function to call."
                ),
                _(
                    "The answer then holds calls instead of text. The arguments of a call are "
                    "JSON as a string: parse it, and validate it like any untrusted input."
                ),
            ),
            """{"model": "claude-opus-4-6",
 "messages": [{"role": "user", "content": "What is the weather in Shanghai?"}],
 "tools": [{"type": "function", "function": {
   "name": "get_weather", "description": "Get the weather of a city",
   "parameters": {"type": "object", "properties": {"city": {"type": "string"}},
                  "required": ["city"]}}}],
 "tool_choice": "auto"}

{"choices": [{"index": 0, "finish_reason": "tool_calls",
  "message": {"role": "assistant", "content": null, "tool_calls": [
    {"id": "call_1", "type": "function",
     "function": {"name": "get_weather", "arguments": "{\\"city\\": \\"Shanghai\\"}"}}]}}]}""",
        ),
        Section(
            "phase-2",
            _("Step 2: you return the result"),
            (
                _(
                    "Send the conversation again: the assistant's message unchanged, then one "
                    "message with the role tool for each call, with the ID of that call. The "
                    "model then answers or makes the next call."
                ),
                _(
                    "Send the functions in the second request too. Fields of a call that you do "
                    "not know belong to the model: send them back unchanged."
                ),
            ),
            """{"model": "claude-opus-4-6",
 "messages": [
   {"role": "user", "content": "What is the weather in Shanghai?"},
   {"role": "assistant", "content": null, "tool_calls": [
     {"id": "call_1", "type": "function",
      "function": {"name": "get_weather", "arguments": "{\\"city\\": \\"Shanghai\\"}"}}]},
   {"role": "tool", "tool_call_id": "call_1", "content": "{\\"sky\\": \\"rain\\"}"}
 ],
 "tools": [ … ]}""",
        ),
        Section(
            "tool-advice",
            _("Advice"),
            (
                _(
                    "Set a timeout for each call, and return an error as the result rather "
                    "than nothing, so that the model can try another way. Limit the number "
                    "of rounds."
                ),
                _(
                    "In a stream, arguments arrive in pieces. Join them by the call's index "
                    "before you parse."
                ),
            ),
        ),
    ),
)

STRUCTURED: Final = Guide(
    "structured-output",
    _("Structured output"),
    _("Answers that match a JSON Schema, and what to do if a model cannot guarantee it."),
    (
        Section(
            "json-schema",
            _("With a schema"),
            (
                _(
                    "To get an answer that matches a JSON Schema, send the schema as the "
                    "response format. GPT, Claude, Grok, Gemini and Doubao follow it; in strict "
                    "mode, OpenAI models reject schemas they cannot guarantee."
                ),
                _(
                    "DeepSeek, GLM, Qwen, gpt-4 and gpt-3.5-turbo support JSON but no "
                    "schema: the schema is added to the system prompt for them. Validate "
                    "such answers."
                ),
            ),
            """{"model": "claude-opus-4-6",
 "response_format": {"type": "json_schema", "json_schema": {
   "name": "Answer", "strict": true,
   "schema": {"type": "object", "properties": {"summary": {"type": "string"}},
              "required": ["summary"], "additionalProperties": false}}},
 "messages": [{"role": "user", "content": "Summarise: rivers meander because bends grow."}]}""",
        ),
        Section(
            "structured-advice",
            _("Advice"),
            (
                _(
                    "Lower the temperature to 0.1–0.3, and set an output limit that fits the "
                    "whole answer: an answer that reaches the limit is JSON cut off in the "
                    "middle."
                ),
                _(
                    "A model may refuse instead of answering, or stop at the limit. Check how "
                    "the answer ended before you parse it."
                ),
            ),
        ),
    ),
)

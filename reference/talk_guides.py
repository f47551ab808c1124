"""Guides to what is said: members of messages, tool calling, structured output."""

from typing import Final

from django.utils.translation import gettext_lazy as _

from reference.fields import Field
from reference.guide import Guide, Section

MEMBERS: Final = Guide(
    "message-members",
    _("Members of a message"),
    _("What one message of Chat Completions may hold, and what a part of its content may be."),
    (
        Section(
            "message",
            _("Message"),
            (
                _(
                    "A conversation of several turns is sent whole each time: append the "
                    "assistant's message as it came, then the next message of the user."
                ),
            ),
            fields=(
                Field(
                    "role",
                    "string",
                    _(
                        "Who speaks: system or developer for rules, user, assistant for answers "
                        "of the model, tool for the result of a call."
                    ),
                    True,
                    "system, developer, user, assistant, tool",
                ),
                Field(
                    "content",
                    "string | object[] | null",
                    _(
                        "A text, or parts. Null or absent only for an assistant's message with "
                        "tool_calls."
                    ),
                ),
                Field("name", "string", _("Tells several participants of one role apart.")),
                Field(
                    "tool_calls",
                    "object[]",
                    _(
                        "Of an assistant: the calls that it made, each with id, type and function "
                        "with name and arguments, which are JSON as a text."
                    ),
                ),
                Field(
                    "tool_call_id",
                    "string",
                    _("Of a tool: the id of the call whose result this is. Required there."),
                ),
                Field(
                    "reasoning_content",
                    "string",
                    _(
                        "Of an assistant: what it thought. Send it back with tool_calls to models "
                        "of DeepSeek that think; what a client dropped is put back for 24 hours."
                    ),
                ),
                Field("refusal", "string", _("Of an assistant: why it declined to answer.")),
            ),
        ),
        Section(
            "parts",
            _("Parts of content"),
            fields=(
                Field("text", "text", _("A text.")),
                Field(
                    "image_url",
                    "url, detail",
                    _("A picture by https or as a data URL; detail is low, high or auto."),
                ),
                Field("input_audio", "data, format", _("Sound in base64, as wav or mp3.")),
                Field(
                    "file",
                    "file_data, filename",
                    _("A document as a data URL. OpenAI's models read it through Responses."),
                ),
                Field("video_url", "url", _("A film, for models that watch one.")),
            ),
        ),
    ),
)

TOOLS: Final = Guide(
    "tool-calling",
    _("Tool calling"),
    _(
        "The model asks for a call, your program makes it, and a second request gives the model "
        "the result. GPT, Claude, DeepSeek, Grok and Qwen can do it, and most other models."
    ),
    (
        Section(
            "phase-1",
            _("Phase 1: the model asks for a call"),
            (
                _(
                    "Define functions as JSON Schema in tools. tool_choice says whether the model "
                    "may call: auto decides itself, none forbids it, required asks for at least "
                    "one call, and an object names one function."
                ),
                _(
                    "The answer ends with finish_reason tool_calls. arguments is JSON as a text: "
                    "parse it, and check it as you would check input of a stranger."
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
            _("Phase 2: you return the result"),
            (
                _(
                    "Send the conversation again with the assistant's message exactly as it came, "
                    "and one message of the role tool for each call, with its tool_call_id. The "
                    "model then answers, or asks for the next call."
                ),
                _(
                    "Keep tools in the second request. Fields of a call that you do not know, "
                    "such as extra_content, belong to the model: send them back unchanged."
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
                    "Give each call a time limit, and return an error as the result instead of "
                    "nothing: the model can then try another way. Bound the number of rounds."
                ),
                _(
                    "In a stream the arguments come in pieces: join them by the index of the call "
                    "before you parse."
                ),
            ),
        ),
    ),
)

STRUCTURED: Final = Guide(
    "structured-output",
    _("Structured output"),
    _("Answers that fit a JSON Schema, and what to do where a model cannot promise that."),
    (
        Section(
            "json-schema",
            _("By a schema"),
            (
                _(
                    "response_format with json_schema asks for an answer that fits a schema. GPT, "
                    "Claude, Grok, Gemini and Doubao keep to it; strict: true makes OpenAI's "
                    "models refuse a schema that they could not keep to."
                ),
                _(
                    "DeepSeek, GLM, Qwen, gpt-4 and gpt-3.5-turbo know JSON but no schema: the "
                    "schema is put into a system sentence for them. Check such an answer."
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
                    "Lower temperature to 0.1–0.3, and set a cap on output tokens that the whole "
                    "answer fits: with finish_reason length the JSON is cut off."
                ),
                _(
                    "A model may refuse in place of an answer: look at refusal and finish_reason "
                    "before you parse."
                ),
            ),
        ),
    ),
)

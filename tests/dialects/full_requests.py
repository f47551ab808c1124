"""Requests of each dialect that use as much of it as several requests can."""

from typing import Any, Final

from dialects.chat.chat import Dialect

PNG: Final = "iVBORw0KGgo="
WAV: Final = "UklGRgAAAABXQVZF"
PDF: Final = "JVBERi0xLjQ="
WIDE: Final = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "A city", "minLength": 1},
        "days": {"type": ["integer", "null"], "minimum": 1, "maximum": 9},
        "units": {"enum": ["c", "f"]},
        "stops": {"type": "array", "items": {"$ref": "#/$defs/stop"}, "maxItems": 3},
    },
    "required": ["city"],
    "additionalProperties": False,
    "$defs": {"stop": {"type": "object", "properties": {"at": {"type": "string"}}}},
}
SCHEMA: Final = {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
}  # fmt: skip
ANSWER: Final = {
    "type": "object",
    "properties": {"sum": {"type": "number"}, "note": {"type": "string"}},
    "required": ["sum", "note"],
    "additionalProperties": False,
}
HI: Final = {"role": "user", "content": "Hi"}

_OPENAI_TOOL: Final = {
    "type": "function",
    "function": {
        "name": "weather", "description": "Weather", "parameters": SCHEMA, "strict": True,
    },
}  # fmt: skip
_OPENAI: Final[dict[str, dict[str, Any]]] = {
    "sampling": {
        "temperature": 0.7, "top_p": 0.9, "top_k": 40, "n": 2, "seed": 11, "stop": ["a", "b"],
        "max_completion_tokens": 500, "presence_penalty": 0.5, "frequency_penalty": -0.5,
        "logit_bias": {"50": -100}, "logprobs": True, "top_logprobs": 3, "min_p": 0.1,
    },
    "one choice": {"temperature": 1.5, "top_p": 0.5, "max_tokens": 900, "stop": "end", "n": 1},
    "settings": {
        "stream": True, "stream_options": {"include_usage": True}, "user": "u-1",
        "metadata": {"k": "v"}, "store": True, "service_tier": "priority", "verbosity": "low",
        "prompt_cache_key": "pc", "safety_identifier": "si", "reasoning_effort": "high",
        "max_completion_tokens": 4000, "max_cost": "0.5", "models": ["other"],
        "prediction": {"type": "content", "content": "x"}, "parallel_tool_calls": False,
    },
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 9000},
    "no thinking": {"enable_thinking": False, "max_tokens": 10},
    "budget": {"enable_thinking": True, "thinking_budget": 5000, "max_tokens": 0},
    "tools": {
        "tools": [_OPENAI_TOOL, {"type": "custom", "custom": {
            "name": "edit", "description": "Edits", "format": {"type": "grammar", "grammar": {
                "syntax": "lark", "definition": "start: WORD"}}}}],
        "tool_choice": "required", "parallel_tool_calls": True,
    },
    "wide schema": {"tools": [
        {"type": "function", "function": {"name": "weather", "parameters": WIDE}}]},
    "named tool": {
        "tools": [_OPENAI_TOOL], "parallel_tool_calls": False,
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    },
    "allowed tools": {
        "tools": [_OPENAI_TOOL, {"type": "function", "function": {"name": "noop"}}],
        "tool_choice": {"type": "allowed_tools", "allowed_tools": {
            "mode": "auto", "tools": [{"type": "function", "function": {"name": "noop"}}]}},
    },
    "functions": {
        "functions": [{"name": "old", "parameters": SCHEMA}], "function_call": {"name": "old"},
        "messages": [
            HI, {"role": "assistant", "content": None,
                 "function_call": {"name": "old", "arguments": "{\"city\": \"Oslo\"}"}},
            {"role": "function", "name": "old", "content": "cold"},
        ],
    },
    "schema": {"response_format": {"type": "json_schema", "json_schema": {
        "name": "sum", "schema": ANSWER, "strict": True, "description": "A sum"}}},
    "json": {"response_format": {"type": "json_object"}},
    "search": {"web_search_options": {"search_context_size": "low", "user_location": {
        "type": "approximate", "approximate": {
            "city": "Rome", "region": "Lazio", "country": "IT", "timezone": "Europe/Rome"}}}},
    "search of Kimi": {"tools": [
        {"type": "builtin_function", "function": {"name": "$web_search"}}]},
    "search of GLM": {"tools": [{"type": "web_search", "web_search": {"enable": True}}]},
    "another tool": {"tools": [{"type": "builtin_function", "function": {"name": "other"}}]},
    "a tool of another type": {"tools": [{"type": "x", "function": {"name": "$web_search"}}]},
    "search of Qwen": {"parameters": {"enable_search": True}, "enable_search": True},
    "no live search": {"search_parameters": {"mode": "off"}},
    "blocked sites": {"search_parameters": {"sources": [
        {"type": "x"}, {"type": "web", "excluded_websites": ["b.org"]}]}},
    "live search": {"search_parameters": {
        "mode": "on", "max_search_results": 5, "from_date": "2026-01-01",
        "sources": [{"type": "web", "allowed_websites": ["a.org"], "country": "IT"}]}},
    "speech": {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": "wav"}},
    "parts": {"messages": [
        {"role": "system", "content": "Be brief.", "name": "sys"},
        {"role": "developer", "content": [{"type": "text", "text": "Be kind.",
                                           "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "name": "ann", "content": [
            {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"type": "image_url", "image_url": {
                "url": f"data:image/png;base64,{PNG}", "detail": "low"}},
            {"type": "file", "file": {"filename": "a.pdf",
                                      "file_data": f"data:application/pdf;base64,{PDF}"}},
        ]},
    ]},
    "sound and film": {"messages": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}},
        {"type": "video_url", "video_url": {"url": f"data:video/mp4;base64,{PNG}"}},
    ]}]},
    "picture by link": {"messages": [{"role": "user", "content": [
        {"type": "image_url", "image_url": {"url": "https://a.example/p.png", "detail": "low"}},
    ]}]},
    "file by id": {"messages": [{"role": "user", "content": [
        {"type": "file", "file": {"file_id": "file-1"}}]}]},
    "calls": {
        "tools": [_OPENAI_TOOL],
        "messages": [
            HI,
            {"role": "assistant", "content": "Let me see.", "reasoning_content": "Think harder",
             "annotations": [{"type": "url_citation", "url_citation": {
                 "url": "https://a.example", "title": "A", "start_index": 0, "end_index": 3}}],
             "tool_calls": [
                 {"id": "call_1", "type": "function",
                  "function": {"name": "weather", "arguments": "{\"city\": \"Oslo\"}"},
                  "extra_content": {"anthropic": {"reasoning": [
                      {"characters": 5, "value": "c2VhbA=="},
                      {"characters": 0, "value": "cmVk", "redacted": True}]}}},
                 {"id": "call_2", "type": "function",
                  "function": {"name": "weather", "arguments": "{}"},
                  "extra_content": {"google": {"thought_signature": "c2ln"},
                                    "openai": {"reasoning": [
                                        {"characters": 7, "value": "ZW5j", "id": "rs_1"}]}}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": "cold"},
            {"role": "tool", "tool_call_id": "call_2",
             "content": [{"type": "text", "text": "warm"}]},
            {"role": "assistant", "content": "Cold, then warm.", "refusal": None},
            {"role": "user", "content": "And now?"},
        ],
    },
    "refusal": {"messages": [
        HI, {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "user", "content": "Why?"}]},
}  # fmt: skip

_RESPONSES_TOOL: Final = {
    "type": "function", "name": "weather", "description": "Weather", "parameters": SCHEMA,
    "strict": True,
}  # fmt: skip
_RESPONSES: Final[dict[str, dict[str, Any]]] = {
    "settings": {
        "input": "Hi", "instructions": "Be brief.", "max_output_tokens": 500, "temperature": 0.7,
        "top_p": 0.9, "top_logprobs": 2, "stream": True, "parallel_tool_calls": False,
        "max_tool_calls": 3, "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"verbosity": "high"}, "store": False, "truncation": "auto",
        "include": ["reasoning.encrypted_content"], "metadata": {"k": "v"}, "user": "u-1",
        "service_tier": "flex", "prompt_cache_key": "pc", "safety_identifier": "si",
    },
    "likelihoods": {"input": "Hi", "include": ["message.output_text.logprobs"]},
    "schema": {"input": "Hi", "text": {"format": {
        "type": "json_schema", "name": "sum", "schema": ANSWER, "strict": True}}},
    "json": {"input": "Hi", "text": {"format": {"type": "json_object"}}},
    "tools": {
        "input": "Hi", "tool_choice": {"type": "function", "name": "weather"},
        "tools": [
            _RESPONSES_TOOL, {"type": "custom", "name": "edit", "description": "Edits"},
            {"type": "local_shell"}, {"type": "apply_patch"},
            {"type": "namespace", "name": "ns", "description": "d", "tools": [
                {"type": "function", "name": "inner", "parameters": SCHEMA}]},
        ],
    },
    "allowed tools": {
        "input": "Hi", "tools": [_RESPONSES_TOOL],
        "tool_choice": {"type": "allowed_tools", "mode": "required",
                        "tools": [{"type": "function", "name": "weather"}]},
    },
    "search": {"input": "Hi", "tools": [{
        "type": "web_search", "search_context_size": "high",
        "filters": {"allowed_domains": ["a.org"]},
        "user_location": {"type": "approximate", "city": "Rome", "country": "IT"}}]},
    "optional tools": {"input": "Hi", "tools": [_RESPONSES_TOOL, {"type": "image_generation"}]},
    "files": {"input": "Hi", "tools": [{"type": "file_search", "vector_store_ids": ["v"]}]},
    "parts": {"input": [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": [
            {"type": "input_text", "text": "Look"},
            {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}",
             "detail": "high"},
            {"type": "input_file", "filename": "a.pdf",
             "file_data": f"data:application/pdf;base64,{PDF}"},
        ]},
    ]},
    "sound": {"input": [{"role": "user", "content": [
        {"type": "input_audio", "input_audio": {"data": WAV, "format": "wav"}}]}]},
    "picture by link": {"input": [{"role": "user", "content": [
        {"type": "input_image", "image_url": "https://a.example/p.png"}]}]},
    "picture by id": {"input": [{"role": "user", "content": [
        {"type": "input_image", "file_id": "file-1"}]}]},
    "items": {
        "tools": [_RESPONSES_TOOL, {"type": "custom", "name": "edit"}, {"type": "local_shell"}],
        "input": [
            {"type": "message", "role": "user", "content": "Hi"},
            {"type": "reasoning", "id": "rs_1", "summary": [
                {"type": "summary_text", "text": "Think"}], "encrypted_content": "ZW5j"},
            {"type": "reasoning", "id": "rs_2", "summary": [],
             "encrypted_content": "anthropic:redacted:cmVk"},
            {"type": "message", "role": "assistant", "content": [
                {"type": "output_text", "text": "Let me see.", "annotations": [
                    {"type": "url_citation", "url": "https://a.example", "title": "A",
                     "start_index": 0, "end_index": 3}]}]},
            {"type": "function_call", "call_id": "call_1", "name": "weather",
             "arguments": "{\"city\": \"Oslo\"}"},
            {"type": "function_call_output", "call_id": "call_1", "output": [
                {"type": "input_text", "text": "cold"},
                {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}"}]},
            {"type": "custom_tool_call", "call_id": "call_2", "name": "edit", "input": "a\nb"},
            {"type": "custom_tool_call_output", "call_id": "call_2", "output": "done"},
            {"type": "local_shell_call", "call_id": "call_3", "status": "completed",
             "action": {"type": "exec", "command": ["ls"], "env": {}}},
            {"type": "local_shell_call_output", "id": "call_3", "output": "a.txt"},
            {"type": "message", "role": "assistant", "content": [
                {"type": "refusal", "refusal": "No."}]},
            {"type": "message", "role": "user", "content": "Why?"},
        ],
    },
    "picture": {"input": [
        {"role": "user", "content": "Draw"},
        {"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": PNG},
        {"role": "user", "content": "Bigger"}]},
}  # fmt: skip

_MESSAGES_TOOL: Final = {
    "name": "weather", "description": "Weather", "input_schema": SCHEMA, "strict": True,
    "cache_control": {"type": "ephemeral"},
}  # fmt: skip
_ANTHROPIC: Final[dict[str, dict[str, Any]]] = {
    "settings": {
        "system": "Be brief.", "temperature": 0.7, "top_p": 0.9, "top_k": 40, "stream": True,
        "stop_sequences": ["a", "b"], "metadata": {"user_id": "u-1"},
        "service_tier": "standard_only", "max_cost": "0.5",
    },
    "thinking": {"thinking": {"type": "enabled", "budget_tokens": 2048}, "max_tokens": 9000},
    "adaptive": {
        "thinking": {"type": "adaptive", "display": "omitted"}, "output_config": {"effort": "low"},
    },
    "no thinking": {"thinking": {"type": "disabled"}},
    "schema": {"output_config": {"format": {"type": "json_schema", "schema": ANSWER}}},
    "tools": {
        "tools": [_MESSAGES_TOOL, {"name": "noop", "input_schema": {
            "type": "object", "properties": {}}}],
        "tool_choice": {"type": "any", "disable_parallel_tool_use": True},
    },
    "wide schema": {"tools": [{"name": "weather", "input_schema": WIDE}]},
    "named tool": {"tools": [_MESSAGES_TOOL], "tool_choice": {"type": "tool", "name": "weather"}},
    "no tool": {"tools": [_MESSAGES_TOOL], "tool_choice": {"type": "none"}},
    "client tools": {"tools": [
        {"type": "bash_20250124", "name": "bash"},
        {"type": "text_editor_20250728", "name": "str_replace_based_edit_tool"}]},
    "search": {"tools": [{
        "type": "web_search_20250305", "name": "web_search", "max_uses": 3,
        "allowed_domains": ["a.org"], "user_location": {
            "type": "approximate", "city": "Rome", "region": "Lazio", "country": "IT",
            "timezone": "Europe/Rome"}}]},
    "blocked": {"tools": [{
        "type": "web_search_20250305", "name": "web_search", "blocked_domains": ["b.org"]}]},
    "own tool": {"tools": [{"type": "code_execution_20250825", "name": "code_execution"}]},
    "parts": {
        "system": [{"type": "text", "text": "Be kind.",
                    "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": [
            {"type": "text", "text": "Look", "cache_control": {"type": "ephemeral"}},
            {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                         "data": PNG}},
            {"type": "document", "title": "a.pdf", "context": "About", "source": {
                "type": "base64", "media_type": "application/pdf", "data": PDF}},
            {"type": "document", "title": "a.txt", "source": {
                "type": "text", "media_type": "text/plain", "data": "words"}},
            {"type": "search_result", "source": "https://a.example", "title": "A",
             "content": [{"type": "text", "text": "found"}]},
        ]}],
    },
    "picture by link": {"messages": [{"role": "user", "content": [
        {"type": "image", "source": {"type": "url", "url": "https://a.example/p.png"}}]}]},
    "file by id": {"messages": [{"role": "user", "content": [
        {"type": "document", "source": {"type": "file", "file_id": "file-1"}}]}]},
    "calls": {
        "tools": [_MESSAGES_TOOL],
        "messages": [
            HI,
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "Think", "signature": "c2VhbA=="},
                {"type": "redacted_thinking", "data": "cmVk"},
                {"type": "text", "text": "Let me see.", "citations": [
                    {"type": "web_search_result_location", "url": "https://a.example",
                     "title": "A", "cited_text": "see", "encrypted_index": "e"}]},
                {"type": "tool_use", "id": "toolu_1", "name": "weather",
                 "input": {"city": "Oslo"}},
                {"type": "tool_use", "id": "toolu_2", "name": "weather", "input": {}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "toolu_1", "is_error": True,
                 "content": "failed", "cache_control": {"type": "ephemeral"}},
                {"type": "tool_result", "tool_use_id": "toolu_2", "content": [
                    {"type": "text", "text": "warm"},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png",
                                                 "data": PNG}}]},
                {"type": "text", "text": "And now?"}]},
        ],
    },
    "thoughts of others": {"messages": [
        HI,
        {"role": "assistant", "content": [
            {"type": "thinking", "thinking": "Think", "signature": "gemini:c2ln"},
            {"type": "text", "text": "Hello"}]},
        {"role": "user", "content": "And now?"}]},
}  # fmt: skip

_GEMINI_TOOL: Final = {"functionDeclarations": [{
    "name": "weather", "description": "Weather", "parametersJsonSchema": SCHEMA}]}  # fmt: skip
_GEMINI: Final[dict[str, dict[str, Any]]] = {
    "settings": {
        "systemInstruction": {"parts": [{"text": "Be brief."}]},
        "generationConfig": {
            "temperature": 0.7, "topP": 0.9, "topK": 40, "maxOutputTokens": 500, "seed": 11,
            "stopSequences": ["a", "b"], "candidateCount": 2, "presencePenalty": 0.5,
            "frequencyPenalty": -0.5, "responseLogprobs": True, "logprobs": 3,
            "mediaResolution": "MEDIA_RESOLUTION_LOW",
        },
        "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
        "labels": {"k": "v"},
    },
    "thinking": {"generationConfig": {
        "thinkingConfig": {"thinkingBudget": 2048, "includeThoughts": True}}},
    "level": {"generation_config": {"thinking_config": {"thinking_level": "low"}}},
    "no thinking": {"generationConfig": {"thinkingConfig": {"thinkingBudget": 0}}},
    "dynamic": {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1}}},
    "schema": {"generationConfig": {
        "responseMimeType": "application/json", "responseJsonSchema": ANSWER}},
    "old schema": {"generationConfig": {
        "responseMimeType": "application/json", "responseSchema": {
            "type": "OBJECT", "properties": {"sum": {"type": "NUMBER", "nullable": True}},
            "propertyOrdering": ["sum"]}}},
    "json": {"generationConfig": {"responseMimeType": "application/json"}},
    "speech": {"generationConfig": {
        "responseModalities": ["AUDIO"], "speechConfig": {
            "voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}}}},
    "tools": {
        "tools": [_GEMINI_TOOL],
        "toolConfig": {"functionCallingConfig": {
            "mode": "ANY", "allowedFunctionNames": ["weather"]}},
    },
    "no tool": {"tools": [_GEMINI_TOOL], "toolConfig": {
        "functionCallingConfig": {"mode": "NONE"}}},
    "old tool": {"tools": [{"functionDeclarations": [{
        "name": "weather", "parameters": {
            "type": "OBJECT", "properties": {"city": {"type": "STRING"}}}}]}]},
    "search": {"tools": [{"googleSearch": {"excludeDomains": ["b.org"]}}]},
    "own tool": {"tools": [{"codeExecution": {}}]},
    "parts": {"contents": [{"role": "user", "parts": [
        {"text": "Look"}, {"inlineData": {"mimeType": "image/png", "data": PNG}},
        {"inlineData": {"mimeType": "application/pdf", "data": PDF}}]}]},
    "picture by link": {"contents": [{"role": "user", "parts": [
        {"fileData": {"mimeType": "image/png", "fileUri": "https://a.example/p.png"}}]}]},
    "sound and film": {"contents": [{"role": "user", "parts": [
        {"inlineData": {"mimeType": "audio/wav", "data": WAV}},
        {"inlineData": {"mimeType": "video/mp4", "data": PNG}}]}]},
    "calls": {
        "tools": [_GEMINI_TOOL],
        "contents": [
            {"role": "user", "parts": [{"text": "Hi"}]},
            {"role": "model", "parts": [
                {"text": "Think", "thought": True}, {"text": "Let me see."},
                {"functionCall": {"name": "weather", "args": {"city": "Oslo"}},
                 "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "c-2", "name": "weather", "args": {}}}]},
            {"role": "user", "parts": [
                {"functionResponse": {"name": "weather", "response": {"result": "cold"}}},
                {"functionResponse": {"id": "c-2", "name": "weather",
                                      "response": {"error": "failed"}}},
                {"text": "And now?"}]},
        ],
    },
}  # fmt: skip

_INTERACTIONS_TOOL: Final = {
    "type": "function", "name": "weather", "description": "Weather", "parameters": SCHEMA,
}  # fmt: skip
_INTERACTIONS: Final[dict[str, dict[str, Any]]] = {
    "settings": {
        "input": "Hi", "system_instruction": "Be brief.", "store": False, "stream": True,
        "service_tier": "standard", "generation_config": {
            "temperature": 0.7, "top_p": 0.9, "seed": 11, "stop_sequences": ["a", "b"],
            "max_output_tokens": 500, "thinking_level": "low", "thinking_summaries": "auto",
            "image_config": {"aspect_ratio": "1:1"},
        },
    },
    "no summaries": {"input": "Hi", "generation_config": {"thinking_summaries": "none"}},
    "schema": {"input": "Hi", "response_format": {
        "type": "text", "mime_type": "application/json", "schema": ANSWER}},
    "json": {"input": "Hi", "response_mime_type": "application/json"},
    "speech": {"input": "Hi", "response_modalities": ["audio"], "generation_config": {
        "speech_config": [{"voice": "Kore", "language": "en-US"}]}},
    "tools": {"input": "Hi", "tools": [_INTERACTIONS_TOOL], "generation_config": {
        "tool_choice": {"allowed_tools": {"mode": "any", "tools": ["weather"]}}}},
    "no tool": {"input": "Hi", "tools": [_INTERACTIONS_TOOL], "generation_config": {
        "tool_choice": "none"}},
    "search": {"input": "Hi", "tools": [{"type": "google_search"}]},
    "own tool": {"input": "Hi", "tools": [{"type": "code_execution"}]},
    "parts": {"input": [
        {"type": "text", "text": "Look"},
        {"type": "image", "data": PNG, "mime_type": "image/png"},
        {"type": "document", "data": PDF, "mime_type": "application/pdf"}]},
    "picture by link": {"input": [
        {"type": "image", "uri": "https://a.example/p.png", "mime_type": "image/png"}]},
    "sound and film": {"input": [
        {"type": "audio", "data": WAV, "mime_type": "audio/wav"},
        {"type": "video", "data": PNG, "mime_type": "video/mp4"}]},
    "steps": {
        "tools": [_INTERACTIONS_TOOL],
        "input": [
            {"type": "user_input", "content": [{"type": "text", "text": "Hi"}]},
            {"type": "thought", "signature": "c2ln", "summary": [
                {"type": "text", "text": "Think"}]},
            {"type": "model_output", "content": [{"type": "text", "text": "Let me see."}]},
            {"type": "function_call", "id": "c-1", "name": "weather",
             "arguments": {"city": "Oslo"}},
            {"type": "function_result", "call_id": "c-1", "name": "weather", "result": "cold"},
            {"type": "function_call", "id": "c-2", "name": "weather", "arguments": {}},
            {"type": "function_result", "call_id": "c-2", "name": "weather", "is_error": True,
             "result": {"reason": "failed"}},
            {"type": "user_input", "content": [{"type": "text", "text": "And now?"}]},
        ],
    },
}  # fmt: skip

_CONVERSE_TOOL: Final = {"toolSpec": {
    "name": "weather", "description": "Weather", "inputSchema": {"json": SCHEMA}}}  # fmt: skip
_CONVERSE_HI: Final = {"role": "user", "content": [{"text": "Hi"}]}
_CONVERSE: Final[dict[str, dict[str, Any]]] = {
    "settings": {
        "system": [{"text": "Be brief."}, {"cachePoint": {"type": "default"}}],
        "inferenceConfig": {
            "maxTokens": 500, "temperature": 0.7, "topP": 0.9, "stopSequences": ["a", "b"]},
        "additionalModelRequestFields": {"top_k": 40},
        "requestMetadata": {"k": "v"}, "performanceConfig": {"latency": "optimized"},
    },
    "thinking": {"inferenceConfig": {"maxTokens": 9000}, "additionalModelRequestFields": {
        "thinking": {"type": "enabled", "budget_tokens": 2048}}},
    "tools": {"toolConfig": {
        "tools": [_CONVERSE_TOOL, {"cachePoint": {"type": "default"}}],
        "toolChoice": {"any": {}}}},
    "named tool": {"toolConfig": {
        "tools": [_CONVERSE_TOOL], "toolChoice": {"tool": {"name": "weather"}}}},
    "parts": {"messages": [{"role": "user", "content": [
        {"text": "Look"}, {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": PDF}}},
        {"document": {"name": "b", "source": {"text": "words"}}},
        {"document": {"name": "c", "source": {"bytes": "d29yZHM="}}},
        {"cachePoint": {"type": "default", "ttl": "1h"}},
        {"guardContent": {"text": {"text": "guarded"}}}]}]},
    "film": {"messages": [{"role": "user", "content": [
        {"video": {"format": "mp4", "source": {"bytes": PNG}}}]}]},
    "calls": {
        "toolConfig": {"tools": [_CONVERSE_TOOL]},
        "messages": [
            _CONVERSE_HI,
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {
                    "text": "Think", "signature": "c2VhbA=="}}},
                {"text": "Let me see."},
                {"toolUse": {"toolUseId": "t-1", "name": "weather", "input": {"city": "Oslo"}}},
                {"toolUse": {"toolUseId": "t-2", "name": "weather", "input": {}}}]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t-1", "status": "error",
                                "content": [{"text": "failed"}]}},
                {"toolResult": {"toolUseId": "t-2", "content": [{"json": {"t": 9}}]}},
                {"cachePoint": {"type": "default"}},
                {"text": "And now?"}]},
        ],
    },
}  # fmt: skip

_LEAST: Final[dict[Dialect, dict[str, Any]]] = {
    "openai": {"model": "m", "messages": [HI]},
    "responses": {"model": "m"},
    "anthropic": {"model": "m", "max_tokens": 500, "messages": [HI]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]},
    "interactions": {"model": "m"},
    "converse": {"messages": [_CONVERSE_HI]},
}
_BY_DIALECT: Final[dict[Dialect, dict[str, dict[str, Any]]]] = {
    "openai": _OPENAI,
    "responses": _RESPONSES,
    "anthropic": _ANTHROPIC,
    "gemini": _GEMINI,
    "interactions": _INTERACTIONS,
    "converse": _CONVERSE,
}
REQUESTS: Final[dict[Dialect, dict[str, dict[str, Any]]]] = {
    dialect: {name: _LEAST[dialect] | members for name, members in requests.items()}
    for dialect, requests in _BY_DIALECT.items()
}
"""By dialect and name."""

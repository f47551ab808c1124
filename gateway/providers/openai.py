"""OpenAI."""

from gateway.providers.provider import Provider, Quirk, Spoken

PROVIDER = Provider(
    name="openai",
    label="OpenAI",
    base_url="https://api.openai.com/v1",
    needs_secret=True,
    # developers.openai.com/api/docs/deprecations; the official client openai 3.51 states the same.
    note="OpenAI shut down its Videos API on 2026-09-24. "
    "For servers that offer it, choose “OpenAI-compatible server”.",
    # developers.openai.com/api/docs/guides/websocket-mode
    quirks=frozenset({Quirk.RESPONSES_SOCKETS}),
    # Paths: OpenAI's OpenAPI description 2.3.0.
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "moderations": "/moderations",
                "image_generations": "/images/generations",
                "image_edits": "/images/edits",
                "image_variations": "/images/variations",
                "speech": "/audio/speech",
                "transcriptions": "/audio/transcriptions",
                "translations": "/audio/translations",
                "realtime": "/realtime?model={model}",
                "live": "/live/sessions",
                "models": "/models",
            },
            passed_headers=("openai-beta",),
        ),
        "responses": Spoken(
            paths={
                "responses": "/responses",
                "responses_compact": "/responses/compact",
                "responses_input_tokens": "/responses/input_tokens",
            },
            passed_headers=("openai-beta",),
        ),
    },
)

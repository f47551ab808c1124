"""Any server with the openai dialect: a company's own, or another gateway."""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="openai_compatible",
    label="OpenAI-compatible server",
    base_url="",
    needs_secret=False,
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "moderations": "/moderations",
                "rerank": "/rerank",
                "image_generations": "/images/generations",
                "image_edits": "/images/edits",
                "image_variations": "/images/variations",
                "speech": "/audio/speech",
                "transcriptions": "/audio/transcriptions",
                "translations": "/audio/translations",
                "videos": "/videos",
                "realtime": "/realtime?model={model}",
                "live": "/live/sessions",
                "models": "/models",
            },
            passed_headers=("openai-beta",),
        )
    },
    # The server may itself be a gateway, which handles unsupported `parameters`.
    flags=frozenset({"parameters_whole", "top_k"}),
    lifted=frozenset({"params_object"}),
)

"""OpenAI itself."""

from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="openai",
    label="OpenAI",
    base_url="https://api.openai.com/v1",
    needs_secret=True,
    # Paths: OpenAI's OpenAPI description 2.3.0.
    dialects={
        "openai": Spoken(
            paths={
                "chat_completions": "/chat/completions",
                "completions": "/completions",
                "embeddings": "/embeddings",
                "moderations": "/moderations",
                "models": "/models",
            },
            passed_headers=("openai-beta",),
        ),
        "responses": Spoken(
            paths={"responses": "/responses", "responses_compact": "/responses/compact"},
            passed_headers=("openai-beta",),
        ),
    },
    # Bounds for a hold, above the tables of the images and vision guide (as of 2026-01): a picture
    # of high detail on the dearest small model, ten minutes of sound, a long document.
    media_tokens_max={"image": 50_000, "audio": 10_000, "file": 200_000, "video": 200_000},
)

"""OpenAI itself."""

from gateway.providers.provider import Provider

PROVIDER = Provider(
    name="openai",
    label="OpenAI",
    dialect="openai",
    base_url="https://api.openai.com/v1",
    needs_secret=True,
    paths={"chat_completions": "/chat/completions", "models": "/models"},
    # Bounds for a hold, above the tables of the images and vision guide (as of 2026-01): a picture
    # of high detail on the dearest small model, ten minutes of sound, a long document.
    media_tokens_max={"image": 50_000, "audio": 10_000, "file": 200_000, "video": 200_000},
)

"""Any server that speaks the openai dialect: vLLM, Ollama, LM Studio, another gateway."""

from gateway.providers.provider import Provider

PROVIDER = Provider(
    name="openai_compatible",
    label="OpenAI-compatible server",
    dialect="openai",
    base_url="",
    needs_secret=False,
    paths={"chat_completions": "/chat/completions", "models": "/models"},
    # Nothing is known of the models behind it: the bounds of the openai provider.
    media_tokens_max={"image": 50_000, "audio": 10_000, "file": 200_000, "video": 200_000},
)

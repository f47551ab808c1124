"""Anthropic."""

from gateway.providers.provider import Auth, Provider, Spoken

PROVIDER = Provider(
    name="anthropic",
    label="Anthropic",
    base_url="https://api.anthropic.com/v1",
    needs_secret=True,
    dialects={
        "anthropic": Spoken(
            paths={
                "messages": "/messages",
                "count_tokens": "/messages/count_tokens",
                "models": "/models",
            },
            auth=Auth("x-api-key"),
            # The only version in use (platform.claude.com/docs/en/api/versioning, 2026-10).
            headers={"anthropic-version": "2023-06-01"},
            passed_headers=("anthropic-version", "anthropic-beta"),
        )
    },
)

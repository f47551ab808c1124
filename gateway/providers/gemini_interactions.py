"""Google's Gemini API, only in its newer form (ai.google.dev, "Interactions API", 2026-11), for
models and features that generateContent lacks."""

from gateway.providers.gemini import HOSTED_TOOLS, INTERACTIONS
from gateway.providers.gemini import PROVIDER as GEMINI
from gateway.providers.provider import Provider

PROVIDER = Provider(
    name="gemini_interactions",
    label="Google Gemini (Interactions)",
    base_url=GEMINI.base_url,
    needs_secret=True,
    dialects={"interactions": INTERACTIONS},
    aliases=GEMINI.aliases,
    hosted_tools=HOSTED_TOOLS,
    media_tokens_max=GEMINI.media_tokens_max,
)

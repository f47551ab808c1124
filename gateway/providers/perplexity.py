"""Perplexity: its Agent API, which has the responses dialect.

docs.perplexity.ai, "Agent API", "OpenAI Compatibility" (2026-10), and its client for Python 0.38
(2026-06). Its embeddings are bytes, not numbers, and are not supported here.
"""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Spoken

PROVIDER = Provider(
    name="perplexity",
    label="Perplexity",
    base_url="https://api.perplexity.ai/v1",
    needs_secret=True,
    # docs.perplexity.ai, "Migrate from Sonar to the Agent API"; the shutdown: vercel/ai, release
    # @ai-sdk/perplexity@3.1.0 (2026-09).
    note="Perplexity ended its Sonar Chat Completions on 2026-09-27. A model of its Agent API, "
    "such as perplexity/sonar, searches where the request has a web search tool.",
    dialects={"responses": Spoken(paths={"responses": "/responses"})},
    # The only remaining Sonar model has its vendor's name in front.
    aliases={"sonar": "perplexity/sonar"},
    lifted=OWNER_FLAGS,
    own_search=False,
)

"""A server of the openai dialect that also reports its usage counts for a request by our id.

GET /usage/{x-client-request-id} -> {"final": true, "usage": {"prompt_tokens": …, …}}, or 404

With it, requests left open by a crash or a disconnect are settled exactly.
"""

from dataclasses import replace

from gateway.providers import openai_compatible

PROVIDER = replace(
    openai_compatible.PROVIDER,
    name="openai_metered",
    label="OpenAI-compatible server that reports usage by request ID",
    usage_look_up="/usage/{attempt}",
)

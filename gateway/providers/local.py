"""The small model that an installation includes for demonstration, served by llama.cpp."""

from gateway.providers.capabilities import OWNER_FLAGS
from gateway.providers.provider import Provider, Quirk, Spoken

PROVIDER = Provider(
    name="local",
    label="Local demo model",
    base_url="",
    needs_secret=False,
    dialects={
        "openai": Spoken(paths={"chat_completions": "/chat/completions", "models": "/models"})
    },
    quirks=frozenset(
        {
            # Measured with xllamacpp 2026.10: the server closes the connection after a streamed
            # answer although it announced to keep it open.
            Quirk.NO_CONNECTION_REUSE,
            # Measured with xllamacpp 2026.10 and SmolLM2-135M-Instruct: the model's template has no
            # tools. tool_choice is ignored and the answer is plain text.
            Quirk.NO_TOOLS,
        }
    ),
    lifted=OWNER_FLAGS,
    own_search=False,
)

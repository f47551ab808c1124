"""Requests of the playground that are not turns of a chat: short answers with as little reasoning
as the model allows."""

from typing import Any, Final

from content.prompts.settings import wire_of
from gateway.providers.capabilities import Capabilities

_THINKING_MAX: Final = 560


def aside_request(
    model: str, instruction: str, text: str, capabilities: Capabilities, *, output_max: int
) -> dict[str, Any]:
    """Build the body of a request that applies `instruction` to a text. `output_max` limits the
    output tokens, without the reasoning of models that always reason."""
    values: dict[str, Any] = {"max_output": output_max}
    if capabilities.thinking == "switch" and not capabilities.efforts:
        values["thinking"] = "off"
    elif "none" in capabilities.efforts:
        values["reasoning_effort"] = "none"
    elif capabilities.thinking not in (None, "never"):
        values["max_output"] = output_max + _THINKING_MAX
        if capabilities.efforts and "no_reasoning_effort" not in capabilities.flags:
            values["reasoning_effort"] = capabilities.efforts[0]
    messages = [{"role": "system", "content": instruction}, {"role": "user", "content": text}]
    return {"model": model, "messages": messages, **wire_of(values, capabilities.flags)}

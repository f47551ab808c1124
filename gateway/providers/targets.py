"""The dialect of a request to a model, and what its encoder must know about the model."""

from typing import Final

from dialects.chat.chat import ChatRequest, Dialect, File, SearchForm, Upstream, WebSearch
from dialects.chat.operation import NO_NEEDS, Needs
from dialects.chat.reasoning import effort_of, thinks
from gateway.providers.capabilities import Capabilities
from gateway.providers.provider import Provider

_CHAT_FORMS: Final[frozenset[SearchForm]] = frozenset(
    {"web_search_options", "search_parameters", "enable_search", "glm", "kimi"}
)


def needs_of(request: ChatRequest) -> Needs:
    """Return the needs of a decoded request."""
    return Needs(
        files=any(isinstance(part, File) for message in request.messages for part in message.parts),
        tools=any(not isinstance(tool, WebSearch) for tool in request.tools),
        effort=effort_of(request.reasoning),
        search=any(isinstance(tool, WebSearch) for tool in request.tools),
        audio_output=request.audio is not None or "audio" in request.modalities,
        thinks=thinks(request),
    )


def dialect_for(
    provider: Provider,
    capabilities: Capabilities,
    client_dialect: Dialect,
    needs: Needs = NO_NEEDS,
) -> Dialect:
    """Return the dialect in which a client's request is sent to a model of a provider.

    It is the client's own if the provider supports it, so that nothing is translated. A chat
    request is moved to the responses dialect if the model reads files, searches, or reasons between
    tool calls only there. Otherwise it is the model's preferred dialect, or the provider's first.
    """
    spoken = [name for name in provider.dialects if provider.speaks(name, capabilities.owner)]
    moved = client_dialect == "openai" or client_dialect not in spoken
    if moved and "responses" in spoken and _needs_responses(capabilities, needs):
        return "responses"
    order = (client_dialect, *capabilities.dialects, *spoken)
    return next(dialect for dialect in order if dialect in spoken)


def _needs_responses(capabilities: Capabilities, needs: Needs) -> bool:
    traits = capabilities.traits
    if needs.audio_output:
        # The responses dialect cannot express sound as an answer.
        return False
    return (
        "prefer_responses" in traits
        or ("files_by_responses" in traits and needs.files)
        or ("search_by_responses" in traits and needs.search)
        or (
            "prefer_responses_to_think_with_tools" in traits
            and needs.tools
            and needs.effort not in (None, "none")
        )
    )


def upstream_of(
    provider: Provider,
    dialect: Dialect,
    model: str,
    capabilities: Capabilities,
) -> Upstream:
    """Return what the encoder of `dialect` needs to know about the upstream. `model` is the
    configured upstream name."""
    return Upstream(
        model=provider.aliases.get(model, model),
        flags=capabilities.flags,
        output_max=capabilities.output_max,
        efforts=capabilities.efforts,
        budget_min=capabilities.budget_min,
        budget_max=capabilities.budget_max,
        # The other dialects have only one form.
        search=_search(capabilities) if dialect == "openai" else None,
    )


def _search(capabilities: Capabilities) -> SearchForm | None:
    form = capabilities.search
    return form if form in _CHAT_FORMS else None


def must_stream(capabilities: Capabilities, needs: Needs) -> bool:
    """Return whether the upstream must be asked for a stream even if the client wants none."""
    traits = capabilities.traits
    thinks = needs.thinks is True or (needs.thinks is None and needs.effort not in (None, "none"))
    return "stream_only" in traits or ("stream_only_to_think" in traits and thinks)

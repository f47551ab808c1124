"""The dialects whose answers can run in the background."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from dialects.interactions import background as interactions
from dialects.interactions.stream.encode import ID_PREFIX as INTERACTION_PREFIX
from dialects.responses import background as responses
from dialects.responses.answer.response_object import ID_PREFIX as RESPONSE_PREFIX
from dialects.streams.background import BackgroundForm
from relay.states.state_store import StateKind


class BackgroundKind(NamedTuple):
    """How the answers of a dialect look, how their ids begin, and as what they are kept for the
    request that continues them."""

    form: BackgroundForm
    id_prefix: str
    kept_as: StateKind


RESPONSES: Final = BackgroundKind(responses, RESPONSE_PREFIX, "response")
INTERACTIONS: Final = BackgroundKind(interactions, INTERACTION_PREFIX, "interaction")
BACKGROUND_KINDS: Final[Mapping[str, BackgroundKind]] = {
    "responses": RESPONSES,
    "interactions": INTERACTIONS,
}
"""By the operation that creates them, which has the dialect's name."""

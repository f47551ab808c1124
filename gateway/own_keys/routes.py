"""Which channels may answer a request of an organisation that has keys of its own: the same
channels with its own keys come first, and the installation's keys only where every such key falls
back.

This function alone decides whose keys a request may use (P12).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from billing.prices.name_patterns import matches
from billing.prices.own_key_fee import OwnKeyFee
from gateway.channel_order.channel_order import Candidate
from gateway.providers.task_services import TASK_SERVICES

OPERATIONS = frozenset(
    {
        "batch_embed_contents",
        "chat_completions",
        "completions",
        "converse",
        "converse_stream",
        "count_tokens",
        "edits",
        "embed_content",
        "embeddings",
        "gemini_count_tokens",
        "generate_content",
        "image_edits",
        "image_generations",
        "image_variations",
        "interactions",
        "messages",
        "moderations",
        "predict_long_running",
        "rerank",
        "responses",
        "responses_compact",
        "responses_input_tokens",
        "speech",
        "stream_generate_content",
        "transcriptions",
        "translations",
        "video_generations",
        "videos",
        *(operation for service in TASK_SERVICES.values() for operation in service.operations),
    }
)
"""The operations that an organisation's own key serves: all but sessions and pass-through, which
use the installation's keys. A task keeps the key that started it until its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeyRoute:
    """An enabled key of an organisation, or of one of its teams, for a channel. `id` is the id of
    the channel with this key in the snapshot; `usable` is false while the channel is disabled or
    the key may not be used there. `models` are the names and patterns that the channel serves."""

    id: str
    channel_id: str
    organisation_id: UUID
    team_id: UUID | None
    fee: OwnKeyFee
    fall_back: bool
    usable: bool
    models: tuple[str, ...]


class OwnKeyRequired(Exception):
    """The request may only use the organisation's own keys, and none of them can serve it.
    `operation`: the reason is that own keys do not support this operation.
    """

    def __init__(self, *, operation: bool) -> None:
        super().__init__("no own key can serve the request")
        self.operation = operation


def plan_own(
    planned: Sequence[Candidate],
    keys: Mapping[UUID, Sequence[OwnKeyRoute]],
    *,
    model: str,
    operation: str,
    organisation_id: UUID,
    team_id: UUID,
) -> list[Candidate]:
    """Return the plan of a request. Candidates for which the team, or else the organisation, has a
    key come first, with that key; then `planned`, if all such keys fall back. `keys` are the keys
    of all organisations, by organisation. Raises OwnKeyRequired."""
    own = _by_channel(keys.get(organisation_id, ()), organisation_id, team_id)
    serving = [key for key in own.values() if any(matches(name, model) for name in key.models)]
    if not serving:
        return list(planned)
    only = not all(key.fall_back for key in serving)
    if operation not in OPERATIONS:
        if only:
            raise OwnKeyRequired(operation=True)
        return list(planned)
    first = [
        replace(candidate, channel_id=key.id, why="own_key")
        for candidate in planned
        if (key := own.get(candidate.channel_id)) is not None and key.usable
    ]
    if not only:
        return [*first, *planned]
    if not first:
        raise OwnKeyRequired(operation=False)
    return first


def requires_own_key(
    keys: Mapping[UUID, Sequence[OwnKeyRoute]],
    channel_id: str,
    organisation_id: UUID,
    team_id: UUID,
) -> bool:
    """Return whether only a key of the team or organisation may be used at a channel."""
    key = _by_channel(keys.get(organisation_id, ()), organisation_id, team_id).get(channel_id)
    return key is not None and not key.fall_back


def _by_channel(
    keys: Sequence[OwnKeyRoute], organisation_id: UUID, team_id: UUID
) -> dict[str, OwnKeyRoute]:
    """Return the key for each channel: the team's, else the organisation's."""
    own: dict[str, OwnKeyRoute] = {}
    for key in keys:
        if key.organisation_id != organisation_id or key.team_id not in (None, team_id):
            continue
        known = own.get(key.channel_id)
        if known is None or known.team_id is None:
            own[key.channel_id] = key
    return own

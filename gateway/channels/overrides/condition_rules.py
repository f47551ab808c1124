"""Which requests a channel is for: by who sends them, by labels, by length and by content.

All stated conditions must be met; each by at least one of its values. In files and in the database:

    plans, teams                the plan's name; the slug of an organisation, or of an organisation
                                and its team, separated by a slash
    projects, tags, customers   labels of the request, or of its key
    prompt_min, prompt_max      tokens of the prompt, as estimated from its bytes; both inclusive
    requires, excludes          what the request must contain, and what it must not contain
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, get_args
from uuid import UUID

from usage.requests.choices import SkipReason

Feature = Literal["image", "audio", "file", "tools", "stream"]
"""What a request may contain."""
FEATURES: Final[frozenset[Feature]] = frozenset(get_args(Feature))
LISTS: Final = ("plans", "teams", "projects", "tags", "customers", "requires", "excludes")
COUNTS: Final = ("prompt_min", "prompt_max")
VALUES_MAX: Final = 100
PROMPT_MAX: Final = 100_000_000


class ScreenedRequest(NamedTuple):
    """What the conditions are applied to. `holders` are the ids of the team and the
    organisation."""

    price_plan_id: int | None
    holders: Collection[UUID]
    project: str
    tags: Collection[str]
    customer: str
    prompt_tokens: int
    features: Collection[Feature]


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of a channel; None means not set. A condition that names only things that no
    longer exist matches no request."""

    price_plan_ids: frozenset[int] | None = None
    holders: frozenset[UUID] | None = None
    projects: frozenset[str] | None = None
    tags: frozenset[str] | None = None
    customers: frozenset[str] | None = None
    prompt_min: int | None = None
    prompt_max: int | None = None
    requires: frozenset[Feature] = frozenset()
    excludes: frozenset[Feature] = frozenset()

    def why_not(self, request: ScreenedRequest) -> SkipReason | None:
        """Return the first condition that is not met, or None if all are."""
        if self.price_plan_ids is not None and request.price_plan_id not in self.price_plan_ids:
            return "plan"
        if self.holders is not None and self.holders.isdisjoint(request.holders):
            return "team"
        if not self._labels_fit(request):
            return "label"
        low, high = self.prompt_min, self.prompt_max
        if (low is not None and request.prompt_tokens < low) or (
            high is not None and request.prompt_tokens > high
        ):
            return "prompt_length"
        if not self.requires.issubset(request.features):
            return "content"
        return None if self.excludes.isdisjoint(request.features) else "content"

    def _labels_fit(self, request: ScreenedRequest) -> bool:
        return (
            (self.projects is None or request.project in self.projects)
            and (self.tags is None or not self.tags.isdisjoint(request.tags))
            and (self.customers is None or request.customer in self.customers)
        )


def normal(conditions: Mapping[str, Any]) -> dict[str, Any]:
    """Return conditions in their stored form: without empty ones, lists in a fixed order."""
    lists = {name: sorted(set(conditions[name])) for name in LISTS if conditions.get(name)}
    counts = {name: conditions[name] for name in COUNTS if conditions.get(name) is not None}
    return {**lists, **counts}


def compile_conditions(
    conditions: Mapping[str, Any], price_plan_ids: Mapping[str, int], holders: Mapping[str, UUID]
) -> Conditions | None:
    """Compile stored conditions to ids. Return None if there are no conditions."""
    if not conditions:
        return None
    return Conditions(
        price_plan_ids=_known_ids(conditions.get("plans"), price_plan_ids),
        holders=_known_ids(conditions.get("teams"), holders),
        projects=_set(conditions.get("projects")),
        tags=_set(conditions.get("tags")),
        customers=_set(conditions.get("customers")),
        prompt_min=conditions.get("prompt_min"),
        prompt_max=conditions.get("prompt_max"),
        requires=frozenset(conditions.get("requires", ())),
        excludes=frozenset(conditions.get("excludes", ())),
    )


def _set(values: Collection[str] | None) -> frozenset[str] | None:
    return None if values is None else frozenset(values)


def _known_ids(names: Collection[str] | None, ids: Mapping[str, Any]) -> frozenset[Any] | None:
    return None if names is None else frozenset(ids[name] for name in names if name in ids)

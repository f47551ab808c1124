"""The changes in the list of a provider's models since an operator last decided on them.

`known` are the names that the first reading listed, and those decided on since. A channel serves
public names, each with its provider's name.

    added     listed, but neither known nor served
    gone      known and served, but no longer listed
    renamed   a gone and an added name that differ only in a date, an owner or the like
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import SequenceMatcher
from typing import Final, Literal, NamedTuple

from billing.prices.name_patterns import matches

ChangeKind = Literal["added", "gone", "renamed"]

# What a provider appends to a model's name for a new version: 2024-05-13, 20241022, 0613, latest.
_EDITION: Final = re.compile(
    r"[-@:](?:20\d\d-?[01]\d-?[0-3]\d|[01]\d-?[0-3]\d|\d{3}|latest|preview|exp|experimental|beta)$"
)


class ModelChange(NamedTuple):
    """One change. `name` is the provider's name of the new model, or "" if one was removed; `was`
    is the name of the removed model; `serves` are the public names that use it."""

    kind: ChangeKind
    name: str
    was: str = ""
    serves: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """Return a unique id. Names contain no spaces."""
        return " ".join(filter(None, (self.kind, self.was, self.name)))

    @property
    def signs(self) -> set[str]:
        """Return names that identify the change even if it is paired differently later."""
        return {f"+{self.name}", f"-{self.was}"} - {"+", "-"}


def model_changes(
    models: Mapping[str, str], listed: Collection[str], known: Collection[str], *, complete: bool
) -> list[ModelChange]:
    """Return the changes, ordered by name. `models` maps a channel's public names to upstream
    names, "" for the same name. An incomplete list says nothing about what it lacks."""
    served = _served_names(models)
    new = [name for name in sorted({*listed} - {*known}) if not _is_served(name, models, served)]
    gone = sorted(served.keys() & {*known} - {*listed}) if complete else []
    pairs = dict(_pairs(gone, new))
    changes = [ModelChange("renamed", pairs[was], was, served[was]) for was in pairs]
    changes += [ModelChange("gone", "", was, served[was]) for was in gone if was not in pairs]
    renamed = set(pairs.values())
    changes += [ModelChange("added", name) for name in new if name not in renamed]
    return sorted(changes, key=lambda change: (change.was or change.name, change.kind))


def known_after(
    models: Mapping[str, str], listed: Collection[str], known: Collection[str], *, complete: bool
) -> list[str]:
    """Return the known names after a list was read. Served models count as decided. A model that is
    neither listed nor served is removed, so that its return is reported."""
    served = _served_names(models).keys()
    kept = {*known} & ({*listed} | served) if complete else {*known}
    return sorted(kept | ({*listed} & served))


def known_decided(known: Collection[str], decided: Iterable[ModelChange]) -> list[str]:
    """Return the known names after these changes were accepted or dismissed."""
    names = {*known}
    for change in decided:
        names -= {change.was}
        names |= {change.name} - {""}
    return sorted(names)


def _served_names(models: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Map upstream names to public names, without patterns."""
    served: dict[str, tuple[str, ...]] = {}
    for public, upstream in sorted(models.items()):
        if "*" not in public:
            name = upstream or public
            served[name] = (*served.get(name, ()), public)
    return served


def _is_served(name: str, models: Mapping[str, str], served: Collection[str]) -> bool:
    return name in served or any(
        "*" in public and not upstream and matches(public, name)
        for public, upstream in models.items()
    )


def _pairs(gone: Iterable[str], new: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Pair removed names with their probable new names, each name once."""
    families: dict[str, list[str]] = {}
    for name in new:
        families.setdefault(_family(name), []).append(name)
    for was in gone:
        if same := families.get(_family(was)):
            name = max(same, key=lambda name: SequenceMatcher(None, was, name).ratio())
            same.remove(name)
            yield was, name


def _family(name: str) -> str:
    """Return a model's name without its owner, its date and the like."""
    bare = re.sub(r"[._]", "-", name.rpartition("/")[2].lower())
    while (shorter := _EDITION.sub("", bare)) != bare:
        bare = shorter
    return bare

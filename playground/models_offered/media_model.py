"""A model for media, as the pages that offer it know it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class MediaModel:
    """A model for the pages. `upstream` is its name at the provider, `meters` are the meters of its
    price."""

    name: str
    upstream: str = ""
    meters: frozenset[str] = frozenset()

    @property
    def known_as(self) -> str:
        return self.upstream or self.name

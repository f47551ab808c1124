"""The pages of a task service in the API reference."""

from dataclasses import dataclass

from reference.operations.page import Group, ReferencePage


@dataclass(frozen=True, slots=True)
class ServicePages:
    """`groups` are listed as they are, `videos` among the pages of videos."""

    name: str
    groups: tuple[Group, ...] = ()
    videos: tuple[ReferencePage, ...] = ()

"""The tree of a conversation: versions of a message are children of one parent.

A deleted message hides everything under it. Ids are in the order of creation.
"""

from collections.abc import Iterable
from typing import NamedTuple
from uuid import UUID


class Node(NamedTuple):
    """A message, its parent, and whether it is deleted."""

    id: UUID
    parent_id: UUID | None
    deleted: bool = False


class Tree:
    """The tree of a conversation's messages: their versions and paths."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._children: dict[UUID | None, list[UUID]] = {}
        for node in sorted(self._nodes.values()):
            if not node.deleted:
                self._children.setdefault(node.parent_id, []).append(node.id)

    def path(self, leaf: UUID | None) -> list[UUID]:
        """Return the messages from the first to `leaf`, or to the end of the newest branch if
        `leaf` is gone."""
        path = self._up(leaf)
        return path if path else self._up(self.end_of(None))

    def end_of(self, id: UUID | None) -> UUID | None:
        """Return the last message of the newest branch under a message, or of the whole tree for
        None."""
        while children := self._children.get(id):
            id = children[-1]
        return id

    def versions(self, id: UUID) -> list[UUID]:
        """Return a message and its siblings, oldest first."""
        return self._children.get(self._nodes[id].parent_id, [])

    def _up(self, leaf: UUID | None) -> list[UUID]:
        path: list[UUID] = []
        while leaf is not None:
            node = self._nodes.get(leaf)
            if node is None or node.deleted:
                return []
            path.append(leaf)
            leaf = node.parent_id
        return path[::-1]

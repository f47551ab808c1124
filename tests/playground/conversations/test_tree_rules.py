"""The tree of a conversation: paths, versions, what is deleted."""

from uuid import UUID

from playground.conversations.tree import Node, Tree


def id(number: int) -> UUID:
    return UUID(int=number)


def tree(*rows: tuple[int, int | None] | tuple[int, int | None, bool]) -> Tree:
    return Tree(Node(id(row[0]), id(row[1]) if row[1] else None, len(row) > 2) for row in rows)


FORKED = ((1, None), (2, 1), (3, 2), (4, 3), (5, 1), (6, 5))


def test_the_path_leads_to_the_leaf_or_to_the_newest_end() -> None:
    forked = tree(*FORKED)
    assert forked.path(id(4)) == [id(1), id(2), id(3), id(4)]
    assert forked.path(None) == [id(1), id(5), id(6)]
    assert forked.path(id(99)) == [id(1), id(5), id(6)]
    assert tree().path(None) == []


def test_versions_are_the_children_of_one_parent() -> None:
    forked = tree(*FORKED)
    assert forked.versions(id(5)) == [id(2), id(5)]
    assert forked.end_of(id(2)) == id(4)


def test_deleted_message_hides_its_subtree() -> None:
    cut = tree((1, None), (2, 1, True), (3, 2), (5, 1))
    assert cut.versions(id(5)) == [id(5)]
    assert cut.path(id(3)) == [id(1), id(5)]

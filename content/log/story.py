"""A session as one story: its requests in order, each with only what it adds.

Agents send the whole history with each request. A request's history is followed as far as earlier
requests and answers have it; what comes after that is new.

    begins      nothing of it is known
    continues   it is an earlier conversation, and more
    repeats     the whole request was sent before
    branches    it leaves an earlier conversation in the middle: its history was changed

Texts are compared without the space around them, and calls of tools as JSON, because clients write
both anew. Reasoning is not compared, because clients leave it out: it belongs to what follows it.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from content.log.conversation import Exchange, Piece, Turn

StepKind = Literal["begins", "continues", "repeats", "branches"]
_INSTRUCTIONS: Final = ("system", "developer")


class Item(NamedTuple):
    """A part of a conversation with its role. `thoughts` is the reasoning before it."""

    role: str
    piece: Piece
    thoughts: tuple[str, ...] = ()


class Step(NamedTuple):
    """What a request adds. `after` is the number of the step whose conversation it continues,
    repeats or leaves, None for a beginning, and `shared` how many items it has in common with the
    story so far. `instructions` are those that no step before it has; `asked` is new in its
    history. `answered` has the items of each choice."""

    kind: StepKind
    after: int | None
    shared: int
    instructions: tuple[Item, ...]
    asked: tuple[Item, ...]
    answered: tuple[tuple[Item, ...], ...]


_Key = tuple[str, str, str, str, str]


@dataclass(slots=True)
class _Place:
    """A place in the tree of conversations: after the item by which it is reached from `above`.
    `step` made it; a history of `asked` and a conversation of `ended` end here."""

    step: int | None = None
    asked: int | None = None
    ended: int | None = None
    below: dict[_Key, "_Place"] = field(default_factory=dict)

    def grow(self, item: Item, step: int) -> "_Place":
        """Return the place after an item, made by `step` if it is new."""
        return self.below.setdefault(key_of(item), _Place(step))


def fold_story(exchanges: Iterable[Exchange]) -> list[Step]:
    """Return the steps of a session's requests, which are in order."""
    root, steps = _Place(), list[Step]()
    instructions = set[_Key]()
    ends = dict[str, _Place]()
    for number, exchange in enumerate(exchanges):
        items = items_of(exchange.request)
        first = next((at for at, item in enumerate(items) if item.role not in _INSTRUCTIONS), None)
        system, history = items[:first], [] if first is None else items[first:]
        fresh = [item for item in system if key_of(item) not in instructions]
        instructions.update(map(key_of, system))
        place, shared = ends.get(exchange.continues, root), 0
        while shared < len(history) and (below := place.below.get(key_of(history[shared]))):
            place, shared = below, shared + 1
        kind, after = _kind(place, shared == len(history))
        for item in history[shared:]:
            place = place.grow(item, number)
        place.asked = number
        answers = tuple(tuple(items_of([turn])) for turn in exchange.answer)
        for answer in answers or ((),):
            end = place
            for item in answer:
                end = end.grow(item, number)
            end.ended = number
            if exchange.id:
                ends.setdefault(exchange.id, end)
        steps.append(Step(kind, after, shared, tuple(fresh), tuple(history[shared:]), answers))
    return steps


def _kind(place: _Place, whole: bool) -> tuple[StepKind, int | None]:
    """Return what a request does whose known history leads to a place, and the step it follows."""
    if place.step is None:
        return "begins", None
    if whole and place.asked is not None:
        return "repeats", place.asked
    if place.ended is not None:
        return "continues", place.ended
    return "branches", place.step


def items_of(turns: Sequence[Turn]) -> list[Item]:
    """Return the parts of turns, each with the reasoning before it."""
    return [item for turn in turns for item in _items_of(turn)]


def _items_of(turn: Turn) -> Iterator[Item]:
    thoughts: tuple[str, ...] = ()
    for piece in turn.pieces:
        if piece.kind == "reasoning":
            thoughts = (*thoughts, piece.text)
        elif piece.kind != "text" or piece.text.strip():
            yield Item(turn.role, piece, thoughts)
            thoughts = ()
    if thoughts:
        yield Item(turn.role, Piece("reasoning", ""), thoughts)


def key_of(item: Item) -> _Key:
    """Return what two items have in common that are the same part of a conversation."""
    piece = item.piece
    text = _canonical(piece.text) if piece.kind == "tool_call" else piece.text.strip()
    return item.role, piece.kind, piece.name, piece.digest, text


def _canonical(arguments: str) -> str:
    try:
        return json.dumps(json.loads(arguments or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        return arguments.strip()

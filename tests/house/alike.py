"""Which readers a page treats alike: those who may do the same of all that it asks about.

A page knows its reader by an `Actor` alone. While it is made, what it asks of this actor is noted
with each answer, apart from the menu around it, which is the same on every page. Whoever gets the
same answers is shown the same, but for names and rows of their own.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from accounts.access.actors import Actor
from accounts.roles.authority import Authority
from config.shell import context_processors

# The place of a question, what is read or called there, and its arguments.
Question = tuple[str, ...]
_OF_ACTOR: Final = frozenset({"role", "operator", "permissions", "teams", "leads", "viewing"})
_OF_AUTHORITY: Final = frozenset({"role", "permissions", "teams", "leads"})
_METHODS: Final = ("scope_of", "teams_of", "scope_by_role")
_SHELL: Final = ("menu", "help_url", "_balance_nano")
_AUTHORITY: Final[Any] = Actor.__dict__["authority"]
_UNCLEAR: Final = ("unclear",)
OWN: Final = ("user",)
"""Noted where a page reads who its reader is, and so may show what is theirs."""


@dataclass
class Notes:
    """What was asked since they began; None while nothing is noted."""

    answers: dict[Question, object] | None = None
    _asides: int = field(default=0)

    def add(self, question: Question, answer: object) -> None:
        if self.answers is None or self._asides:
            return
        if self.answers.setdefault(question, answer) != answer:
            # Of two actors: nobody else is known to get both answers.
            self.answers[_UNCLEAR] = object()

    @contextmanager
    def taken(self) -> Iterator[dict[Question, object]]:
        answers = self.answers = dict[Question, object]()
        try:
            yield answers
        finally:
            self.answers = None

    def aside(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, of which nothing is noted."""

        def unnoted(*args: Any, **kwargs: Any) -> Any:
            self._asides += 1
            try:
                return function(*args, **kwargs)
            finally:
                self._asides -= 1

        return unnoted


_NOTES: Final = Notes()


class _Asked(Authority):
    """An actor's authority, of which each question is noted. A copy with other teams asks for all
    of it (`dataclasses.replace`), and is none."""

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name in _OF_AUTHORITY:
            _NOTES.add(("authority", name), value)
        elif name in _METHODS and "of_reader" in object.__getattribute__(self, "__dict__"):
            value = _noted(name, _NOTES.aside(value))
        return value


def _noted(name: str, method: Callable[..., Any]) -> Callable[..., Any]:
    def noted(action: str) -> Any:
        answer = method(action)
        _NOTES.add(("authority", name, action), answer)
        return answer

    return noted


def _authority_of(actor: Actor) -> Authority:
    plain: Authority = _NOTES.aside(_AUTHORITY.fget)(actor)
    if _NOTES.answers is None or actor.user is None:
        return plain
    asked = _Asked(plain.role, plain.permissions, plain.teams, plain.leads)
    object.__setattr__(asked, "of_reader", True)
    return asked


def _of_actor(actor: Actor, name: str) -> Any:
    value = object.__getattribute__(actor, name)
    # The installation itself reads for everybody.
    if object.__getattribute__(actor, "user") is None:
        return value
    if name in _OF_ACTOR:
        _NOTES.add(("actor", name), value)
    elif name == "user":
        _NOTES.add(OWN, True)
    return value


@contextmanager
def noting() -> Iterator[Notes]:
    """While pages are made, what they ask of their reader can be noted."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Actor, "__getattribute__", _of_actor, raising=False)
        patch.setattr(Actor, "authority", property(_authority_of))
        for name in _SHELL:
            patch.setattr(context_processors, name, _NOTES.aside(getattr(context_processors, name)))
        yield _NOTES


def answers_alike(actor: Actor, noted: Mapping[Question, object]) -> bool:
    """Whether the actor gets the answers that somebody else got."""
    return all(_answer(actor, question) == answer for question, answer in noted.items())


def _answer(actor: Actor, question: Question) -> object:
    if question == _UNCLEAR:
        return None
    if question == OWN:
        return True
    place, name, *args = question
    value = getattr(actor if place == "actor" else actor.authority, name)
    return value(*args) if args else value

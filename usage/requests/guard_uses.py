"""The guards that checked a request: what they did, how long they took, and what their requests to
models cost."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple
from uuid import UUID

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from accounts.access.actors import Actor
from content.policies.policies import policy_names
from content.policies.words import guard_words
from lib.ids import ids_near, parse_id
from usage.filters.visibility import run, visible
from usage.requests.words import (
    GUARD_IN,
    GUARD_MASKED,
    GUARD_POLICY,
    GUARD_PURE,
    GUARD_REFUSED,
    GUARD_REQUEST,
    GUARD_TIME,
)

# The last word of a refusal's message, unless it is the guard's name.
_CODE: Final = re.compile(r" \(([^()]+)\)$")
_PLACES: Final[Mapping[str, Promise]] = {
    "request": _("the request"),
    "answer": _("the answer"),
    "tool_call": _("a tool call"),
    "tool_result": _("a tool result"),
}


class GuardRequest(NamedTuple):
    """A guard's request to a model; `charge_nano` is None until it has ended."""

    id: str
    charge_nano: int | None


class GuardUse(NamedTuple):
    """The names of guards that checked together, on pages; their time, less than 1 for 0; and
    their requests to models."""

    names: tuple[str, ...]
    ms: int
    requests: tuple[GuardRequest, ...] = ()


class GuardEffect(NamedTuple):
    """What a guard did, for pages: how many different texts it masked, None if it rejected one, and
    in what, "" if that is not recorded. Then the name and id of its policy, "" for one that was
    deleted since."""

    guard: str
    masked: int | None
    place: str = ""
    policy: str = ""
    policy_id: str = ""

    @property
    def name(self) -> str:
        return str(guard_words(self.guard).name)

    @property
    def where(self) -> str:
        return str(_PLACES.get(self.place, ""))

    @property
    def looks_for(self) -> str:
        return str(guard_words(self.guard).looks_for) or self.name


class GuardRefusal(NamedTuple):
    """Why a guard rejected a request, and the code of the error that its client got."""

    effect: GuardEffect
    code: str


def guard_refusal(effects: Sequence[GuardEffect], message: str) -> GuardRefusal | None:
    """Return the refusal among what guards did, None if there is none."""
    effect = next((one for one in effects if one.masked is None), None)
    if effect is None:
        return None
    code = _CODE.search(message)
    return GuardRefusal(effect, code[1] if code else effect.guard)


def guards_that(did: str, flags: Sequence[str]) -> list[str]:
    """Return the names of the guards that masked or rejected something, by the flags of a
    record."""
    guards = [flag.split(":")[1] for flag in flags if flag.startswith(f"{did}:")]
    return [str(guard_words(guard).name) for guard in dict.fromkeys(guards)]


def guard_effects(actor: Actor, flags: Sequence[str]) -> list[GuardEffect]:
    """Return what guards did to a request, by the flags of its record: they follow their policy,
    and their place."""
    pairs = [flag.partition(":") for flag in flags]
    ids = {id for kind, _colon, id in pairs if kind == GUARD_POLICY}
    names = policy_names(actor, ids) if ids else {}
    policy, place = ("", ""), ""
    effects = []
    for kind, _colon, rest in pairs:
        if kind == GUARD_POLICY:
            policy, place = (names[rest], rest) if rest in names else ("", ""), ""
        elif kind == GUARD_IN:
            place = rest
        elif kind == GUARD_REFUSED:
            effects.append(GuardEffect(rest, None, place, *policy))
        elif kind == GUARD_MASKED:
            guard, _colon, number = rest.partition(":")
            masked = int(number) if number.isdecimal() else 0
            effects.append(GuardEffect(guard, masked, place, *policy))
    return effects


def guard_uses(actor: Actor, request_id: UUID, flags: Sequence[str]) -> list[GuardUse]:
    """Return the guards that checked a request, by the flags of its record: a guard's requests
    follow its time."""
    pairs = (flag.partition(":") for flag in flags)
    asked = [id for kind, _colon, id in pairs if kind == GUARD_REQUEST]
    charges = _charges(actor, request_id, asked)
    pure: list[str] = []
    uses: list[GuardUse] = []
    for flag in flags:
        kind, _colon, rest = flag.partition(":")
        if kind == GUARD_PURE:
            pure.append(str(guard_words(rest).name))
        elif kind == GUARD_TIME:
            guard, _colon, ms = rest.partition(":")
            names = (str(guard_words(guard).name),) if guard else tuple(pure)
            uses.append(GuardUse(names, int(ms) if ms.isdecimal() else 0))
        elif kind == GUARD_REQUEST and uses:
            one = GuardRequest(rest, charges.get(rest))
            uses[-1] = uses[-1]._replace(requests=(*uses[-1].requests, one))
    return uses


def _charges(actor: Actor, request_id: UUID, asked: Sequence[str]) -> dict[str, int]:
    """Return the charges of those of these requests that have ended, by id."""
    ids = {parse_id(id): id for id in asked}
    if not ids:
        return {}
    where = visible(actor, "requests.read")
    first_id, end_id = ids_near(request_id)
    more = {"ids": list(ids), "first_id": first_id, "end_id": end_id}
    rows = run(_CHARGES.format(where=where.text), where.parameters | more)
    return {ids[id]: charge_nano for id, charge_nano in rows}


_CHARGES: Final = """
    SELECT r.request_id, sum(r.charge_nano)::bigint FROM usage_usagerecord r
    WHERE {where} AND r.request_id = ANY (%(ids)s) AND r.id >= %(first_id)s AND r.id < %(end_id)s
    GROUP BY r.request_id"""

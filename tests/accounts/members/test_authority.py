"""P23: a key mints nothing that outlives it or can do more; P12: its lists hold in the API too."""

import datetime as dt
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.test import Client
from ninja.operation import Operation

from accounts.access.actors import SYSTEM, key_actor
from accounts.keys import keys
from accounts.keys.reach import Reach, first_field_beyond
from accounts.models import Key, KeyKind, Membership
from accounts.roles import rules as roles
from config.api.api import api
from lib import clock
from lib.ids import id_text, new_id
from tests.support.cast import BUILT_IN, Cast, make_key

URL = "/api/v1/keys"
NEAR, FAR = "127.0.0.0/8", "10.0.0.0/8"
CARRIERS: dict[str, Callable[[str], dict[str, str]]] = {
    "bearer": lambda text: {"authorization": f"Bearer {text}"},
    "bare": lambda text: {"authorization": text},
    "x-api-key": lambda text: {"x-api-key": text},
    "x-goog-api-key": lambda text: {"x-goog-api-key": text},
}


def minter(people: Cast, **over: Any) -> tuple[Key, str]:
    name = f"minter {new_id()}"
    return make_key(people.core, name, kind=KeyKind.MANAGEMENT, user=people.alice, **over)


def program(text: str, carrier: str = "bearer") -> Client:
    return Client(headers=CARRIERS[carrier](text))


def in_days(days: float) -> dt.datetime:
    return clock.now() + dt.timedelta(days=days)


# Where a key may be used --------------------------------------------------------------------------


def operations() -> Iterator[tuple[str, str, Operation]]:
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            for operation in view.operations:
                for method in operation.methods:
                    filled = path.replace("{id}", id_text(new_id()))
                    yield method, f"/api/v1{prefix}{filled}", operation


@pytest.mark.parametrize("every", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("kind", [KeyKind.RELAY, KeyKind.MANAGEMENT])
def test_address_list_applies_to_every_operation(
    people: Cast, kind: KeyKind, carrier: str, every: bool
) -> None:
    """Each operation by a key of one kind, in the kinds and carriers by turns; in the slow lane, by
    both and in each."""
    make: dict[str, Any] = {"kind": kind, "user": people.alice}
    _, near = make_key(people.core, "near", networks=[NEAR], **make)
    _, far = make_key(people.core, "far", networks=[FAR, "2001:db8::/32"], **make)
    assert program(near, carrier).get(URL).status_code == 200
    asked = list(operations())
    if not every:
        turn = list(CARRIERS).index(carrier) + len(CARRIERS) * (kind == KeyKind.RELAY)
        asked = asked[turn :: 2 * len(CARRIERS)]
    for method, path, _ in asked:
        answer = program(far, carrier).generic(method, path)
        assert answer.status_code == 403, (method, path)
        assert "127.0.0.1" in answer.json()["error"]["message"]


def test_an_address_list_is_read_as_the_relay_reads_it(people: Cast) -> None:
    _, text = make_key(people.core, "far", networks=[FAR])
    for address, status in (("10.1.2.3", 200), ("::ffff:10.1.2.3", 200), ("11.0.0.1", 403),
                            ("", 403)):  # fmt: skip
        assert program(text).get(URL, REMOTE_ADDR=address).status_code == status, address


@pytest.mark.parametrize("lists", [{"models": ["gpt-*"]}, {"endpoints": ["messages"]}])
def test_ineffective_address_list_is_rejected(people: Cast, lists: dict[str, Any]) -> None:
    """A management key calls no models."""
    key, text = minter(people)
    (field,) = lists
    wanted = {"name": "m", "kind": "management", **lists}
    for answer in (
        program(text).post(URL, wanted, "application/json"),
        program(text).patch(f"{URL}/{id_text(key.id)}", lists, "application/json"),
    ):
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (422, field)
        assert "cannot call models" in error["message"]


@pytest.mark.parametrize("role", BUILT_IN)
def test_key_reads_while_its_person_may_have_one(people: Cast, role: str) -> None:
    """P11: a person who has lost the role has lost the key, here as at the relay."""
    _, text = make_key(people.core, "bobs", user=people.bob)
    Membership.objects.filter(user=people.bob).update(role=role)
    status = 200 if role in roles.KEY_ROLES else 401
    assert program(text).get(URL).status_code == status


# What a key may make ------------------------------------------------------------------------------


BEYOND: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "expires_at": ({"expires_at": in_days(2)}, {"expires_at": in_days(3).isoformat()}),
    "no expiry": ({"expires_at": in_days(2)}, {}),
    "networks": ({"networks": [NEAR]}, {"networks": ["0.0.0.0/0"]}),
    "no networks": ({"networks": [NEAR]}, {}),
    "rpm": ({"rpm": 5}, {"rpm": 6}),
    "no rpm": ({"rpm": 5}, {}),
    "tpm": ({"tpm": 5}, {"tpm": 6}),
    "parallel": ({"parallel": 5}, {"parallel": 6}),
}


@pytest.mark.parametrize("case", BEYOND)
@pytest.mark.parametrize("kind", ["relay", "management"])
def test_grant_beyond_the_creator_is_rejected_by_name(people: Cast, kind: str, case: str) -> None:
    narrow, wanted = BEYOND[case]
    (field,) = narrow
    _, text = minter(people, **narrow)
    answer = program(text).post(URL, {"name": "ci", "kind": kind, **wanted}, "application/json")
    error = answer.json()["error"]
    assert (answer.status_code, error["param"]) == (422, field), answer.content
    assert "cannot grant more than it has" in error["message"]
    assert not Key.objects.filter(name="ci").exists()


def test_creator_widens_neither_itself_nor_others(people: Cast) -> None:
    key, text = minter(people, expires_at=in_days(2))
    free, _ = make_key(people.core, "free", user=people.alice, disabled=False)
    keys.change_key(SYSTEM, free, disabled=True)
    far = in_days(9).isoformat()
    widened: tuple[tuple[Key, dict[str, Any]], ...] = (
        (key, {"expires_at": far}), (key, {"expires_at": None}), (free, {"disabled": False}),
    )  # fmt: skip
    for target, change in widened:
        url = f"{URL}/{id_text(target.id)}"
        answer = program(text).patch(url, change, "application/json")
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, "expires_at")
    rotated = program(text).post(f"{URL}/{id_text(free.id)}/rotate", {}, "application/json")
    assert rotated.status_code == 422
    # What takes away is granted, of whatever goes further.
    url = f"{URL}/{id_text(free.id)}"
    narrowed: list[dict[str, Any]] = [
        {"name": "named"}, {"rpm": 3}, {"expires_at": far}, {"networks": [NEAR]},
    ]  # fmt: skip
    for change in narrowed:
        assert program(text).patch(url, change, "application/json").status_code == 200, change
    assert program(text).delete(url).status_code == 200


def test_former_secret_creates_nothing_that_outlives_it(people: Cast) -> None:
    """Whoever has only the old secret, perhaps by a leak, has it until its grace is over."""
    key, old = minter(people)
    keys.rotate_key(SYSTEM, key, 2)
    response = program(old).post(URL, {"name": "ci"}, "application/json")
    assert (response.status_code, response.json()["error"]["param"]) == (422, "expires_at")
    itself = f"{URL}/{id_text(key.id)}/rotate"
    assert program(old).post(itself, {}, "application/json").status_code == 422
    short = (clock.now() + dt.timedelta(hours=1)).isoformat()
    response = program(old).post(URL, {"name": "ci", "expires_at": short}, "application/json")
    assert response.status_code == 201


def test_session_is_limited_by_no_key(people: Cast) -> None:
    key, _ = make_key(people.core, "ci", user=people.alice, expires_at=in_days(2))
    assert keys.change_key(SYSTEM, key, expires_at=None).expires_at is None


@dataclass
class Held:
    """A secret that somebody has, and how far it may go at the most by where it came from."""

    text: str
    most: Reach


@pytest.mark.parametrize("sequences", [8, pytest.param(150, marks=pytest.mark.slow)])
def test_authority_only_shrinks(people: Cast, sequences: int) -> None:
    """Random sequences of calls, each by any secret that was had by then: whatever a secret opens
    is within what opened it, at every moment, former secrets included."""
    chance = random.Random(23)
    calls = refused = 0
    for _ in range(sequences):
        held = [_first(people, chance)]
        for _ in range(6):
            calls += 1
            refused += not _one_call(chance, held)
            for one in held:
                result = _reach(one.text)
                assert result is None or first_field_beyond(result, one.most) is None, (
                    result,
                    one.most,
                )
    assert calls == 6 * sequences
    assert calls // 10 < refused < calls * 9 // 10


def _first(people: Cast, chance: random.Random) -> Held:
    _, text = minter(people, **_narrowed(chance))
    return Held(text, _reach(text) or Reach())


def _one_call(chance: random.Random, held: list[Held]) -> bool:
    """Whether it was granted; what it gave is held from then on."""
    by = chance.choice(held)
    target = chance.choice(held)
    there = key_actor(target.text)
    id = id_text(there.key.id) if there and there.key else id_text(new_id())
    client, wanted = program(by.text), _narrowed(chance)
    body = {name: _plain(value) for name, value in wanted.items()}
    act = chance.choice(("make", "make", "change", "change", "rotate", "end"))
    if act == "make":
        kind = chance.choice(("relay", "management"))
        name = f"k{new_id()}"
        answer = client.post(URL, {"name": name, "kind": kind, **body}, "application/json")
    elif act == "change":
        body |= chance.choice(({}, {"expires_at": None}, {"disabled": False}, {"networks": []}))
        answer = client.patch(f"{URL}/{id}", body, "application/json")
    elif act == "rotate":
        hours = {"grace_hours": chance.choice((0, 24))}
        answer = client.post(f"{URL}/{id}/rotate", hours, "application/json")
    else:
        answer = client.delete(f"{URL}/{id}/former-secrets")
    assert answer.status_code in (200, 201, 401, 403, 404, 422), answer.content
    if answer.status_code >= 400:
        return False
    if "secret" in answer.json():
        held.append(Held(answer.json()["secret"], by.most))
    return True


def _narrowed(chance: random.Random) -> dict[str, Any]:
    every = {
        "expires_at": in_days(chance.randint(1, 4)),
        "networks": chance.choice(([NEAR], ["127.0.0.1"], [NEAR, FAR])),
        "rpm": chance.randint(1, 4),
        "tpm": chance.randint(1, 4),
        "parallel": chance.randint(1, 4),
    }
    return {name: value for name, value in every.items() if chance.random() < 0.6}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime) else value


def _reach(text: str) -> Reach | None:
    """What a secret opens now, until when."""
    actor = key_actor(text)
    if actor is None or actor.key is None:
        return None
    key = actor.key
    ends = [at for at in (key.expires_at, actor.ends_at) if at is not None]
    return Reach(
        min(ends, default=None), (), (), tuple(key.networks), key.rpm, key.tpm, key.parallel
    )

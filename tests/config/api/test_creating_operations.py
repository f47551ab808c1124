"""Infrastructure as code: what the management API creates is read back as it was sent, changed and
ended; lists are paged and found by name. Which operations there are, the description says."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import pytest
from django.test import Client

from tests.config.api.operation_examples import (
    ANOTHER,
    BY_NAME,
    SCHEMAS,
    TRIED,
    Hand,
    creating,
    described,
    sent_to,
)
from tests.config.test_operations import operators_keys
from tests.fakes.upstream import FakeUpstream
from tests.isolation.table import OPERATIONS
from tests.support.hub import fake
from tests.support.stage import scene

__all__ = ["fake"]

# Where what an operation creates is found, if not below its own path.
FOUND_AT: Final = {
    "/budgets/{id}/requests": "/budget-requests/{id}",
    "/channels/{id}/copy": "/channels/{id}",
    "/documents/{id}/notes": "/documents/{id}",
    "/documents/{id}/payments": "/documents/{id}",
    "/documents/{id}/void": "/documents/{id}",
    "/postings/{id}/reverse": "/credits/{id}",
    "/prompts/{slug}/versions": "/prompts/{slug}",
}
# What ends something that may not be deleted, because books or records name it.
ENDED_BY: Final = {
    "/budget-requests/{id}": "POST /budget-requests/{id}/end",
    "/code-batches/{id}": "POST /code-batches/{id}/kill",
    "/members/{id}": "POST /members/{id}/remove",
    "/organisations/{slug}": "POST /organisations/{slug}/archive",
    "/price-previews/{id}": "POST /price-previews/{id}/cancel",
    "/price-proposals/{id}": "POST /price-proposals/{id}/ignore",
    "/subscription-plans/{id}": "POST /subscription-plans/{id}/archive",
    "/top-ups/{id}": "POST /top-ups/{id}/cancel",
}
# What is created and not changed, or not even ended, and why.
RUN: Final = "It is a run: it has a result and no settings."
BOOKED: Final = "It is booked; another booking corrects it."
TERMS: Final = "Whoever accepted it keeps what they agreed to."
UNCHANGED: Final = {
    "/budget-requests/{id}": "It is decided as it was asked.",
    "/catalogue-updates/{id}": RUN,
    "/channel-tests/{id}": RUN,
    "/code-batches/{id}": "Its codes are out.",
    "/credits/{id}": BOOKED,
    "/documents/{id}": BOOKED,
    "/exchange-rates/{id}": "Rates are never changed: another one of the same day counts.",
    "/exports/{id}": RUN,
    "/invitations/{id}": "Its letter says what it offers.",
    "/price-previews/{id}": RUN,
    "/price-proposals/{id}": "It is decided as it was proposed.",
    "/provider-bills/{id}": "It is compared once; what differs is settled.",
    "/subscription-plans/{id}": TERMS,
    "/tax-rates/{id}": "Closed documents have it; another one counts from its day on.",
    "/top-ups/{id}": BOOKED,
}
UNENDED: Final = {
    "/catalogue-updates/{id}": RUN,
    "/channel-tests/{id}": RUN,
    "/credits/{id}": BOOKED,
    "/documents/{id}": BOOKED,
    "/exchange-rates/{id}": "Rates are never changed.",
    "/provider-bills/{id}": "What came of it is kept.",
    "/tax-rates/{id}": "Closed documents have it.",
}
# What is done once and found in the books alone.
NOT_FOUND: Final = {
    "/redemptions": "A code that was redeemed is a line of the ledger.",
    "/requests/{id}/review": "A decision on a request, which its receipt shows.",
}
# What has rows that make one answer: they add up to a total.
REPORTS: Final = {
    "/feedback/sums", "/ledger", "/margin", "/review-kinds", "/statements/{period}", "/usage",
}  # fmt: skip
# Their items all have the name of what the path names.
OF_ONE_NAME: Final = {"/prompts/{slug}/versions"}
# What goes in and does not come back, and why.
SECRET: Final = "A secret is never shown."
GIVEN: Final = "It says how to create it, and is no part of what was created."
BILL_COLUMNS: Final = ("csv", "request_column", "day_column", "model_column", "amount_column")
NOT_BACK: Final = {
    "POST /catalogue-updates": {"*": RUN},
    "POST /channels": {"proxy_login": SECRET, "client_key": SECRET, "keys": SECRET},
    "POST /channels/{id}/keys": {"secret": SECRET},
    "POST /documents/{id}/notes": {"amount": "The document has it as `net`."},
    "POST /documents/{id}/payments": {"*": "The document has what is left."},
    "POST /exports": {"*": RUN},
    "POST /invitations": {"*": "It creates several; each says its role, teams and message."},
    "POST /operator-webhooks": {"secret": SECRET},
    "POST /organisations": {"owner": "The owner is among the members."},
    "POST /price-previews": {"*": RUN},
    "POST /price-proposals": {"replaces": "It says what the client has seen."},
    "POST /provider-bills": dict.fromkeys(BILL_COLUMNS, "The file is not kept."),
    "POST /provider-keys": {"secret": SECRET},
    "POST /redemptions": {"code": SECRET},
    "POST /requests/{id}/review": {"amount": "The answer has it as `charge`."},
    "POST /webhooks": {"secret": SECRET},
    "PUT /budgets/{id}/end-users": {"amount": "The answer has it as `own_amount`."},
    "PUT /mail-server": {"password": SECRET},
    "PUT /single-sign-on": {"secret": SECRET},
}


def item_path(path: str) -> str | None:
    """Where one of what an operation creates is read."""
    if path in FOUND_AT:
        return FOUND_AT[path]
    below = re.compile(re.escape(path) + r"/\{\w+\}")
    return next(
        (
            name.removeprefix("GET /api/v1")
            for name in BY_NAME
            if name.startswith("GET ") and below.fullmatch(name.removeprefix("GET /api/v1"))
        ),
        None,
    )


def is_offered(method: str, path: str) -> bool:
    return f"{method} /api/v1{path}" in BY_NAME


def resolved(node: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in node:
        node = SCHEMAS[node["$ref"].rpartition("/")[2]]
    return node


def answer_of(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    """The members of what an operation answers."""
    content = next(iter(operation["responses"].values())).get("content", {})
    members: Mapping[str, Any] = resolved(
        content.get("application/json", {}).get("schema", {})
    ).get("properties", {})
    return members


def body_of(operation: Mapping[str, Any]) -> Mapping[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    members: Mapping[str, Any] = resolved(content.get("schema", {})).get("properties", {})
    return members


def lists() -> Iterator[tuple[str, Mapping[str, Any]]]:
    """(path, operation) of every list."""
    for method, path, operation in described():
        if method == "GET" and answer_of(operation).get("items", {}).get("type") == "array":
            yield path.removeprefix("/api/v1"), operation


# What the description promises of each class --------------------------------------------------


@pytest.mark.parametrize("path", creating())
def test_created_objects_are_read_changed_and_ended(path: str) -> None:
    if path in NOT_FOUND:
        return
    result = item_path(path)
    assert result is not None, f"nothing reads what POST {path} creates"
    assert is_offered("GET", result)
    assert is_offered("PATCH", result) != (result in UNCHANGED), result
    if result in ENDED_BY:
        method, _, end = ENDED_BY[result].partition(" ")
        assert is_offered(method, end)
    else:
        assert is_offered("DELETE", result) != (result in UNENDED), result


def test_no_exception_is_stale() -> None:
    paths = creating()
    results = {item_path(path) for path in paths}
    assert FOUND_AT.keys() <= set(paths)
    assert NOT_FOUND.keys() <= set(paths)
    assert {*ENDED_BY, *UNCHANGED, *UNENDED} <= results
    assert NOT_BACK.keys() <= {f"POST {path}" for path in paths} | {
        name.replace("/api/v1", "") for name in BY_NAME if name.startswith("PUT ")
    }
    assert {path for path, _ in lists()} >= REPORTS


@pytest.mark.parametrize("path", creating())
def test_creating_operations_take_an_idempotency_key_and_answer_409(path: str) -> None:
    operation = BY_NAME[f"POST /api/v1{path}"]
    headers = {one["name"] for one in operation.get("parameters", []) if one["in"] == "header"}
    assert headers == {"Idempotency-Key"}
    assert {201, 409} <= operation["responses"].keys()


@pytest.mark.parametrize(("path", "operation"), [pytest.param(*one, id=one[0]) for one in lists()])
def test_every_list_is_paged_and_found_by_name(path: str, operation: Mapping[str, Any]) -> None:
    answer = answer_of(operation)
    queries = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
    if path in REPORTS:
        assert "next" not in answer
        return
    assert "next" in answer
    assert {"limit", "cursor"} <= queries
    item = resolved(answer["items"]["items"]).get("properties", {})
    if "name" in item and path not in OF_ONE_NAME:
        assert "name" in queries


@pytest.mark.parametrize("path", creating())
def test_created_fields_return_under_the_same_name(path: str) -> None:
    name = f"POST {path}"
    operation = BY_NAME[f"POST /api/v1{path}"]
    missing = body_of(operation).keys() - answer_of(operation).keys()
    excepted = NOT_BACK.get(name, {})
    assert "*" in excepted or missing <= excepted.keys(), missing


@pytest.mark.parametrize("name", [name for name in BY_NAME if name.startswith(("PATCH ", "PUT "))])
def test_changed_fields_return_under_the_same_name(name: str) -> None:
    missing = body_of(BY_NAME[name]).keys() - answer_of(BY_NAME[name]).keys()
    path = name.partition(" /api/v1")[2]
    created = NOT_BACK.get(f"POST {path.rpartition('/')[0]}", {})
    assert missing <= (created or NOT_BACK.get(f"PUT {path}", {})).keys(), missing


# What they do ------------------------------------------------------------------------------------


@scene
def operators() -> list[str]:
    return operators_keys()


@pytest.fixture
def hand(operators: list[str]) -> Hand:
    return Hand(Client(), operators[0])


def address_of(value: str, parent: str, created: Mapping[str, Any]) -> str:
    """Where one created thing is read: by its slug or its ID."""
    own = created["slug"] if "slug" in created else created["id"]
    if value.count("{") == 2:
        return f"{parent}/{own}"
    return re.sub(r"\{\w+\}$", str(own), value)


@pytest.mark.parametrize("path", TRIED)
def test_example_returns_as_it_was_sent(hand: Hand, fake: FakeUpstream, path: str) -> None:
    where, body = sent_to(hand, fake, path)
    created = hand.made(where, body)
    excepted = NOT_BACK.get(f"POST {path}", {})
    values = {} if "*" in excepted else {k: v for k, v in body.items() if k not in excepted}
    for row in (created, *read_back(hand, path, where, created)):
        for name, value in values.items():
            assert_same(row[name], value, name)


def read_back(hand: Hand, path: str, where: str, created: dict[str, Any]) -> list[dict[str, Any]]:
    """What was created, as its own address has it, and as the list has it; one of several."""
    result = item_path(path)
    assert result is not None
    one = created["items"][0] if "items" in created else created
    read = hand.ask("GET", address_of(result, where, one))
    assert read.status_code == 200, read.content.decode()
    if "items" in created:
        return [{**created, "items": [read.json()]}]
    above = result.rpartition("/")[0]
    if f"GET /api/v1{above}" not in BY_NAME:
        return [read.json()]
    items = hand.ask("GET", f"{where if '{' in above else above}?limit=200").json()["items"]
    name = "id" if "id" in one else "slug"
    (listed,) = [row for row in items if row[name] == one[name]]
    return [read.json(), listed]


def assert_same(back: Any, sent: Any, name: str) -> None:
    """What comes back is what was sent; an object may have further members, with their defaults."""
    if isinstance(sent, dict) and isinstance(back, dict):
        for inner, value in sent.items():
            assert_same(back[inner], value, f"{name}.{inner}")
    elif isinstance(sent, list) and sent and isinstance(sent[0], dict):
        for row, value in zip(back, sent, strict=True):
            for inner in value:
                assert_same(row[inner], value[inner], f"{name}.{inner}")
    else:
        assert back == sent, name


CHANGED: Final = [path for path in TRIED if is_offered("PATCH", item_path(path) or "")]


@pytest.mark.parametrize("path", CHANGED)
def test_writing_back_what_was_read_changes_nothing(
    hand: Hand, fake: FakeUpstream, path: str
) -> None:
    """What a tool that applies a configuration does: it reads, compares and sends the whole."""
    where, body = sent_to(hand, fake, path)
    result = item_path(path)
    assert result is not None
    address = address_of(result, where, hand.made(where, body))
    before = hand.ask("GET", address).json()
    taken = body_of(BY_NAME[f"PATCH /api/v1{result}"])
    kept_back = NOT_BACK.get(f"POST {result.rpartition('/')[0]}", {})
    values = {
        name: before[name]
        for name in taken
        if before.get(name) is not None and name not in kept_back
    }
    changed = hand.ask("PATCH", address, values)
    assert changed.status_code == 200, changed.content.decode()
    after = hand.ask("GET", address).json()
    # The version of a channel says what the client has seen; sending defaults states them.
    values.pop("version", None)
    assert {name: after[name] for name in values} == values


@pytest.mark.parametrize("path", TRIED)
def test_a_creating_operation_is_carried_out_once(
    hand: Hand, fake: FakeUpstream, path: str
) -> None:
    """P5: the second answer is the first one, and nothing is created again."""
    where, body = sent_to(hand, fake, path)
    first = hand.ask("POST", where, body, **{"Idempotency-Key": "evening"})
    assert first.status_code == 201, first.content.decode()
    again = hand.ask("POST", where, body, **{"Idempotency-Key": "evening"})
    assert (again.status_code, again.headers["idempotent-replayed"]) == (201, "true")
    if path != "/invitations":  # whose letters went out behind the answer that is kept
        assert again.json() == first.json()
    other = hand.ask("POST", where, {**body, "name": "another"}, **{"Idempotency-Key": "evening"})
    assert other.status_code in (400, 422)


NAMED: Final = [
    path for path in TRIED
    if "name" in body_of(BY_NAME[f"POST /api/v1{path}"]) and path != "/catalogue-updates"
]  # fmt: skip
# Where two of the same can be.
REPEATABLE: Final = {
    "/announcements", "/catalogue-updates", "/channel-tests", "/code-batches", "/credits",
    "/exchange-rates", "/exports", "/operator-webhooks", "/organisations", "/price-previews",
    "/price-proposals", "/prompts/{slug}/versions", "/provider-bills", "/usage/annotations",
    "/webhooks",
}  # fmt: skip
# What a client reads of what there is, or finds it by.
_IDENTIFIERS: Final = ("id", "slug", "name", "email", "model")


@pytest.mark.parametrize("path", TRIED)
def test_existing_object_is_409_and_named(hand: Hand, fake: FakeUpstream, path: str) -> None:
    where, body = sent_to(hand, fake, path)
    if path in NAMED:
        body.setdefault("name", "research")
    created = hand.made(where, body)
    again = hand.ask("POST", where, body)
    if path in REPEATABLE:
        assert again.status_code == 201, again.content.decode()
    else:
        assert again.status_code == 409, again.content.decode()
        error = again.json()["error"]
        assert error["code"] == "already_exists"
        one = created["items"][0] if "items" in created else created
        names = [str(one[name]) for name in _IDENTIFIERS if one.get(name)]
        words = re.findall(r"[^\s:,()]+", error["message"].rstrip("."))
        assert set(names) & {word.rstrip(".") for word in words}, (names, error["message"])
    if path in NAMED:
        listed = path.replace("/{id}/copy", "")
        if f"GET /api/v1{listed}" in BY_NAME:
            found = hand.ask("GET", f"{listed}?name={body['name']}").json()["items"]
            assert [row["name"] for row in found] == [created["name"]] * len(found)
            assert len(found) == (2 if path in REPEATABLE else 1)
            assert hand.ask("GET", f"{listed}?name=nobody").json()["items"] == []


PAGED: Final = [path for path, _ in lists() if path not in REPORTS and "{" not in path]


@pytest.mark.parametrize("path", PAGED)
def test_the_pages_of_a_list_add_up_to_it(hand: Hand, fake: FakeUpstream, path: str) -> None:
    if path in NAMED:
        where, body = sent_to(hand, fake, path)
        for name in ("first", "second", "third"):
            more = ANOTHER[path](hand) if path in ANOTHER else {}
            hand.made(where, {**body, "name": name, **more})
    whole = hand.ask("GET", f"{path}?limit=200").json()
    assert whole["next"] is None
    rows, cursor = list[Any](), ""
    while True:
        page = hand.ask("GET", f"{path}?limit=1{cursor}").json()
        rows += page["items"]
        if page["next"] is None:
            break
        assert len(page["items"]) == 1
        cursor = f"&cursor={quote(page['next'])}"
    assert rows == whole["items"]
    assert len(rows) >= (3 if path in NAMED else 0)
    wrong = hand.ask("GET", f"{path}?cursor=no-such-cursor")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (422, "cursor")


def test_idempotency_key_gives_a_colleague_no_secret(hand: Hand) -> None:
    """The kept answer holds a secret."""
    secret = hand.ask("POST", "/keys", {"name": "ci"}, **{"Idempotency-Key": "k"}).json()["secret"]
    body = {"email": "ada@example.org", "role": "owner"}
    hand.made("/members", body)
    account = hand.made("/service-accounts", {"name": "robot", "team": "core", "role": "admin"})
    robot = hand.made(
        "/keys", {"name": "robot", "kind": "management", "service_account": account["id"]}
    )
    other = hand._replace(key=robot["secret"]).ask(
        "POST", "/keys", {"name": "ci"}, **{"Idempotency-Key": "k"}
    )
    assert other.status_code == 422
    assert secret not in other.content.decode()


def test_every_creating_operation_is_in_the_matrix() -> None:
    assert {f"POST {path}" for path in creating()} <= OPERATIONS.keys()

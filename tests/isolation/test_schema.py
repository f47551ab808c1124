"""schemathesis over the management API, for every role: whatever fits its schema, and whatever does
not, gets an answer that the schema declares, and never a 5xx."""

import datetime as dt
import json
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import httpx
import pytest
from django.db import transaction
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy, one_of

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import KeyKind, Role
from config.api.api import api
from tests.isolation.cells import FAULTS
from tests.isolation.table import OPERATIONS
from tests.isolation.who import ROLES, Who
from tests.isolation.world import World
from tests.support import cast

if TYPE_CHECKING:
    from schemathesis import Case
    from schemathesis.specs.openapi.schemas import OpenApiSchema

pytestmark = pytest.mark.django_db

EXAMPLES: Final = 2
MEMBERS: Final = [name for name, spec in ROLES.items() if not (spec.outside or spec.viewing)]
CALLERS: Final = (*MEMBERS, "operator", "a model key", "a service account", "no role")


# Schemathesis and the schema are of one worker alone: the others collect without them.
@cache
def schema() -> "OpenApiSchema":
    import schemathesis

    document = api.get_openapi_schema(path_prefix="/api/v1/")
    return schemathesis.openapi.from_dict(json.loads(json.dumps(document)))


def clients(world: World) -> dict[str, Client]:
    """A program of each role; the operator's owns the organisation too, and may the most."""
    results = {role: world.clients[Who(role, "management key")] for role in MEMBERS}
    members.set_member(world.acme, world.dora.email, Role.OWNER, actor=SYSTEM)
    _, text = cast.make_key(world.core, "operates", kind=KeyKind.MANAGEMENT, user=world.dora)
    _, model_key = cast.make_key(world.core, "calls", user=world.places["owner"].user)
    results |= {"operator": cast.with_key(text), "a model key": cast.with_key(model_key)}
    results["a service account"] = world.clients[Who("admin", "service account key")]
    results["no role"] = world.clients[Who("no role")]
    for client in results.values():
        client.raise_request_exception = False
    return results


def strategies(world: World, name: str) -> "Iterator[SearchStrategy[Case[Any]]]":
    """Cases of an operation: of its schema, of none, and about an object that there is."""
    from schemathesis import GenerationMode

    method, path = name.split(" ")
    operation = schema()[f"/api/v1{path}"][method]
    yield operation.as_strategy(GenerationMode.POSITIVE)
    yield operation.as_strategy(GenerationMode.NEGATIVE)
    kind = OPERATIONS[name].kind
    if kind is not None and "{" in path:
        where = next(where for where in kind.wheres if where != "own")
        rest = OPERATIONS[name].rest
        names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
        names = [one for one in names if one not in rest]
        parts = world.id_of(kind, where, Who("owner")).split("/")
        there: dict[str, Any] = {**rest, **dict(zip(names, parts, strict=True))}
        yield operation.as_strategy(GenerationMode.POSITIVE, path_parameters=there)


def faults_of(world: World, name: str, callers: list[Client], examples: int) -> list[str]:
    """What is wrong with the answers of one operation to some cases, by these callers in turn."""
    from schemathesis.core.failures import FailureGroup

    turn, result = [0], list[str]()

    @settings(
        max_examples=examples,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=one_of(*strategies(world, name)))
    def run(case: "Case[Any]") -> None:
        turn[0] += 1
        try:
            send(callers[turn[0] % len(callers)], case)
        except (Exception, FailureGroup) as error:
            result.append(f"{name}: {error} {FAULTS}")

    run()
    return result


def send(client: Client, case: "Case[Any]") -> None:
    """Send a case, compare what comes back with the schema, and take back what it changed."""
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import status_code_conformance

    FAULTS.clear()
    sent = case.as_transport_kwargs(base_url="http://testserver")
    request = httpx.Request(
        sent["method"], sent["url"], params=sent.get("params"), json=sent.get("json"),
        content=None if sent.get("json") is not None else _content(sent.get("data")),
    )  # fmt: skip
    with transaction.atomic():
        response: Any = client.generic(
            request.method,
            # As it was written: a question mark in a name is none of the address.
            request.url.raw_path.partition(b"?")[0].decode(),
            request.content,
            request.headers.get("content-type", "application/json"),
            QUERY_STRING=request.url.query.decode(),
        )
        transaction.set_rollback(True)
    content = b"".join(response.streaming_content) if response.streaming else response.content
    headers = {name: value for name, value in response.items() if value}
    answer = httpx.Response(response.status_code, headers=headers, content=content, request=request)
    answer.elapsed = dt.timedelta()
    case.validate_response(answer, checks=[not_a_server_error, status_code_conformance])


def _content(data: Any) -> bytes | None:
    return data.encode() if isinstance(data, str) else data


def test_every_operation_answers_each_role_as_its_schema_says(world: World) -> None:
    """Each operation a few times, by roles in turn."""
    by_role = clients(world)
    wide, rest = [by_role["operator"], by_role["owner"]], list(by_role.values())
    results = []
    for number, name in enumerate(OPERATIONS):
        results += faults_of(world, name, [*wide, rest[number % len(rest)]], EXAMPLES)
    assert results == []


@pytest.mark.slow
@pytest.mark.parametrize("role", CALLERS)
def test_every_operation_answers_every_role(world: World, role: str) -> None:
    callers = [clients(world)[role]]
    assert [fault for name in OPERATIONS for fault in faults_of(world, name, callers, 20)] == []

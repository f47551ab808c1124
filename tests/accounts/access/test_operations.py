"""The router of operations: what an operation is called with, and what it requires."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from django.http import HttpRequest

from accounts.access.access import AccessDenied
from accounts.access.actors import Actor
from accounts.access.operations import Router, requires
from accounts.models import Role
from config.api.api import api

router = Router()


@router.get("/actor/{name}")
def actor_alone(actor: Actor, name: str) -> Any:
    return actor, name


@router.get("/both/{name}")
def request_and_actor(request: HttpRequest, actor: Actor, name: str) -> Any:
    return request, actor, name


@router.get("/request/{name}")
def request_alone(request: HttpRequest, name: str) -> Any:
    return request, name


@router.get("/guarded/{name}")
@requires("usage.read")
def guarded(actor: Actor, name: str) -> Any:
    return actor, name


@requires("usage.read")
@router.get("/above/{name}")
def guarded_above(actor: Actor, name: str) -> Any:
    return actor, name


def call(path: str, actor: Actor) -> Any:
    [operation] = router.path_operations[path].operations
    assert [model.__name__ for model in operation.models] == ["PathParams"]
    return operation.view_func(requested_by(actor), name="a")


def requested_by(actor: Actor) -> HttpRequest:
    return cast(HttpRequest, SimpleNamespace(auth=actor))


def member(role: Role | None) -> Actor:
    return Actor(user=None, key=None, organisation=None, role=role, operator=False)


def test_an_operation_gets_the_actor_or_the_request_or_both() -> None:
    owner = member(Role.OWNER)
    request = requested_by(owner)
    assert call("/actor/{name}", owner) == (owner, "a")
    assert call("/both/{name}", owner) == (request, owner, "a")
    assert call("/request/{name}", owner) == (request, "a")


def test_an_operation_answers_those_alone_who_may_call_it() -> None:
    owner = member(Role.OWNER)
    for path in ("/guarded/{name}", "/above/{name}"):
        assert call(path, owner) == (owner, "a")
        with pytest.raises(AccessDenied):
            call(path, member(None))


def test_every_router_of_the_management_api_guards_its_operations() -> None:
    assert [router for _, router in api._routers if not isinstance(router, Router)] == [
        api.default_router
    ]
    assert not api.default_router.path_operations

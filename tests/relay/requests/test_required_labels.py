"""W57: a label that an organisation, a team or a key requires of each request."""

import asyncio
import json
from itertools import chain, combinations
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from dialects.errors.errors import RequestFault
from lib.id_types import KeyId, OrganisationId, TeamId
from relay.attempts.guard_models import ask_model
from relay.attempts.request_reader import RequestReader
from relay.context.context import RequestContext
from relay.credentials.keys import Principal
from relay.requests.labels import Labels
from relay.requests.options import RequestOptions
from tests.fakes.upstream import FakeUpstream
from tests.relay.asking import ask
from tests.support.hub import Hub, Tenant

LABELS = {"project": "search", "tags": ["beta"], "customer": "c-42"}
LEVELS = {
    "organisation": "UPDATE accounts_organisation SET required_labels = %s WHERE id = %s",
    "team": "UPDATE accounts_team SET required_labels = %s WHERE organisation_id = %s",
    "key": "UPDATE accounts_key SET required_labels = %s WHERE organisation_id = %s",
}

SETS = list(chain.from_iterable(combinations(sorted(LABELS), n) for n in range(len(LABELS) + 1)))


def request_of(source: str, required: tuple[str, ...], given: tuple[str, ...]) -> RequestContext:
    """A request with these labels, of what the relay needs to check them."""
    sets: dict[str, Any] = {"project": "search", "tags": ("beta",), "customer": "c-42"}
    ids = KeyId(UUID(int=1)), OrganisationId(UUID(int=2)), TeamId(UUID(int=3))
    one = SimpleNamespace(
        principal=Principal(
            *ids, None, "relay", (), None, False, required_labels=required
        ),
        options=RequestOptions(labels=Labels(**{name: sets[name] for name in given})),
        source=source, snapshot=None,
        invocation=SimpleNamespace(target=SimpleNamespace(model="m", stream=False)),
    )  # fmt: skip
    return cast(RequestContext, one)


@pytest.mark.parametrize(
    ("source", "exempt"), [("api", set[str]()), ("playground", {"tags", "customer"})]
)
@pytest.mark.parametrize("required", SETS, ids="+".join)
def test_only_a_page_may_leave_out_what_it_cannot_send(
    source: str, exempt: set[str], required: tuple[str, ...]
) -> None:
    """A page sends the project of a chat, and neither tags nor a customer."""
    for given in SETS:
        reader = RequestReader(request_of(source, required, given))
        missing = [name for name in required if name not in {*given, *exempt}]
        if not missing:
            reader.check_labels()
            continue
        with pytest.raises(RequestFault, match=f"{missing[0]} in x-weir-labels") as refused:
            reader.check_labels()
        assert (refused.value.kind, refused.value.param) == ("missing_parameter", "x-weir-labels")


@pytest.mark.parametrize("source", ["api", "playground"])
async def test_a_guards_request_to_a_model_needs_no_labels(source: str) -> None:
    """The policy asks, and what it asks about has been checked."""
    asking: Any = request_of(source, tuple(sorted(LABELS)), ())
    asking.parts = SimpleNamespace(loop=asyncio.get_running_loop())
    asked = list[RequestContext]()

    class Asked:
        def __init__(self, context: RequestContext) -> None:
            asked.append(context)

        async def answer(self, raw: bytes) -> Any:
            RequestReader(asked[0]).check_labels()
            return SimpleNamespace(status=200)

    await ask_model(asking, cast(Any, Asked), [], "moderations", b"{}")
    assert [one.source for one in asked] == [source]


def require(hub: Hub, tenant: Tenant, level: str, labels: list[str]) -> None:
    hub.connection.execute(LEVELS[level], [labels, tenant.organisation_id])
    hub.bump()


def post(hub: Hub, tenant: Tenant, model: str, labels: dict[str, Any] | None = None) -> Any:
    headers = {} if labels is None else {"x-weir-labels": json.dumps(labels)}
    return hub.post(tenant, ask(model, "hello #tokens=3"), headers=headers)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("label", LABELS)
def test_missing_required_label_is_named(
    hub: Hub, fake: FakeUpstream, level: str, label: str
) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    require(hub, tenant, level, [label])
    hub.wait(lambda: post(hub, tenant, model).status == 400, "the rule is not heard of")
    asked = fake.totals()["requests"]
    others = {name: value for name, value in LABELS.items() if name != label}
    empty: dict[str, Any] = {label: [] if label == "tags" else None}
    for labels in (None, others, empty):
        answer = post(hub, tenant, model, labels)
        assert (answer.status, answer.error["code"]) == (400, "missing_required_parameter")
        assert answer.error["param"] == "x-weir-labels"
        assert f"{label} in x-weir-labels is required" in answer.error["message"]
    assert fake.totals()["requests"] == asked
    assert post(hub, tenant, model, {label: LABELS[label]}).status == 200


def test_labels_of_the_key_need_not_be_repeated(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "WITH made AS (INSERT INTO accounts_project (id, organisation_id, team_id, name, slug)"
        " SELECT gen_random_uuid(), organisation_id, team_id, 'Bot', 'bot' FROM accounts_key"
        " WHERE id = %s RETURNING id) UPDATE accounts_key SET project_id = made.id,"
        " tags = '{beta}' FROM made WHERE accounts_key.id = %s",
        [tenant.key_id, tenant.key_id],
    )
    require(hub, tenant, "organisation", ["project", "tags"])
    require(hub, tenant, "team", ["customer"])
    hub.wait(lambda: post(hub, tenant, model).status == 400, "the rule is not heard of")
    assert "customer in x-weir-labels" in post(hub, tenant, model).error["message"]
    assert post(hub, tenant, model, {"customer": "c-42"}).status == 200


def test_the_project_of_a_key_counts_towards_its_budget(hub: Hub, fake: FakeUpstream) -> None:
    tenant, model = hub.tenant(), hub.model(fake)
    hub.connection.execute(
        "WITH made AS (INSERT INTO accounts_project (id, organisation_id, team_id, name, slug)"
        " SELECT gen_random_uuid(), organisation_id, team_id, 'Bot', 'bot' FROM accounts_key"
        " WHERE id = %s RETURNING id) UPDATE accounts_key SET project_id = made.id"
        " FROM made WHERE accounts_key.id = %s",
        [tenant.key_id, tenant.key_id],
    )
    hub.budget(tenant, "0", scope="project", subject="bot")
    hub.wait(lambda: post(hub, tenant, model).status == 402, "the budget is not heard of")
    assert post(hub, tenant, model, {"project": "other"}).status == 200

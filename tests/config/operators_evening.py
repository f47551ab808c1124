"""What an operator does with a client that was generated from the API's description.

The script runs beside the package `weir_client`. Its arguments: the URL, the key of the operator
and that of a second one, the provider's URL and key, and the slug of an organisation with a draft.
"""

import sys
from http import HTTPStatus
from typing import Any

import httpx
from weir_client import AuthenticatedClient
from weir_client.api.budgets import create_budget, show_budget
from weir_client.api.channels import create_channel, list_models
from weir_client.api.exports import show_export, start_export
from weir_client.api.keys import create_key, show_key
from weir_client.api.members import (
    create_invitations,
    create_member,
    list_invitations,
    list_members,
    show_member,
)
from weir_client.api.operator_billing import close_document, list_documents, propose_document
from weir_client.api.organisation import create_team
from weir_client.api.organisations import create_organisation
from weir_client.api.price_book import accept_proposal, create_proposal
from weir_client.models import (
    AcceptIn,
    BudgetIn,
    BudgetInPeriod,
    BudgetInScope,
    ChannelIn,
    ChannelInModels,
    CloseIn,
    ExportIn,
    InvitationIn,
    KeyIn,
    MemberIn,
    OrganisationIn,
    ProposalIn,
    ProposalInMeters,
    RouteIn,
    TeamIn,
)

URL, KEY, SECOND_KEY, PROVIDER_URL, PROVIDER_KEY, INVOICED = sys.argv[1:]


def client_of(key: str, organisation: str | None = None) -> AuthenticatedClient:
    headers = {"X-Weir-Organisation": organisation} if organisation else {}
    return AuthenticatedClient(
        base_url=URL, token=key, headers=headers, raise_on_unexpected_status=True
    )


def done(answer: Any, status: HTTPStatus = HTTPStatus.OK) -> Any:
    assert answer.status_code == status, answer.content
    return answer.parsed


operator, second = client_of(KEY), client_of(SECOND_KEY)

# A channel with a model, and the model's price.
served = ChannelInModels()
served["evening-model"] = RouteIn(upstream="fake")
body = ChannelIn(
    provider="openai_compatible", name="evening", base_url=PROVIDER_URL, keys=[PROVIDER_KEY],
    models=served,
)  # fmt: skip
done(create_channel.sync_detailed(client=operator, body=body), HTTPStatus.CREATED)
names = [one.name for one in done(list_models.sync_detailed(client=operator)).items]
assert "evening-model" in names, names
meters = ProposalInMeters()
meters["in_text"], meters["out_text"] = "1.00", "3.00"
price = ProposalIn(model="evening-model", meters=meters)
drafted = done(create_proposal.sync_detailed(client=operator, body=price), HTTPStatus.CREATED)
done(accept_proposal.sync_detailed(id=drafted.id, client=operator, body=AcceptIn()))

# An organisation with a team, a member, somebody invited, a key and its budget. What is sent twice
# with one key is created once.
wanted = OrganisationIn(name="Customer")
made, repeated = (
    done(
        create_organisation.sync_detailed(client=operator, body=wanted, idempotency_key="evening"),
        HTTPStatus.CREATED,
    )
    for _ in range(2)
)
assert made.slug == repeated.slug
there = client_of(KEY, made.slug)
team = done(
    create_team.sync_detailed(client=there, body=TeamIn(name="Research")), HTTPStatus.CREATED
)
joined = MemberIn(email="eve@example.org", role="developer", teams=[team.slug])
member = done(create_member.sync_detailed(client=there, body=joined), HTTPStatus.CREATED)
assert done(show_member.sync_detailed(id=member.id, client=there)).teams == [team.slug]
done(create_member.sync_detailed(client=there, body=joined), HTTPStatus.CONFLICT)
found = done(list_members.sync_detailed(client=there, email="eve@example.org")).items
assert [one.id for one in found] == [member.id]
invited = InvitationIn(role="developer", emails=["ana@example.org"], teams=[team.slug])
done(create_invitations.sync_detailed(client=there, body=invited), HTTPStatus.CREATED)
assert [one.email for one in done(list_invitations.sync_detailed(client=there)).items] == [
    "ana@example.org"
]
minted = done(
    create_key.sync_detailed(client=there, body=KeyIn(name="ci", team=team.slug)),
    HTTPStatus.CREATED,
)
assert done(show_key.sync_detailed(id=minted.id, client=there)).name == "ci"
capped = BudgetIn(
    scope=BudgetInScope.KEY, subject=minted.id, amount="5.00", period=BudgetInPeriod.MONTH
)
budget = done(create_budget.sync_detailed(client=there, body=capped), HTTPStatus.CREATED)
stored = done(show_budget.sync_detailed(id=budget.id, client=there))
assert (stored.subject, stored.amount) == (minted.id, "5.00")

# The key calls the model: without credit it is refused by the balance, not by key, model or price.
answer = httpx.post(
    f"{URL}/v1/chat/completions",
    headers={"authorization": f"Bearer {minted.secret}"},
    json={"model": "evening-model", "messages": [{"role": "user", "content": "#tokens=3 hi"}]},
    timeout=30,
)
assert answer.status_code == HTTPStatus.PAYMENT_REQUIRED, answer.text
assert answer.json()["error"]["code"] == "insufficient_quota", answer.text

# An export, and the close of a month by two operators.
started = done(start_export.sync_detailed(client=there, body=ExportIn()), HTTPStatus.CREATED)
assert done(show_export.sync_detailed(id=started.id, client=there)).id == started.id
(draft,) = done(list_documents.sync_detailed(client=operator, organisation=INVOICED)).items
done(propose_document.sync_detailed(id=draft.id, client=operator))
proposed = done(list_documents.sync_detailed(client=second, organisation=INVOICED)).items[0]
closing = CloseIn(checksum=proposed.checksum)
closed = done(close_document.sync_detailed(id=draft.id, client=second, body=closing))
assert closed.state == "closed", closed
assert closed.number

sys.stdout.write("done\n")

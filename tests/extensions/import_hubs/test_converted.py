"""What becomes of each row of another hub: the objects that an import makes of the databases of
these tests, and the rows that it writes. `converted.txt` has both, by the name of the hub."""

import datetime as dt
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from accounts.models import Key, Membership, Organisation, Team
from billing.balances.balances import balance
from billing.balances.credit_line import credit_line
from billing.limits.budgets import current_usage
from billing.models import Budget, OrganisationPlan, Plan, PriceVersion, TeamPlan
from billing.prices.price_list import PriceListRead
from config.models import ImportedRow
from extensions.import_hubs.converted import Converted, Counts
from extensions.import_hubs.peers import PEERS, Settings
from extensions.import_hubs.report import report_text
from extensions.import_hubs.writing import write_converted
from gateway.models import Channel, Route
from tests.extensions.import_hubs.databases import (
    LITELLM_SALT_KEY,
    litellm_dump,
    read,
    sqlite_file,
)
from tests.support.golden_texts import GoldenTexts

TEXTS: Final = GoldenTexts(Path(__file__).with_name("converted.txt"))
NOW: Final = dt.datetime(2026, 11, 15, 12, tzinfo=dt.UTC)
_EMPTY: Final[Any] = (None, "", 0, (), [], {}, False, Counts())
HUBS: Final = ("new-api", "one-api", "litellm", "litellm restricted")


def converted(hub: str, folder: Path) -> Converted:
    peer = hub.partition(" ")[0]
    if peer == "litellm":
        path = litellm_dump(folder, restricted=hub != peer)
    else:
        path = sqlite_file(peer, folder)
    settings = Settings(
        NOW, LITELLM_SALT_KEY if peer == "litellm" else "", PriceListRead({}, {}, {})
    )
    return PEERS[peer].convert(read(peer, path), settings)


def lines(value: Any, name: str = "") -> Iterator[str]:
    """Yield the members of an object that are not empty; lists of objects as paragraphs."""
    plain, nested = [], []
    for field in fields(value):
        one = getattr(value, field.name)
        if isinstance(one, tuple | list) and any(is_dataclass(part) for part in one):
            nested += [(field.name, part) for part in one]
        elif field.name != "report" and one not in _EMPTY:
            plain.append(f"{field.name}={one!r}")
    if plain:
        yield f"{name}: {', '.join(plain)}"
    for part, one in nested:
        yield from lines(one, f"{name} {part}".strip())


@pytest.mark.parametrize("hub", HUBS)
def test_each_row_of_a_hub_becomes_what_it_was(hub: str, tmp_path: Path) -> None:
    made = converted(hub, tmp_path)
    TEXTS.check(
        hub,
        {f"{hub}, converted": "\n".join(lines(made)), f"{hub}, report": report_text(made.report)},
    )


def rows() -> Iterator[str]:
    """Yield what stands in the database after an import."""
    for listed in Plan.objects.order_by("name"):
        yield f"plan {listed.name}: {listed.multiplier_ppm} {listed.model_patterns}"
    for one in Organisation.objects.order_by("name"):
        plans = OrganisationPlan.objects.filter(organisation=one)
        limits = (one.rpm, one.tpm, one.parallel)
        money = (balance(one).available_nano, balance(one).debt_nano, credit_line(one))
        on = [held.plan.name for held in plans]
        yield f"organisation {one.name}: {limits} {money} {on} {one.suspended_reason}"
    for team in Team.objects.order_by("organisation__name", "name"):
        on = [held.plan.name for held in TeamPlan.objects.filter(team=team)]
        yield f"team {team.organisation.name}/{team.name}: {team.rpm, team.tpm, team.parallel} {on}"
    for member in Membership.objects.order_by("organisation__name", "user__email"):
        teams = sorted(member.teams.values_list("name", flat=True))
        limits = (member.rpm, member.tpm, member.parallel)
        name = f"{member.organisation.name}/{member.user.email}"
        yield f"member {name}: {member.role} {teams} {limits}"
    for key in Key.objects.order_by("organisation__name", "name").select_related("user", "team"):
        limits = (key.rpm, key.tpm, key.parallel)
        who = key.user and key.user.email
        yield (
            f"key {key.organisation.name}/{key.name}: {key.team.name} {who} {key.last4} {limits} "
            f"{key.model_patterns} {key.networks} {key.expires_at} {key.disabled}"
        )
    for budget in Budget.objects.order_by("organisation__name", "scope", "amount_nano"):
        terms = (budget.amount_nano, budget.period, current_usage([budget])[0].spent_nano)
        yield f"budget {budget.organisation.name}/{budget.scope}: {terms}"
    for channel in Channel.objects.order_by("name"):
        routes = Route.objects.filter(channel=channel).order_by("model")
        models = {route.model: route.upstream_model for route in routes}
        yield (
            f"channel {channel.name}: {channel.provider} {channel.base_url} {channel.enabled} "
            f"{channel.priority} {channel.weight} {channel.conditions} {models} "
            f"{[key.last4 for key in channel.keys.all()]}"
        )
    for version in PriceVersion.objects.order_by("price__model").select_related("price"):
        yield f"price {version.price.model}: {version.rates} {version.source}"
    for row in ImportedRow.objects.order_by("table", "row"):
        yield f"imported {row.table}/{row.row} {row.source}"


@pytest.mark.django_db
@pytest.mark.parametrize("hub", ["litellm restricted", "new-api"])
def test_import_writes_what_was_converted(hub: str, tmp_path: Path) -> None:
    made = converted(hub, tmp_path)
    write_converted("old", made)
    TEXTS.check(
        f"{hub} here",
        {
            f"{hub} here, rows": "\n".join(sorted(rows())),
            f"{hub} here, report": report_text(made.report),
        },
    )

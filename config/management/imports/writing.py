"""Make what a peer had here: each thing by the one function that its room has for that write.

What was made is remembered by the peer's id of it (`ImportedRow`), so that a second run makes
nothing twice, whatever was renamed meanwhile on either side. What is here already by other means
is left alone: an import never changes what somebody made here.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Final, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DataError, transaction
from django.db.models import Q, Sum

from accounts import keys, members, organisations, teams
from accounts.actors import SYSTEM
from accounts.models import Organisation, Role, Team, User
from billing import plans, prices, wallets
from billing.models import LedgerEntry, Plan, PriceVersion
from billing.rules.meters import parse_rate
from billing.rules.money import MoneyInvalid
from config.management.imports import converted
from config.management.imports.reading import is_model_name
from config.management.imports.report import Report
from config.models import ImportedRow
from gateway import channels
from gateway.installation import egress_policy
from gateway.models import Channel
from lib import clock
from lib.egress import host_and_port, literal_address
from lib.refusal import Refused
from usage import budgeting

_REFUSALS: Final = (
    Refused,
    plans.PlanRefused,
    prices.PriceRefused,
    MoneyInvalid,
    ValidationError,
    # What the database itself refuses of a value: a name that is too long.
    DataError,
)


T = TypeVar("T")


class OtherInstallation(Exception):
    """What was imported under these ids came from another database; the text says what to do."""


def write_converted(source: str, converted: converted.Converted) -> None:
    """Make everything that is not here yet, inside the caller's transaction; what is refused goes
    into its report. `source` names the peer's database, so that two do not mix.

    Raises OtherInstallation.
    """
    writer = _Writer(source, converted.report)
    for plan in converted.plans:
        writer.write(plan.origin, plan, plan.name, writer.make_plan)
    for channel in converted.channels:
        writer.write(channel.origin, channel, channel.name, writer.make_channel)
    for price in converted.prices:
        writer.write(price.origin, price, price.model, writer.make_price)
    for organisation in converted.organisations:
        writer.write_organisation(organisation)
    converted.report.money.here_nano = writer.opened_nano(converted.organisations)


class _Writer:
    def __init__(self, source: str, report: Report) -> None:
        self._source = source
        self._report = report
        self._at = clock.now()
        rows = ImportedRow.objects.filter(source=source)
        self._made: dict[converted.Origin, str] = {}
        self._fingerprints: dict[converted.Origin, str] = {}
        for row in rows:
            origin = converted.Origin(row.table, row.row)
            self._made[origin], self._fingerprints[origin] = row.made, row.fingerprint

    def write(
        self, origin: converted.Origin, thing: T, name: str, make: Callable[[T], object]
    ) -> str | None:
        """The id of what was made of it, now or before; None where it was refused."""
        table = self._report.table(origin.table)
        if origin in self._made:
            table.present += 1
            return self._made[origin]
        with self._refusals(origin, name):
            made = str(make(thing))
            fingerprint = _fingerprint(thing) if isinstance(thing, converted.Key) else ""
            ImportedRow.objects.create(
                source=self._source,
                table=origin.table,
                row=origin.id,
                made=made,
                fingerprint=fingerprint,
            )
            self._made[origin] = made
            table.imported += 1
            return made
        return None

    @contextmanager
    def _refusals(self, origin: converted.Origin, name: str, part: str = "") -> Iterator[None]:
        """Undo and report what the rooms refuse: the row, or a part of what is made of it."""
        try:
            with transaction.atomic():
                yield
        except _REFUSALS as refusal:
            reason = "; ".join(getattr(refusal, "messages", [str(refusal).splitlines()[0]]))
            if part:
                self._report.note(origin.table, origin.id, name, f"without {part}: {reason}")
            else:
                self._report.skip(origin.table, origin.id, name, reason)

    # What stands for itself -----------------------------------------------------------------------

    def make_plan(self, plan: converted.Plan) -> int:
        _check_models(plan.models)
        name = self._free_name(plan.name, Plan.objects.filter(name=plan.name).exists())
        saved = plans.save_plan(
            SYSTEM, name, multiplier_ppm=plan.multiplier_ppm, models=list(plan.models)
        )
        return saved.pk

    def make_channel(self, channel: converted.Channel) -> object:
        taken = Channel.objects.filter(name=channel.name).exists()
        made = channels.create_channel(
            SYSTEM,
            self._free_name(channel.name, taken),
            {
                "provider": channel.provider,
                "base_url": channel.base_url,
                "keys": channel.keys,
                "models": channel.models,
                "enabled": channel.enabled,
                "priority": channel.priority,
                "weight": channel.weight,
            },
        )
        address = literal_address(host_and_port(made.base_url)[0])
        if address is not None and not egress_policy().permits(address):
            self._report.note(
                *channel.origin,
                channel.name,
                f"{address} is not public: requests are refused until an operator permits it in "
                "settings.egress_allow",
            )
        return made.id

    def make_price(self, price: converted.Price) -> int:
        own = PriceVersion.objects.filter(
            Q(valid_to=None) | Q(valid_to__gt=self._at),
            price__model=price.model, price__kind="charge", price__channel="",
            price__service_tier="", price__hours="",
        ).exclude(source__startswith=prices.CATALOGUE)  # fmt: skip
        if own.exists():
            raise prices.PriceRefused("a price was set for it here already, and stays")
        meters = {meter: parse_rate(meter, rate) for meter, rate in price.meters.items()}
        source = f"import: {self._source}"
        return prices.set_price(SYSTEM, price.model, self._at, {"meters": meters}, source=source).pk

    def _free_name(self, name: str, taken: bool) -> str:
        return f"{name} ({self._source})" if taken else name

    # Organisations and what is in them ------------------------------------------------------------

    def write_organisation(self, wanted: converted.Organisation) -> None:
        new = wanted.origin not in self._made
        made = self.write(wanted.origin, wanted, wanted.name, self._make_organisation)
        if made is None:
            self._leave_behind(wanted)
            return
        organisation = Organisation.objects.get(id=made)
        for team in wanted.teams:
            self._write_team(organisation, team, wanted)
        for member in wanted.members:
            self._write_member(organisation, member, wanted, new=new)
        for key in wanted.keys:
            self._check_same(key)
            self.write(key.origin, key, key.name, partial(self._make_key, organisation))
        if new and wanted.suspended:
            organisations.suspend_organisation(organisation, wanted.suspended, actor=SYSTEM)

    def _make_organisation(self, wanted: converted.Organisation) -> object:
        organisation = organisations.create_organisation(wanted.name, owner=None, actor=SYSTEM)
        self._put_on_plan(organisation, wanted.plan)
        keys.change_limits(SYSTEM, organisation, **_counts(wanted.counts))
        self._add_budgets(organisation, "organisation", "", wanted.budgets)
        if wanted.balance_nano:
            actor = f"import: {self._source}"
            wallets.open_balance(organisation, wanted.balance_nano, actor=actor)
        if wanted.credit_line_nano:
            wallets.set_credit_line(organisation, wanted.credit_line_nano, actor=SYSTEM)
        return organisation.id

    def _leave_behind(self, wanted: converted.Organisation) -> None:
        self._report.money.left_behind_nano += wanted.balance_nano
        parts: list[tuple[converted.Origin | None, str]] = [
            *((team.origin, team.name) for team in wanted.teams),
            *((member.origin, member.email) for member in wanted.members),
            *((key.origin, key.name) for key in wanted.keys),
        ]
        for origin, name in parts:
            if origin is not None:
                self._report.skip(origin.table, origin.id, name, "its organisation is not imported")

    def _write_team(
        self, organisation: Organisation, team: converted.Team, around: converted.Organisation
    ) -> None:
        if team.origin is not None:
            self.write(team.origin, team, team.name, partial(self._make_team, organisation))
        elif not organisation.teams.filter(name=team.name).exists():
            with self._refusals(around.origin, around.name, f"the team {team.name}"):
                self._make_team(organisation, team)

    def _make_team(self, organisation: Organisation, wanted: converted.Team) -> object:
        team = teams.create_team(organisation, wanted.name, actor=SYSTEM)
        self._put_on_plan(team, wanted.plan)
        keys.change_limits(SYSTEM, team, **_counts(wanted.counts))
        self._add_budgets(organisation, "team", str(team.id), wanted.budgets)
        return team.id

    def _write_member(
        self,
        organisation: Organisation,
        member: converted.Member,
        around: converted.Organisation,
        *,
        new: bool,
    ) -> None:
        if member.origin is not None:
            self.write(
                member.origin, member, member.email, partial(self._make_member, organisation)
            )
        elif new:
            with self._refusals(around.origin, around.name, f"the member {member.email}"):
                self._make_member(organisation, member)

    def _make_member(self, organisation: Organisation, wanted: converted.Member) -> object:
        limited = None
        if wanted.teams is not None:
            limited = list(organisation.teams.filter(name__in=wanted.teams))
        membership = members.set_member(
            organisation, wanted.email, Role(wanted.role), actor=SYSTEM, teams=limited
        )
        keys.change_limits(SYSTEM, membership, **_counts(wanted.counts))
        self._add_budgets(organisation, "user", str(membership.user_id), wanted.budgets)
        return membership.pk

    def _make_key(self, organisation: Organisation, wanted: converted.Key) -> object:
        _check_models(wanted.models)
        team = self._team_of(organisation, wanted.team)
        user = User.objects.filter(email__iexact=wanted.email).first() if wanted.email else None
        secret = wanted.secret
        if isinstance(secret, converted.ClearSecret):
            key = keys.bring_key(SYSTEM, team, wanted.name, secret.text, user=user)
        else:
            key = keys.bring_hashed_key(
                SYSTEM, team, wanted.name, secret.sha256, last4=secret.last4, user=user
            )
        # Set apart, because a key may be brought that has expired already.
        keys.change_key(
            SYSTEM,
            key,
            model_patterns=list(wanted.models),
            networks=list(wanted.networks),
            expires_at=wanted.expires_at,
            disabled=wanted.disabled,
            **_counts(wanted.counts),
        )
        self._add_budgets(organisation, "key", str(key.id), wanted.budgets)
        return key.id

    def _team_of(self, organisation: Organisation, name: str) -> Team:
        if not name:
            return organisation.teams.order_by("created_at", "id")[0]
        team = organisation.teams.filter(name=name).first()
        if team is None:
            raise Refused("team", "its team could not be made")
        return team

    def _check_same(self, wanted: converted.Key) -> None:
        """A key that was imported under this id has this secret, or it is another database's."""
        known = self._fingerprints.get(wanted.origin, "")
        if known in ("", _fingerprint(wanted)):
            return
        raise OtherInstallation(
            f"{wanted.origin.table} {wanted.origin.id} is another key than the one that was "
            f"imported under that id. If this is another installation than the one that was "
            f"imported as {self._source!r}, give it a name of its own with --name."
        )

    def _put_on_plan(self, holder: plans.Holder, origin: converted.Origin | None) -> None:
        if origin is None:
            return
        if origin not in self._made:
            raise plans.PlanRefused("the plan of its group is not imported")
        name = Plan.objects.filter(id=self._made[origin]).values_list("name", flat=True).first()
        if name is None:
            raise plans.PlanRefused("the plan of its group was removed here")
        plans.put_on_plan(SYSTEM, holder, name)

    def _add_budgets(
        self,
        organisation: Organisation,
        scope: str,
        subject: str,
        wanted: tuple[converted.Budget, ...],
    ) -> None:
        for budget in wanted:
            budgeting.create_budget(
                SYSTEM, organisation, scope=scope, subject=subject,
                amount_nano=budget.amount_nano, period=budget.period,
            )  # fmt: skip

    def opened_nano(self, wanted: tuple[converted.Organisation, ...]) -> int:
        """What the books opened the wanted organisations with, now or before."""
        made = [UUID(self._made[each.origin]) for each in wanted if each.origin in self._made]
        entries = LedgerEntry.objects.filter(
            posting__kind="opening",
            account__kind__in=("customer:available", "customer:debt"),
            account__organisation__in=made,
        )
        return entries.aggregate(nano=Sum("amount_nano"))["nano"] or 0


def _check_models(models: tuple[str, ...]) -> None:
    for model in models:
        if not is_model_name(model):
            raise Refused("models", f"{model[:60]!r} is not the name of a model")


def _counts(counts: converted.Counts) -> dict[str, int | None]:
    return {"rpm": counts.rpm, "tpm": counts.tpm, "parallel": counts.parallel}


def _fingerprint(wanted: converted.Key) -> str:
    """By which a key is known again that was given another secret here meanwhile."""
    secret = wanted.secret
    if isinstance(secret, converted.ClearSecret):
        return keys.digest_of(secret.text).hex()[:16]
    return keys.digest_of_hash(secret.sha256).hex()[:16]

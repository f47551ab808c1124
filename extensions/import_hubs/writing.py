"""Create another hub's objects here with the rooms' write functions. An object with a restriction
that does not exist here is created closed (P32).

The foreign id of each created object is stored (`ImportedRow`), so a second run creates nothing
twice, even after renames. An import never changes objects that were created here.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property, partial
from typing import Final, TypeVar
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import DataError, transaction
from django.db.models import Q, Sum

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.members import members
from accounts.models import Key, Organisation, Role, Team, User
from accounts.organisations import organisations, teams
from billing.balances import balances
from billing.balances.credit_line import set_credit_line
from billing.credits import codes
from billing.currency.money import MoneyInvalid
from billing.models import LedgerEntry, Plan, PriceVersion
from billing.price_plans import price_plans
from billing.prices import prices
from billing.prices.meters import parse_rate
from billing.prices.prices import ListedPrice
from config.models import ImportedRow
from extensions.import_hubs import converted
from extensions.import_hubs.reading import is_model_name
from extensions.import_hubs.report import Report
from gateway.channels import bounds as channel_bounds
from gateway.channels import channels
from gateway.channels.products import unreachable_models
from gateway.channels.served_models import price_of, prices_in_force
from gateway.models import Channel
from gateway.settings.installation import egress_policy
from lib import clock
from lib.network.egress import host_and_port, literal_address
from lib.refusal import Refused
from usage.limits import budget_simulation

_REFUSALS: Final = (
    Refused,
    price_plans.PlanRefused,
    prices.PriceRefused,
    MoneyInvalid,
    ValidationError,
    # The database refuses these values, such as a name that is too long.
    DataError,
)


# How to unlock an object that was imported locked: the page, and the action.
_OPENS_KEY: Final = "API keys, the key: Enable (API: PATCH /api/v1/keys/{id})"
_OPENS_CHANNEL: Final = "Channels (/admin/channels), the channel: Turn on"
_OPENS_ORGANISATION: Final = "Organisations (/admin/organisations): Lift suspension"
_OPENS_TEAM: Final = "Price plans (/admin/plans): put the team on"
_OPENS_MEMBER: Final = "Members, the person: give the role"
_OPENS_PRICE: Final = "Price book (/admin/prices): set a price. Until then requests get 402"
_NO_PLAN: Final = "no plan"

T = TypeVar("T")


class OtherInstallation(Exception):
    """The rows already imported under these ids came from another database. The text says what to
    do."""


def write_converted(source: str, converted: converted.Converted) -> None:
    """Create everything that does not exist yet, inside the caller's transaction. Refusals are
    reported. `source` identifies the other database, so that two do not mix. Raises
    OtherInstallation."""
    writer = _Writer(source, converted.report)
    for plan in converted.plans:
        writer.write_price_plan(plan)
    for organisation in converted.organisations:
        writer.write_organisation(organisation)
    for channel in converted.channels:
        writer.write(channel.origin, channel, channel.name, writer.make_channel)
    for price in converted.prices:
        # Models without any known price are reported below.
        if price.meters or writer.price_like(price):
            writer.write(price.origin, price, price.model, writer.make_price)
    writer.write_codes(converted.codes)
    writer.report_unpriced(converted.channels)
    converted.report.money.here_nano = writer.opened_nano(converted.organisations)


class _Writer:
    def __init__(self, source: str, report: Report) -> None:
        self._source = source
        self._report = report
        self._at = clock.now()
        rows = ImportedRow.objects.filter(source=source)
        self._made: dict[converted.Origin, str] = {}
        self._fingerprints: dict[converted.Origin, str] = {}
        self._plan_of_none = ""
        self._refused_teams: set[tuple[UUID, str]] = set()
        self._plans_of: dict[UUID, converted.Origin] = {}
        for row in rows:
            origin = converted.Origin(row.table, row.row)
            self._made[origin], self._fingerprints[origin] = row.made, row.fingerprint

    def write(
        self, origin: converted.Origin, thing: T, name: str, make: Callable[[T], object]
    ) -> str | None:
        """Return the id of the object that was created for `origin`, now or earlier, or None if it
        was refused."""
        if origin in self._made:
            self._report.table(origin.table).present += 1
            return self._made[origin]
        with self._refusals(origin, name):
            id = str(make(thing))
            fingerprint = _fingerprint(thing) if isinstance(thing, converted.Key) else ""
            self._remember(origin, id, fingerprint)
            return id
        return None

    def _remember(self, origin: converted.Origin, id: str, fingerprint: str = "") -> None:
        ImportedRow.objects.create(
            source=self._source,
            table=origin.table,
            row=origin.id,
            made=id,
            fingerprint=fingerprint,
        )
        self._made[origin] = id
        self._report.table(origin.table).imported += 1

    def _close(
        self, origin: converted.Origin, name: str, closed: tuple[str, ...], opened_by: str
    ) -> None:
        if closed:
            self._report.close(*origin, name, closed, opened_by)

    @contextmanager
    def _refusals(self, origin: converted.Origin, name: str, part: str = "") -> Iterator[None]:
        """Run a block that creates a row or a part of it. If a room refuses, roll the block back
        and report it."""
        try:
            with transaction.atomic():
                yield
        except _REFUSALS as refusal:
            reason = "; ".join(getattr(refusal, "messages", [str(refusal).splitlines()[0]]))
            if part:
                self._report.note(origin.table, origin.id, name, f"without {part}: {reason}")
            else:
                self._report.skip(origin.table, origin.id, name, reason)

    # Objects that refer to no others
    # ---------------------------------------------------------------

    def write_price_plan(self, plan: converted.PricePlan) -> None:
        plan_id = self.write(plan.origin, plan, plan.name, self.make_price_plan)
        stored = Plan.objects.filter(id=plan_id).first() if plan_id else None
        missing = set(plan.models) - set(stored.model_patterns if stored else plan.models)
        if missing:
            text = f"models that are new there are not on it yet: {', '.join(sorted(missing))}"
            self._report.note(*plan.origin, plan.name, text)

    def make_price_plan(self, plan: converted.PricePlan) -> int:
        _check_models(plan.models)
        taken = set(Plan.objects.values_list("name", flat=True))
        name = self._free_name(plan.name, taken)
        saved = price_plans.save_plan(
            SYSTEM, name, multiplier_ppm=plan.multiplier_ppm, models=list(plan.models)
        )
        return saved.pk

    def make_channel(self, channel: converted.Channel) -> object:
        taken = set(Channel.objects.values_list("name", flat=True))
        new_channel = channels.create_channel(
            SYSTEM,
            self._free_name(channel.name, taken),
            {
                "provider": channel.provider,
                "base_url": channel.base_url,
                "keys": channel.keys,
                "models": self._reachable_models(channel),
                "enabled": channel.enabled and not channel.closed,
                "priority": channel.priority,
                "weight": channel.weight,
                "conditions": self._conditions(channel),
            },
        )
        self._close(channel.origin, channel.name, channel.closed, _OPENS_CHANNEL)
        address = literal_address(host_and_port(new_channel.base_url)[0])
        if address is not None and not egress_policy().permits(address):
            self._report.note(
                *channel.origin,
                channel.name,
                f"{address} is not public: requests are refused until an operator permits it in "
                "settings.egress_allow",
            )
        return new_channel.id

    def _reachable_models(self, channel: converted.Channel) -> dict[str, str]:
        """Return the models that requests can reach at the channel. The others are reported."""
        at = Channel(provider=channel.provider, base_url=channel.base_url)
        left_out = unreachable_models(at, channel.models)
        if left_out:
            names = ", ".join(sorted(left_out))
            text = f"without {names}: its provider has no endpoint for what they make"
            self._report.note(*channel.origin, channel.name, text)
        return {name: at for name, at in channel.models.items() if name not in left_out}

    def _conditions(self, channel: converted.Channel) -> dict[str, list[str]]:
        """Return the plans and teams that a channel serves. Raises Refused if one is missing here,
        because the channel would then serve everybody."""
        missing = [
            origin for origin in (*channel.plans, *channel.teams) if origin not in self._made
        ]
        if missing:
            raise Refused("conditions", f"whom it serves is not imported: {missing[0].id}")
        conditions: dict[str, list[str]] = {}
        if channel.plans:
            ids = [self._made[origin] for origin in channel.plans]
            conditions["plans"] = list(
                Plan.objects.filter(id__in=ids).values_list("name", flat=True)
            )
        if channel.teams:
            ids = [self._made[origin] for origin in channel.teams]
            teams = Team.objects.filter(id__in=ids).select_related("organisation")
            conditions["teams"] = [f"{team.organisation.slug}/{team.slug}" for team in teams]
        if any(len(conditions[kind]) < len(getattr(channel, kind)) for kind in conditions):
            raise Refused("conditions", "somebody whom it serves was removed here")
        return conditions

    def make_price(self, price: converted.Price) -> int:
        meters = {meter: parse_rate(meter, rate) for meter, rate in price.meters.items()}
        rates: Mapping[str, object] = {"meters": meters}
        if not meters and (like := self.price_like(price)):
            if like == price_of(price.model, self._known_prices):
                return like.version_id
            rates = like.rates
        own = PriceVersion.objects.filter(
            Q(valid_to=None) | Q(valid_to__gt=self._at),
            price__model=price.model, price__kind="charge", price__channel="",
            price__service_tier="", price__hours="", price__region="",
        ).exclude(source__startswith=prices.CATALOGUE)  # fmt: skip
        if own.exists():
            raise prices.PriceRefused("a price was set for it here already, and stays")
        return prices.set_price(
            SYSTEM, price.model, self._at, rates, source=self._source_of_prices
        ).pk

    @cached_property
    def _known_prices(self) -> dict[str, ListedPrice]:
        """Return the prices in force before the import."""
        return prices_in_force()

    def price_like(self, price: converted.Price) -> ListedPrice | None:
        """Return the price in force for the model, else for the underlying model, or None."""
        matches = (price_of(name, self._known_prices) for name in (price.model, *price.like))
        return next((listed for listed in matches if listed is not None), None)

    @property
    def _source_of_prices(self) -> str:
        return f"import: {self._source}"

    def _free_name(self, name: str, taken: set[str]) -> str:
        """Return the name, or the name with the source appended if it is taken."""
        tried, number = name, 1
        while tried in taken:
            tail = f" ({self._source})" if number == 1 else f" ({self._source} {number})"
            tried, number = f"{name[: channel_bounds.NAME_MAX - len(tail)]}{tail}", number + 1
        return tried

    def write_codes(self, wanted: tuple[converted.Code, ...]) -> None:
        """Write codes in batches: codes of one name, value and expiry form a batch."""
        batches: dict[tuple[str, int, object], list[converted.Code]] = {}
        for code in wanted:
            if code.origin in self._made:
                self._report.table(code.origin.table).present += 1
            else:
                key = code.batch, code.value_nano, code.expires_at
                batches.setdefault(key, []).append(code)
        for batch in batches.values():
            try:
                with transaction.atomic():
                    new_batch = codes.import_codes(
                        SYSTEM, batch[0].batch, batch[0].value_nano,
                        [code.text for code in batch], expires_at=batch[0].expires_at,
                    )  # fmt: skip
                    for code in batch:
                        self._remember(code.origin, str(new_batch.id))
            except _REFUSALS as refusal:
                for code in batch:
                    reason = f"money that is left behind: {refusal}"
                    self._report.skip(*code.origin, code.batch, reason)

    def report_unpriced(self, wanted: tuple[converted.Channel, ...]) -> None:
        """Report the models that cannot be used yet, because they have no price."""
        known = prices_in_force()
        for model in sorted({model for channel in wanted for model in channel.models}):
            if price_of(model, known) is None:
                self._report.close("prices", model, "", ("no price",), _OPENS_PRICE)

    # Organisations and what is in them ------------------------------------------------------------

    def write_organisation(self, wanted: converted.Organisation) -> None:
        new = wanted.origin not in self._made
        organisation_id = self.write(wanted.origin, wanted, wanted.name, self._make_organisation)
        if organisation_id is None:
            self._leave_behind(wanted)
            return
        organisation = Organisation.objects.get(id=organisation_id)
        for team in wanted.teams:
            self._write_team(organisation, team, wanted)
        for member in wanted.members:
            self._write_member(organisation, member, wanted, new=new)
        for key in wanted.keys:
            self._check_same(key)
            self.write(key.origin, key, key.name, partial(self._make_key, organisation))
        if new and (wanted.suspended or wanted.closed):
            reason = wanted.suspended or f"Restricted in {self._source}: {', '.join(wanted.closed)}"
            organisations.suspend_organisation(
                organisation, reason[: organisations.REASON_MAX], actor=SYSTEM
            )
            self._close(wanted.origin, wanted.name, wanted.closed, _OPENS_ORGANISATION)

    def _make_organisation(self, wanted: converted.Organisation) -> object:
        organisation = organisations.create_organisation(wanted.name, owner=None, actor=SYSTEM)
        self._put_on_plan(organisation, wanted.plan)
        if wanted.plan is not None:
            self._plans_of[organisation.id] = wanted.plan
        keys.change_limits(SYSTEM, organisation, **_limit_fields(wanted.counts))
        self._add_budgets(organisation, "organisation", "", wanted.budgets)
        if wanted.balance_nano:
            actor = f"import: {self._source}"
            balances.open_balance(organisation, wanted.balance_nano, actor=actor)
        if wanted.credit_line_nano:
            set_credit_line(organisation, wanted.credit_line_nano, actor=SYSTEM)
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
            team_id = self.write(
                team.origin, team, team.name, partial(self._make_team, organisation)
            )
            if team_id is None:
                self._refused_teams.add((organisation.id, team.name))
        elif not organisation.teams.filter(name=team.name).exists():
            with self._refusals(around.origin, around.name, f"the team {team.name}"):
                self._make_team(organisation, team)

    def _make_team(self, organisation: Organisation, wanted: converted.Team) -> object:
        team = teams.create_team(organisation, wanted.name, actor=SYSTEM)
        if wanted.closed:
            price_plans.assign_plan(SYSTEM, team, self._locked_price_plan())
            plan = wanted.plan or self._plans_of.get(organisation.id)
            name = Plan.objects.get(id=self._made[plan]).name if plan else _NO_PLAN
            if wanted.origin is not None:
                opened_by = f"{_OPENS_TEAM} {name}"
                self._close(wanted.origin, wanted.name, wanted.closed, opened_by)
        else:
            self._put_on_plan(team, wanted.plan)
        keys.change_limits(SYSTEM, team, **_limit_fields(wanted.counts))
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
        role = Role.VIEWER if wanted.closed else Role(wanted.role)
        membership = members.set_member(
            organisation, wanted.email, role, actor=SYSTEM, teams=limited
        )
        if wanted.closed and wanted.origin is not None:
            opened_by = f"{_OPENS_MEMBER} {wanted.role}"
            self._close(wanted.origin, wanted.email, wanted.closed, opened_by)
        keys.change_limits(SYSTEM, membership, **_limit_fields(wanted.counts))
        self._add_budgets(organisation, "user", str(membership.user_id), wanted.budgets)
        return membership.pk

    def _make_key(self, organisation: Organisation, wanted: converted.Key) -> object:
        _check_models(wanted.models)
        team = self._team_of(organisation, wanted.team)
        closed, user = wanted.closed, None
        if wanted.email:
            user = User.objects.filter(
                email__iexact=wanted.email, memberships__organisation=organisation
            ).first()
            # If the person could not be created, lock the key, which could do more than the person
            # was allowed to.
            closed += () if user else ("its person could not be made",)
        living = Key.objects.filter(organisation=organisation, revoked_at=None)
        name = self._free_name(wanted.name, set(living.values_list("name", flat=True)))
        secret = wanted.secret
        if isinstance(secret, converted.ClearSecret):
            key = keys.import_key(SYSTEM, team, name, secret.text, user=user)
        else:
            key = keys.import_hashed_key(
                SYSTEM, team, name, secret.sha256, last4=secret.last4, user=user
            )
        # This is a separate step, because the imported key may have expired already.
        keys.change_key(
            SYSTEM,
            key,
            model_patterns=list(wanted.models),
            networks=list(wanted.networks),
            expires_at=wanted.expires_at,
            disabled=wanted.disabled or bool(closed),
            **_limit_fields(wanted.counts),
        )
        self._add_budgets(organisation, "key", str(key.id), wanted.budgets)
        self._close(wanted.origin, wanted.name, closed, _OPENS_KEY)
        return key.id

    def _locked_price_plan(self) -> str:
        """Return the plan of locked teams, which has no models."""
        if not self._plan_of_none:
            name, none = f"{self._source}: closed", [converted.NO_MODEL]
            if not Plan.objects.filter(name=name, model_patterns=none).exists():
                taken = set(Plan.objects.values_list("name", flat=True))
                name = price_plans.save_plan(SYSTEM, self._free_name(name, taken), models=none).name
            self._plan_of_none = name
        return self._plan_of_none

    def _team_of(self, organisation: Organisation, name: str) -> Team:
        if not name:
            return organisation.teams.order_by("created_at", "id")[0]
        team = organisation.teams.filter(name=name).first()
        if team is None or (organisation.id, name) in self._refused_teams:
            raise Refused("team", "its team could not be made")
        return team

    def _check_same(self, wanted: converted.Key) -> None:
        """Raise OtherInstallation if the key imported under this id has another secret: it is from
        another database."""
        known = self._fingerprints.get(wanted.origin, "")
        if known in ("", _fingerprint(wanted)):
            return
        raise OtherInstallation(
            f"{wanted.origin.table} {wanted.origin.id} is another key than the one that was "
            f"imported under that id. If this is another installation than the one that was "
            f"imported as {self._source!r}, give it a name of its own with --name."
        )

    def _put_on_plan(self, holder: price_plans.Holder, origin: converted.Origin | None) -> None:
        if origin is None:
            return
        if origin not in self._made:
            raise price_plans.PlanRefused("the plan of its group is not imported")
        name = Plan.objects.filter(id=self._made[origin]).values_list("name", flat=True).first()
        if name is None:
            raise price_plans.PlanRefused("the plan of its group was removed here")
        price_plans.assign_plan(SYSTEM, holder, name)

    def _add_budgets(
        self,
        organisation: Organisation,
        scope: str,
        subject: str,
        wanted: tuple[converted.Budget, ...],
    ) -> None:
        for budget in wanted:
            budget_simulation.create_with_past(
                SYSTEM, organisation, budget.spent_nano, scope=scope, subject=subject,
                amount_nano=budget.amount_nano, period=budget.period, anchor=budget.anchor,
            )  # fmt: skip

    def opened_nano(self, wanted: tuple[converted.Organisation, ...]) -> int:
        """Return the opening balances that the books have for the organisations, from now or
        earlier."""
        ids = [UUID(self._made[each.origin]) for each in wanted if each.origin in self._made]
        entries = LedgerEntry.objects.filter(
            posting__kind="opening",
            account__kind__in=("customer:available", "customer:debt"),
            account__organisation__in=ids,
        )
        return entries.aggregate(nano=Sum("amount_nano"))["nano"] or 0


def _check_models(models: tuple[str, ...]) -> None:
    for model in models:
        if not is_model_name(model):
            raise Refused("models", f"{model[:60]!r} is not the name of a model")


def _limit_fields(counts: converted.Counts) -> dict[str, int | None]:
    return {"rpm": counts.rpm, "tpm": counts.tpm, "parallel": counts.parallel}


def _fingerprint(wanted: converted.Key) -> str:
    """Return a fingerprint that identifies an imported key even after its secret was replaced
    here."""
    secret = wanted.secret
    if isinstance(secret, converted.ClearSecret):
        return keys.digest_of(secret.text).hex()[:16]
    return keys.digest_of_hash(secret.sha256).hex()[:16]

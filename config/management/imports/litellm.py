"""LiteLLM: organizations, teams, users and keys of its proxy's Postgres.

What an organization, team, user or key may still spend is its `max_budget` less its `spend`. One
that is for good, of an organization, is its opening balance here; all others are budgets. Nothing
is prepaid there: who has no such balance pays later here.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final, Literal

from accounts.organisations import FIRST_TEAM
from billing.rules.money import NANO_PER_USD, round_half_even
from billing.rules.patterns import matches
from config.management.imports import values
from config.management.imports.converted import (
    Budget,
    Converted,
    Counts,
    HashedSecret,
    Key,
    Member,
    Organisation,
    Origin,
    Team,
)
from config.management.imports.databases import Database
from config.management.imports.litellm_models import TABLE as MODELS
from config.management.imports.litellm_models import read_models
from config.management.imports.litellm_secrets import SaltKey
from config.management.imports.quota_hubs import WrongPeer
from config.management.imports.reading import Reader, Skipped, field, told_apart
from config.management.imports.report import Report
from config.management.imports.values import Row

ORGANIZATIONS: Final = "LiteLLM_OrganizationTable"
TEAMS: Final = "LiteLLM_TeamTable"
USERS: Final = "LiteLLM_UserTable"
KEYS: Final = "LiteLLM_VerificationToken"
BUDGETS: Final = "LiteLLM_BudgetTable"
MEMBERSHIPS: Final = "LiteLLM_OrganizationMembership"
TABLES: Final = (ORGANIZATIONS, TEAMS, USERS, KEYS, BUDGETS, MEMBERSHIPS, MODELS)

CREDIT_LINE_NANO: Final = 1_000_000 * NANO_PER_USD
"""What an organisation may owe that has no balance there: as good as no end."""
_NOBODYS: Final = ""
_LABEL: Final = "LiteLLM"
# So much of the hash of a key tells it from every other.
_HASH_SHOWN: Final = 16
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_EVERY_MODEL: Final = frozenset({"all-team-models", "all-proxy-models"})
_NO_MODEL: Final = "no-default-models"
_PERIODS: Final[Mapping[str, Literal["hour", "day", "week", "month"]]] = {
    **dict.fromkeys(("1h", "60m", "3600s"), "hour"),
    **dict.fromkeys(("1d", "24h"), "day"),
    **dict.fromkeys(("7d", "1w"), "week"),
    **dict.fromkeys(("30d", "1mo"), "month"),
}
# What narrows a key there and cannot be taken over: the key comes disabled, and not wider.
_NARROWS: Final = ("model_max_budget", "budget_limits", "tpd_limit", "policies", "router_settings")
_MODEL_ROUTES: Final = frozenset({"llm_api_routes"})
_LIMITED: Final = (
    *("max_budget", "budget_duration", "spend", "rpm_limit", "tpm_limit"),
    *("max_parallel_requests", "models", "budget_id"),
)
_TAKEN: Final[Mapping[str, frozenset[str]]] = {
    ORGANIZATIONS: frozenset({"organization_id", "organization_alias", *_LIMITED}),
    TEAMS: frozenset(
        {"team_id", "team_alias", "organization_id", "blocked", "members_with_roles", "members",
         "admins", *_LIMITED}
    ),
    USERS: frozenset(
        {"user_id", "user_email", "teams", "organization_id", "user_role", "password", *_LIMITED}
    ),
    KEYS: frozenset(
        {"token", "key_name", "key_alias", "expires", "user_id", "team_id", "organization_id",
         "blocked", "allowed_routes", "key_type", *_NARROWS, *_LIMITED}
    ),
}  # fmt: skip


@dataclass
class _Place:
    """An organization of theirs while it is being put together."""

    organisation: Organisation
    models: tuple[str, ...]
    teams: dict[str, Team]
    members: dict[str, set[str]]
    """The teams of each user, by their ids."""
    people: dict[str, Member]
    keys: list[Key]


def convert(database: Database, salt_key: str = "") -> Converted:
    """Everything that can be imported, and the report of the rest. Raises WrongPeer."""
    for table in (KEYS, USERS, TEAMS):
        if table not in database.rows:
            raise WrongPeer(f"this is no database of LiteLLM: it has no table {table}")
    reader = Reader(database, Report())
    channels, prices = read_models(reader, SaltKey(salt_key))
    organisations = _Converter(reader).organisations()
    reader.report.tables_left = dict(database.others)
    reader.report.notes.append(
        "Models of a config.yaml are not in the database: add their channels by hand."
    )
    return Converted((), tuple(channels), tuple(prices), tuple(organisations), reader.report)


class _Converter:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._report = reader.report
        rows = reader.database.rows
        self._budgets = {values.text(row.get("budget_id")): row for row in rows.get(BUDGETS, ())}
        self._places: dict[str, _Place] = {}
        self._team_rows: dict[str, tuple[str, str, tuple[str, ...]]] = {}

    def organisations(self) -> list[Organisation]:
        self._reader.each(
            ORGANIZATIONS, self._organization,
            id="organization_id", name="organization_alias", taken=_TAKEN[ORGANIZATIONS],
        )  # fmt: skip
        self._team_names = self._names(TEAMS, "team_id", "team_alias")
        self._key_names = self._names(KEYS, "token", "key_alias", "key_name", length=_HASH_SHOWN)
        self._reader.each(TEAMS, self._team, id="team_id", name="team_alias", taken=_TAKEN[TEAMS])
        self._reader.each(USERS, self._user, id="user_id", name="user_email", taken=_TAKEN[USERS])
        self._reader.each(KEYS, self._key, id="key_alias", name="key_name", taken=_TAKEN[KEYS])
        money = self._report.money
        finite = [place.organisation.balance_nano for place in self._places.values()]
        money.peer_nano = sum(finite)
        money.peer_total = "what organizations may still spend"
        return [_whole(place) for place in self._places.values()]

    def _names(
        self, table: str, id: str, *columns: str, length: int | None = None
    ) -> dict[str, str]:
        """By the first `length` characters of an id, the name of its row that no other has."""
        return told_apart(
            {
                values.text(row.get(id))[:length]: next(
                    (name for c in columns if (name := values.text(row.get(c)).strip())),
                    values.text(row.get(id))[:8],
                )
                for row in self._reader.database.rows.get(table, ())
            }
        )

    # What something may spend ---------------------------------------------------------------------

    def _limits_of(self, row: Row) -> Row:
        """A row with what the budget that it names says where it says nothing itself."""
        budget = self._budgets.get(field(row, "budget_id", values.text), {})
        own = {name: row.get(name) for name in _LIMITED if row.get(name) is not None}
        return {**{name: budget.get(name) for name in _LIMITED}, **own}

    def _counts(self, limits: Row) -> Counts:
        return Counts(
            *(
                field(limits, name, values.integer) or None
                for name in ("rpm_limit", "tpm_limit", "max_parallel_requests")
            )
        )

    def _budget(self, limits: Row, table: str, id: str, name: str) -> tuple[Budget, ...]:
        if limits.get("max_budget") is None:
            return ()
        most = _nano(field(limits, "max_budget", values.fraction))
        left = most - _nano(field(limits, "spend", values.fraction))
        duration = field(limits, "budget_duration", values.text).strip()
        if not duration:
            return (Budget(max(left, 0)),)
        period = _PERIODS.get(duration)
        if period is None:
            text = f"a budget per {duration} has no period here: it is one for good"
            self._report.note(table, id, name, text)
            return (Budget(max(left, 0)),)
        return (Budget(most, period),)

    # Organizations, teams, people -----------------------------------------------------------------

    def _organization(self, row: Row) -> None:
        id = field(row, "organization_id", values.text)
        name = field(row, "organization_alias", values.text).strip()
        limits = self._limits_of(row)
        lasting = limits.get("max_budget") is not None and not limits.get("budget_duration")
        balance = 0
        if lasting:
            balance = _nano(
                field(limits, "max_budget", values.fraction) - field(row, "spend", values.fraction)
            )
        budgets = () if lasting else self._budget(limits, ORGANIZATIONS, id, name)
        organisation = Organisation(
            Origin(ORGANIZATIONS, id),
            name,
            balance,
            credit_line_nano=0 if lasting else CREDIT_LINE_NANO,
            counts=self._counts(limits),
            budgets=budgets,
        )
        self._places[id] = _Place(organisation, _models(row), {}, {}, {}, [])

    def _place(self, id: str) -> _Place:
        """An organization; the one of all that belongs to none is made when it is needed."""
        if id == _NOBODYS and id not in self._places:
            organisation = Organisation(
                Origin(ORGANIZATIONS, "(none)"), _LABEL, credit_line_nano=CREDIT_LINE_NANO
            )
            self._report.table(ORGANIZATIONS).read += 1
            self._report.note(ORGANIZATIONS, "(none)", _LABEL, "made for what belongs to none")
            self._places[id] = _Place(organisation, (), {}, {}, {}, [])
        if id not in self._places:
            raise Skipped("its organization is not imported")
        return self._places[id]

    def _team(self, row: Row) -> None:
        id, limits = field(row, "team_id", values.text), self._limits_of(row)
        name, organization = self._team_names[id], field(row, "organization_id", values.text)
        if field(row, "blocked", values.boolean):
            raise Skipped("it is blocked, and its keys with it")
        self._refuse_what_narrows(row)
        place = self._place(organization)
        place.teams[name] = Team(
            name,
            Origin(TEAMS, id),
            counts=self._counts(limits),
            budgets=self._budget(limits, TEAMS, id, name),
        )
        self._team_rows[id] = organization, name, _models(row)
        for member in _members_of(row):
            place.members.setdefault(member, set()).add(name)

    def _refuse_what_narrows(self, row: Row) -> None:
        narrowing = [name for name in _NARROWS if not values.is_nothing(row.get(name))]
        if narrowing:
            raise Skipped(f"it is narrowed by {', '.join(narrowing)}, which has no place here")

    def _user(self, row: Row) -> None:
        id = field(row, "user_id", values.text)
        email = field(row, "user_email", values.text).strip().lower()
        if not _EMAIL.fullmatch(email):
            raise Skipped("no email address: the keys belong to nobody")
        limits = self._limits_of(row)
        roles = self._roles_of(row, id)
        for organization, role in roles.items():
            place = self._places[organization]
            teams = place.members.get(id, set()) | self._teams_of_keys(id, organization)
            place.people[id] = Member(
                email,
                role,
                Origin(USERS, f"{id} in {organization}" if organization else id),
                None if role == "admin" else tuple(sorted(teams)) or (FIRST_TEAM,),
                budgets=self._budget(limits, USERS, id, email),
                counts=self._counts(limits),
            )
        self._report.table(USERS).read += len(roles) - 1

    def _roles_of(self, row: Row, id: str) -> dict[str, Literal["admin", "developer"]]:
        """The organizations that a user is in, and as what."""
        roles: dict[str, Literal["admin", "developer"]] = {}
        for membership in self._reader.database.rows.get(MEMBERSHIPS, ()):
            if values.text(membership.get("user_id")) == id:
                admin = values.text(membership.get("user_role")) == "org_admin"
                organization = values.text(membership.get("organization_id"))
                roles[organization] = "admin" if admin else "developer"
        for organization, place in self._places.items():
            if id in place.members:
                roles.setdefault(organization, "developer")
        for team in values.texts(row.get("teams")):
            if team in self._team_rows:
                organization, name, _ = self._team_rows[team]
                self._places[organization].members.setdefault(id, set()).add(name)
                roles.setdefault(organization, "developer")
        own = field(row, "organization_id", values.text)
        for organization in {*self._places_of_keys(id), *([own] if own else [])}:
            roles.setdefault(organization, "developer")
        if _NOBODYS in roles or not roles:
            self._place(_NOBODYS)
            roles.setdefault(_NOBODYS, "developer")
        return {organization: role for organization, role in roles.items()
                if organization in self._places}  # fmt: skip

    def _keys_of(self, user: str) -> Iterable[Row]:
        rows = self._reader.database.rows[KEYS]
        return (row for row in rows if values.text(row.get("user_id")) == user)

    def _places_of_keys(self, user: str) -> set[str]:
        return {self._home_of(row)[0] for row in self._keys_of(user)}

    def _teams_of_keys(self, user: str, organization: str) -> set[str]:
        homes = [self._home_of(row) for row in self._keys_of(user)]
        return {team or FIRST_TEAM for place, team in homes if place == organization}

    def _home_of(self, row: Row) -> tuple[str, str]:
        """The organization of a key, and the name of its team."""
        team = values.text(row.get("team_id"))
        if team in self._team_rows:
            return self._team_rows[team][:2]
        return values.text(row.get("organization_id")), ""

    # Keys -----------------------------------------------------------------------------------------

    def _key(self, row: Row) -> None:
        token, team = field(row, "token", values.text), field(row, "team_id", values.text)
        if not _SHA256.fullmatch(token):
            raise Skipped("its token is not the SHA-256 of a key")
        if team and team not in self._team_rows:
            raise Skipped("its team is not imported")
        organization, team_name = self._home_of(row)
        place, limits = self._place(organization), self._limits_of(row)
        id = token[:_HASH_SHOWN]
        name = self._key_names[id]
        narrowing = [part for part in _NARROWS if not values.is_nothing(row.get(part))]
        routes = set(values.texts(row.get("allowed_routes"))) - _MODEL_ROUTES
        narrowing += ["allowed_routes"] if routes else []
        outer = [place.models] + ([self._team_rows[team][2]] if team else [])
        models = _narrowed(_models(row), outer)
        disabled = bool(
            field(row, "blocked", values.boolean) or narrowing or models == (_NO_MODEL,)
        )
        if narrowing:
            text = f"imported disabled: {', '.join(narrowing)} has no place here"
            self._report.note(KEYS, id, name, text)
        person = place.people.get(field(row, "user_id", values.text))
        place.keys.append(
            Key(
                Origin(KEYS, id),
                name,
                HashedSecret(bytes.fromhex(token), field(row, "key_name", values.text)[-4:]),
                team=team_name,
                email=person.email if person else "",
                models=models,
                expires_at=field(row, "expires", values.instant),
                disabled=disabled,
                counts=self._counts(limits),
                budgets=self._budget(limits, KEYS, id, name),
            )
        )


def _whole(place: _Place) -> Organisation:
    return replace(
        place.organisation,
        teams=tuple(place.teams.values()),
        members=tuple(place.people.values()),
        keys=tuple(place.keys),
    )


def _nano(usd: Fraction) -> int:
    """An amount of USD, which LiteLLM keeps as a float: what its shortest form says."""
    scaled = usd * NANO_PER_USD
    return round_half_even(scaled.numerator, scaled.denominator)


def _models(row: Row) -> tuple[str, ...]:
    """Names or patterns; () = every model."""
    named = field(row, "models", values.texts)
    return () if _EVERY_MODEL & set(named) else tuple(dict.fromkeys(named))


def _narrowed(models: tuple[str, ...], outer: list[tuple[str, ...]]) -> tuple[str, ...]:
    """What a key may ask that its team and its organization may, too."""
    for bound in outer:
        if not bound:
            continue
        if models:
            within = [name for name in models if any(matches(one, name) for one in bound)]
            models = tuple(within) or (_NO_MODEL,)
        else:
            models = bound
    return models


def _members_of(row: Row) -> set[str]:
    """The ids of a team's users."""
    listed = values.document(row.get("members_with_roles")) or []
    ids = {
        str(member.get("user_id") or "")
        for member in (listed if isinstance(listed, list) else [])
        if isinstance(member, dict)
    }
    named = {*values.texts(row.get("members")), *values.texts(row.get("admins"))}
    return (ids | named) - {""}

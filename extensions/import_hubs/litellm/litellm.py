"""LiteLLM: organizations, teams, users and keys of its proxy's Postgres.

An organization, team, user or key may still spend its `max_budget` less its `spend`. A permanent
budget of an organization becomes its opening balance here; all others become budgets. LiteLLM has
no prepaid money: an organization without such a balance pays later here.

The allowed models become a plan: one for everybody, and one for each organization and team with
other models. Plans only name models of the old hub, so that nobody gets access to models that exist
only here.
"""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from typing import Final, Literal

from accounts.organisations.organisations import FIRST_TEAM, slug_of_name
from billing.currency.money import NANO_PER_USD
from billing.prices.name_patterns import matches
from billing.prices.price_list import PriceListRead
from billing.prices.pricing import PPM
from extensions.import_hubs import values
from extensions.import_hubs.converted import (
    NO_MODEL,
    Converted,
    HashedSecret,
    Key,
    Member,
    Organisation,
    Origin,
    PricePlan,
    Team,
)
from extensions.import_hubs.databases import Database
from extensions.import_hubs.litellm.columns import (
    ALIASES,
    COLUMNS,
    IN_ORGANIZATIONS,
    IN_TEAMS,
    KEYS,
    ORGANIZATIONS,
    OTHER_TABLES,
    TEAMS,
    USERS,
    WHOLE_HUB,
)
from extensions.import_hubs.litellm.limits import Limits, Terms, divide_terms, nano, together
from extensions.import_hubs.litellm.models import Catalogue, read_models
from extensions.import_hubs.litellm.secrets import SaltKey
from extensions.import_hubs.new_api.hubs import WrongPeer
from extensions.import_hubs.reading import Reader, Skipped, distinguish_names, field
from extensions.import_hubs.report import Report
from extensions.import_hubs.values import Row

TABLES: Final = (*COLUMNS, ALIASES, *WHOLE_HUB)

CREDIT_LINE_NANO: Final = 1_000_000 * NANO_PER_USD
"""The credit line of an organization that has no balance there: practically unlimited."""
_NOBODYS: Final = ""
_LABEL: Final = "LiteLLM"
_PLANS: Final = "plans"
_NAME_MAX: Final = 120
# The part of a key's hash that identifies the key.
_HASH_SHOWN: Final = 16
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_EVERY_MODEL: Final = frozenset({"all-team-models", "all-proxy-models", "*"})
_OF_THE_TEAM: Final = "all-team-models"
_MODEL_ROUTES: Final = frozenset({"llm_api_routes"})
_MODEL_KEYS: Final = frozenset({"", "default", "llm_api"})
_MAKES_KEYS: Final = "/key/generate"
_VIEWERS: Final = frozenset({"internal_user_viewer", "proxy_admin_viewer"})
_OF_PEOPLE: Final[Mapping[str, tuple[str, ...]]] = {
    USERS: ("user_id",),
    IN_ORGANIZATIONS: ("user_id", "organization_id"),
    IN_TEAMS: ("user_id", "team_id"),
}
Role = Literal["admin", "developer", "viewer"]


@dataclass
class _Place:
    """An organization of LiteLLM while it is converted."""

    organisation: Organisation
    models: tuple[str, ...]
    """() = every model."""
    teams: dict[str, Team] = dataclass_field(default_factory=dict)
    people: dict[str, Member] = dataclass_field(default_factory=dict)
    keys: list[tuple[str, Key]] = dataclass_field(default_factory=list)
    """Keys with the ids of their users."""


@dataclass
class _TeamRow:
    """A LiteLLM team: its organization, its name here, and the default budget of its members."""

    organization: str
    name: str
    members: set[str]
    makers: set[str]
    """The members who may create keys in the team."""
    member_budget: str
    terms: dict[str, Terms] = dataclass_field(default_factory=dict)
    """The terms of members, by user id."""


def convert(
    database: Database,
    salt_key: str,
    price_map: PriceListRead,
    accepted: frozenset[str],
    now: dt.datetime,
) -> Converted:
    """Return everything that can be imported, and the report on the rest. Raises WrongPeer."""
    for table in (KEYS, USERS, TEAMS):
        if table not in database.rows:
            raise WrongPeer(f"this is no database of LiteLLM: it has no table {table}")
    reader = Reader(database, Report(), {**COLUMNS, **WHOLE_HUB}, accepted)
    catalogue = read_models(reader, SaltKey(salt_key), price_map)
    converter = _Converter(reader, catalogue, Limits.of(reader, now))
    organisations = converter.organisations()
    reader.report.tables_left = dict(database.others)
    reader.report.explain_tables(OTHER_TABLES)
    reader.report.accepted = sorted(reader.lost)
    reader.report.notes.append(
        f"Models of a config.yaml are not in the database: add their channels by hand, and their "
        f"names to the plan {_LABEL} and to those of the teams that may ask for them."
    )
    plans = tuple(converter.plans.values())
    return Converted(
        plans, tuple(catalogue.channels), tuple(catalogue.prices), tuple(organisations),
        reader.report,
    )  # fmt: skip


class _Converter:
    def __init__(self, reader: Reader, catalogue: Catalogue, limits: Limits) -> None:
        self._reader = reader
        self._report = reader.report
        self._catalogue = catalogue
        self._limits = limits
        self._places: dict[str, _Place] = {}
        self._teams: dict[str, _TeamRow] = {}
        self._terms: dict[tuple[str, str], list[Terms]] = {}
        """The terms of people in organizations, by both ids."""
        self._user_models: dict[str, tuple[str, ...]] = {}
        self._user_closed: dict[str, tuple[str, ...]] = {}
        self._read: set[tuple[str, ...]] = set()
        """Rows about people that were read completely: their tables and ids."""
        self._stored = {
            (table, *(_display_value(row.get(column)) for column in columns))
            for table, columns in _OF_PEOPLE.items()
            for row in reader.database.rows.get(table, ())
        }
        self._keys_of: dict[str, list[Row]] = {}
        for row in reader.database.rows[KEYS]:
            self._keys_of.setdefault(values.text(row.get("user_id")), []).append(row)
        self.plans: dict[str, PricePlan] = {}

    def organisations(self) -> list[Organisation]:
        each = self._reader.each
        self._closed = tuple(self._whole_hub())
        self._add_price_plan("everybody", _LABEL, self._catalogue.every(""))
        each(ORGANIZATIONS, self._organization, id="organization_id", name="organization_alias")
        # Each organisation has a first team here, so a team of the same name needs another name.
        self._team_names = {
            id: f"{name} ({id})" if slug_of_name(name) == FIRST_TEAM else name
            for id, name in self._unique_names(TEAMS, "team_id", "team_alias").items()
        }
        self._key_names = self._unique_names(
            KEYS, "token", "key_alias", "key_name", length=_HASH_SHOWN
        )
        self._aliases = {
            values.text(row.get("id")): row for row in self._reader.database.rows.get(ALIASES, ())
        }
        each(TEAMS, self._team, id="team_id", name="team_alias")
        self._add_members_by_users()
        self._roles = self._read_memberships()
        each(USERS, self._user, id="user_id", name="user_email")
        each(KEYS, self._key, id="key_alias", name="key_name")
        money = self._report.money
        finite = [place.organisation.balance_nano for place in self._places.values()]
        money.peer_nano = sum(finite)
        money.peer_total = "what organizations may still spend"
        return [self._read_organisation(place) for place in self._places.values()]

    def _read_organisation(self, place: _Place) -> Organisation:
        members = {member.email: member for member in self._members(place)}
        holders = {
            user: member.email
            for user, member in place.people.items()
            if members[member.email].role != "viewer" and not members[member.email].closed
        }
        return replace(
            place.organisation,
            teams=tuple(place.teams.values()),
            members=tuple(members.values()),
            keys=tuple(self._owned(place, user, key, holders) for user, key in place.keys),
            closed=(*self._closed, *place.organisation.closed),
        )

    def _members(self, place: _Place) -> Iterable[Member]:
        """Return the people of an organization, one per e-mail address. A person who could unlock a
        locked key, or create another key, becomes a viewer."""
        closed = {user for user, key in place.keys if key.closed}
        by_email: dict[str, Member] = {}
        for user, member in place.people.items():
            origin = member.origin or place.organisation.origin
            if user in closed and member.role == "developer":
                member = replace(member, role="viewer")
                self._report.note(*origin, member.email, "a viewer here: a key of theirs is closed")
            if (other := by_email.get(member.email)) is not None:
                self._report.note(*origin, member.email, "one person with another of this address")
                member = _merge_members(other, member)
            by_email[member.email] = member
        return by_email.values()

    def _owned(self, place: _Place, user: str, key: Key, holders: Mapping[str, str]) -> Key:
        """Return the key with its holder. If the person cannot have a key here, the key belongs to
        nobody and gets its share of the person's budget."""
        if not user or user in holders:
            return replace(key, email=holders.get(user, ""))
        organization = "" if place is self._places.get(_NOBODYS) else place.organisation.origin.id
        siblings = sum(1 for theirs, _ in place.keys if theirs == user)
        of_person = together(self._terms.get((user, organization), ()))
        part = divide_terms(of_person._replace(closed=(), models=()), siblings, USERS)
        terms = together((Terms(key.budgets, key.counts), part))
        closed = tuple(dict.fromkeys((*key.closed, *self._reader.without_accepted(part.closed))))
        if siblings > 1 and (part.budgets or any(part.counts)):
            text = f"has 1/{siblings} of the limits of its person, who may have no key here"
            self._report.note(*key.origin, key.name, text)
        return replace(key, budgets=terms.budgets, counts=terms.counts, closed=closed)

    def _whole_hub(self) -> Iterable[str]:
        """Yield the restrictions of LiteLLM that apply to everybody's requests."""
        closing: dict[str, None] = {}
        for table, columns in WHOLE_HUB.items():
            for row in self._reader.database.rows.get(table, ()):
                if "param_name" in row:
                    row = {values.text(row["param_name"]): row.get("param_value")}
                if row.get("input_policy") == "blocked":
                    row = {**row, "input_policy (blocked)": True}
                for column in columns.find(row, {}).closing:
                    closing[f"{table}.{column}"] = None
        return self._reader.without_accepted(closing)

    def _unique_names(
        self, table: str, id: str, *columns: str, length: int | None = None
    ) -> dict[str, str]:
        """Return unique names, by the first `length` characters of the row's id."""
        return distinguish_names(
            {
                values.text(row.get(id))[:length]: next(
                    (name for c in columns if (name := values.text(row.get(c)).strip())),
                    values.text(row.get(id))[:8],
                )
                for row in self._reader.database.rows.get(table, ())
            }
        )

    def _add_price_plan(self, id: str, name: str, models: tuple[str, ...]) -> Origin:
        origin = Origin(_PLANS, id)
        self.plans[id] = PricePlan(origin, name[:_NAME_MAX], PPM, models or (NO_MODEL,))
        self._report.table(_PLANS).read += 1
        return origin

    # Organizations, teams, people -----------------------------------------------------------------

    def _organization(self, row: Row, closed: tuple[str, ...]) -> None:
        id = field(row, "organization_id", values.text)
        name = field(row, "organization_alias", values.text).strip()
        terms, (limits, _) = (
            self._limits.terms_of(ORGANIZATIONS, row),
            self._limits.with_budget(row),
        )
        lasting = limits.get("max_budget") is not None and not limits.get("budget_duration")
        balance = 0
        if lasting:
            balance = nano(
                field(limits, "max_budget", values.fraction) - field(row, "spend", values.fraction)
            )
        listed = _read_list(row)
        models = self._catalogue.resolved(listed, "") if listed else ()
        plan = Origin(_PLANS, "everybody")
        if listed:
            plan = self._add_price_plan(f"organization {id}", f"{_LABEL}: {name}", models)
        organisation = Organisation(
            Origin(ORGANIZATIONS, id),
            name,
            balance,
            credit_line_nano=0 if lasting else CREDIT_LINE_NANO,
            plan=plan,
            counts=terms.counts,
            budgets=() if lasting else terms.budgets,
            closed=(*closed, *terms.closed),
        )
        self._places[id] = _Place(organisation, models)

    def _place(self, id: str) -> _Place:
        """Return the conversion of an organization. The one for rows without an organization is
        created on first use."""
        if id == _NOBODYS and id not in self._places:
            organisation = Organisation(
                Origin(ORGANIZATIONS, "(none)"), _LABEL, credit_line_nano=CREDIT_LINE_NANO,
                plan=Origin(_PLANS, "everybody"),
            )  # fmt: skip
            self._report.table(ORGANIZATIONS).read += 1
            self._report.note(ORGANIZATIONS, "(none)", _LABEL, "made for what belongs to none")
            self._places[id] = _Place(organisation, ())
        if id not in self._places:
            raise Skipped("its organization is not imported")
        return self._places[id]

    def _team(self, row: Row, closed: tuple[str, ...]) -> None:
        id, terms = field(row, "team_id", values.text), self._limits.terms_of(TEAMS, row)
        name, organization = self._team_names[id], field(row, "organization_id", values.text)
        if field(row, "blocked", values.boolean):
            raise Skipped("it is blocked, and its keys with it")
        place = self._place(organization)
        closed += terms.closed + self._closed_by_aliases(id, row)
        members, admins = _members_of(row)
        everybody = _MAKES_KEYS in field(row, "team_member_permissions", values.texts)
        metadata = field(row, "metadata", values.mapping)
        self._teams[id] = _TeamRow(
            organization, name, members, members if everybody else admins,
            str(metadata.get("team_member_budget_id") or ""),
        )  # fmt: skip
        plan = None
        listed, every = _read_list(row), self._catalogue.every(id)
        if listed or every != self._catalogue.every(""):
            models = self._catalogue.resolved(listed, id) if listed else every
            models = _narrow_models(models, [place.models])
            plan = self._add_price_plan(f"team {id}", f"{_LABEL}: {name}", models)
        place.teams[name] = Team(
            name, Origin(TEAMS, id), plan, counts=terms.counts, budgets=terms.budgets, closed=closed
        )

    def _closed_by_aliases(self, team: str, row: Row) -> tuple[str, ...]:
        """Return the restrictions of a team's model aliases. Aliases of the team's own deployments
        do not restrict."""
        named = self._aliases.get(field(row, "model_id", values.text))
        if named is None:
            return ()
        aliases = values.mapping(named.get("model_aliases", named.get("aliases")))
        if all(self._catalogue.internal.get(str(target)) == team for target in aliases.values()):
            return ()
        return self._reader.without_accepted([f"{ALIASES}.aliases"])

    def _add_members_by_users(self) -> None:
        """Add members that only the user's row assigns to a team."""
        for row in self._reader.database.rows[USERS]:
            # An unreadable row is skipped later, when it is converted.
            with suppress(values.ValueUnreadable):
                named = (*values.texts(row.get("teams")), values.text(row.get("team_id")))
                for team in self._teams.keys() & set(named):
                    self._teams[team].members.add(values.text(row.get("user_id")))

    def _read_memberships(self) -> dict[str, dict[str, bool]]:
        """Return each user's organizations with the admin flag, and the terms of people in both."""
        roles: dict[str, dict[str, bool]] = {}

        def in_organization(row: Row, closed: tuple[str, ...]) -> None:
            user, organization = _pair(row, "organization_id")
            admin = field(row, "user_role", values.text) == "org_admin"
            roles.setdefault(user, {})[organization] = admin
            terms = self._limits.terms_of(IN_ORGANIZATIONS, row)
            self._add_terms(user, organization, terms._replace(closed=(*closed, *terms.closed)))
            self._read.add((IN_ORGANIZATIONS, user, organization))

        own: set[tuple[str, str]] = set()

        def in_team(row: Row, closed: tuple[str, ...]) -> None:
            user, id = _pair(row, "team_id")
            team = self._teams.get(id)
            if team is None:
                raise Skipped("its team is not imported")
            own.add((user, id))
            team.members.add(user)
            budget, _ = self._limits.with_budget(row)
            if budget.get("max_budget") is None and team.member_budget:
                row = {**row, "budget_id": team.member_budget}
            terms = self._limits.terms_of(IN_TEAMS, row)
            self._add_team_terms(user, team, terms._replace(closed=(*closed, *terms.closed)))
            self._read.add((IN_TEAMS, user, id))

        self._reader.each(IN_ORGANIZATIONS, in_organization, id="user_id", name="organization_id")
        self._reader.each(IN_TEAMS, in_team, id="user_id", name="team_id")
        for id, team in self._teams.items():
            keys = self._reader.database.rows[KEYS]
            users = {values.text(key.get("user_id")) for key in keys
                     if values.text(key.get("team_id")) == id} - {""}  # fmt: skip
            for user in (team.members | users) if team.member_budget else ():
                if (user, id) not in own:
                    budget = {"budget_id": team.member_budget}
                    self._add_team_terms(user, team, self._limits.terms_of(IN_TEAMS, budget))
        return roles

    def _add_terms(self, user: str, organization: str, terms: Terms) -> None:
        self._terms.setdefault((user, organization), []).append(terms)

    def _add_team_terms(self, user: str, team: _TeamRow, terms: Terms) -> None:
        team.terms[user] = terms
        # Restrictions of a team's member apply only to the member's keys in the team.
        self._add_terms(user, team.organization, terms._replace(closed=(), models=()))

    def _user(self, row: Row, closed: tuple[str, ...]) -> None:
        id, terms = field(row, "user_id", values.text), self._limits.terms_of(USERS, row)
        self._user_closed[id] = closed + terms.closed
        self._user_models[id] = field(row, "models", values.texts)
        places = self._places_of(row, id)
        shared = divide_terms(terms, len(places), USERS) if len(places) > 1 else terms
        if len(places) > 1 and (terms.budgets or any(terms.counts)):
            text = f"its limits are divided among its {len(places)} organisations"
            self._report.note(USERS, id, field(row, "user_email", values.text), text)
        self._user_closed[id] += shared.closed[len(terms.closed) :]
        for organization in places:
            self._add_terms(id, organization, shared._replace(closed=()))
        self._read.add((USERS, id))
        email = field(row, "user_email", values.text).strip().lower()
        if not _EMAIL.fullmatch(email):
            raise Skipped("no email address: the keys belong to nobody")
        for organization in places:
            self._add_member(row, id, email, organization)
        self._report.table(USERS).read += len(places) - 1

    def _add_member(self, row: Row, id: str, email: str, organization: str) -> None:
        place, teams = self._places[organization], self._teams_in(id, organization)
        terms = together(self._terms.get((id, organization), ()))
        names = {team.name for team in teams} | self._teams_of_keys(id, organization)
        role: Role = "admin" if self._roles.get(id, {}).get(organization) else "developer"
        if role == "developer" and not self._may_create_keys(row, id, organization, teams):
            role = "viewer"
            text = "a viewer here: could not make keys in each of its teams there"
            self._report.note(USERS, id, email, text)
        place.people[id] = Member(
            email,
            role,
            Origin(USERS, f"{id} in {organization}" if organization else id),
            None if role == "admin" else tuple(sorted(names)) or (FIRST_TEAM,),
            budgets=terms.budgets,
            counts=terms.counts,
            closed=(*self._user_closed[id], *terms.closed),
        )

    def _may_create_keys(self, row: Row, id: str, organization: str, teams: list[_TeamRow]) -> bool:
        """Return whether the role could create keys wherever the person's role here can."""
        if field(row, "user_role", values.text) in _VIEWERS or self._user_models[id]:
            return False
        if any(id not in team.makers or team.terms.get(id, Terms()).models for team in teams):
            return False
        return bool(teams) or organization == _NOBODYS

    def _teams_in(self, user: str, organization: str) -> list[_TeamRow]:
        teams = self._teams.values()
        return [t for t in teams if user in t.members and t.organization == organization]

    def _places_of(self, row: Row, id: str) -> list[str]:
        """Return the organizations of a user."""
        organizations = dict.fromkeys(self._roles.get(id, {}))
        organizations |= dict.fromkeys(
            t.organization for t in self._teams.values() if id in t.members
        )
        organizations |= dict.fromkeys(self._home_of(key)[0] for key in self._keys_of.get(id, ()))
        if own := field(row, "organization_id", values.text):
            organizations[own] = None
        if _NOBODYS in organizations or not organizations:
            self._place(_NOBODYS)
            organizations[_NOBODYS] = None
        return [organization for organization in organizations if organization in self._places]

    def _teams_of_keys(self, user: str, organization: str) -> set[str]:
        homes = [self._home_of(row) for row in self._keys_of.get(user, ())]
        return {team or FIRST_TEAM for place, team in homes if place == organization}

    def _home_of(self, row: Row) -> tuple[str, str]:
        """Return the organization of a key, and the name of the key's team."""
        team = self._teams.get(values.text(row.get("team_id")))
        if team is not None:
            return team.organization, team.name
        return values.text(row.get("organization_id")), ""

    # Keys -----------------------------------------------------------------------------------------

    def _key(self, row: Row, closed: tuple[str, ...]) -> None:
        token, team = field(row, "token", values.text), field(row, "team_id", values.text)
        user = field(row, "user_id", values.text)
        if not _SHA256.fullmatch(token):
            raise Skipped("its token is not the SHA-256 of a key")
        if team and team not in self._teams:
            raise Skipped("its team is not imported")
        organization, team_name = self._home_of(row)
        place, terms = self._place(organization), self._limits.terms_of(KEYS, row)
        id = token[:_HASH_SHOWN]
        closed += terms.closed + self._closed_by_routes(row) + self._user_closed.get(user, ())
        member = self._teams[team].terms.get(user, Terms()) if team else Terms()
        of_person = together(self._terms.get((user, organization), ()) if user else ())
        closed += member.closed + of_person.closed + self._unread_of(user, organization, team)
        models = self._models_of_key(row, user, team, member)
        if models == (NO_MODEL,):
            closed += self._reader.without_accepted([f"{KEYS}.models (none)"])
        key = Key(
            Origin(KEYS, id),
            self._key_names[id],
            HashedSecret(bytes.fromhex(token), field(row, "key_name", values.text)[-4:]),
            team=team_name,
            models=models,
            expires_at=field(row, "expires", values.instant),
            disabled=field(row, "blocked", values.boolean),
            counts=terms.counts,
            budgets=terms.budgets,
            closed=tuple(dict.fromkeys(closed)),
        )
        place.keys.append((user, key))

    def _unread_of(self, user: str, organization: str, team: str) -> tuple[str, ...]:
        """Return the rows about a key's person that exist but could not be read."""
        wanted = {(USERS, user), (IN_ORGANIZATIONS, user, organization), (IN_TEAMS, user, team)}
        return tuple(f"{row[0]} (not readable)" for row in wanted & self._stored - self._read)

    def _closed_by_routes(self, row: Row) -> tuple[str, ...]:
        closed = []
        if set(field(row, "allowed_routes", values.texts)) - _MODEL_ROUTES:
            closed.append(f"{KEYS}.allowed_routes")
        if field(row, "key_type", values.text) not in _MODEL_KEYS:
            closed.append(f"{KEYS}.key_type")
        return self._reader.without_accepted(closed)

    def _models_of_key(self, row: Row, user: str, team: str, member: Terms) -> tuple[str, ...]:
        """Return the key's own list of models. The plans of its team and organization restrict it
        further."""
        listed = field(row, "models", values.texts)
        if not team and listed == (_OF_THE_TEAM,):
            return (NO_MODEL,)
        own = _read_list(row)
        models = self._catalogue.resolved(own, team) if own else ()
        bounds = [member.models]
        if not team:
            of_user = self._user_models.get(user, ())
            bounds = [of_user if NO_MODEL in of_user or not _EVERY_MODEL & set(of_user) else ()]
        if NO_MODEL in bounds[0]:
            return (NO_MODEL,)
        resolved = [self._catalogue.resolved(bound, team) if bound else () for bound in bounds]
        return _narrow_models(models, resolved)


def _merge_members(one: Member, other: Member) -> Member:
    """Merge two users with one e-mail address into one person, with the stricter terms of both."""
    terms = together(Terms(member.budgets, member.counts) for member in (one, other))
    roles: tuple[Role, ...] = ("viewer", "developer", "admin")
    role = min((one.role, other.role), key=lambda role: roles.index(role))
    teams = None
    if role != "admin":
        teams = tuple(sorted({*(one.teams or ()), *(other.teams or ())}))
    return replace(
        one,
        role=role,
        teams=teams,
        budgets=terms.budgets,
        counts=terms.counts,
        closed=(*one.closed, *other.closed),
    )


def _display_value(value: object) -> str:
    try:
        return values.text(value)
    except values.ValueUnreadable:
        return ""


def _pair(row: Row, column: str) -> tuple[str, str]:
    return field(row, "user_id", values.text), field(row, column, values.text)


def _read_list(row: Row) -> tuple[str, ...]:
    """Return the names, groups or patterns of a row's models; () = every model."""
    named = field(row, "models", values.texts)
    return () if _EVERY_MODEL & set(named) else tuple(dict.fromkeys(named))


def _narrow_models(models: tuple[str, ...], outer: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the models that a list and its bounds allow together; () = every model."""
    for bound in outer:
        if not bound:
            continue
        if models:
            within = [name for name in models if any(matches(one, name) for one in bound)]
            within += [name for name in bound if any(matches(one, name) for one in models)]
            models = tuple(dict.fromkeys(within)) or (NO_MODEL,)
        else:
            models = bound
    return models


def _members_of(row: Row) -> tuple[set[str], set[str]]:
    """Return the ids of a team's users, and of its admins."""
    listed = field(row, "members_with_roles", values.document) or []
    entries = [m for m in (listed if isinstance(listed, list) else []) if isinstance(m, dict)]
    ids = {str(member.get("user_id") or "") for member in entries}
    admins = {str(m.get("user_id") or "") for m in entries if m.get("role") == "admin"}
    admins |= set(field(row, "admins", values.texts))
    return (ids | admins | set(field(row, "members", values.texts))) - {""}, admins - {""}

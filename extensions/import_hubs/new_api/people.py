"""Users and tokens of New API and One API. Each user becomes an organisation, because each has its
own balance."""

import ipaddress
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from accounts.organisations.organisations import FIRST_TEAM, slug_of_name
from billing.currency.money import NANO_PER_USD, format_usd, round_half_even
from extensions.import_hubs import values
from extensions.import_hubs.converted import (
    Budget,
    ClearSecret,
    Counts,
    Key,
    Member,
    Organisation,
    Origin,
    PricePlan,
    Team,
)
from extensions.import_hubs.new_api.options import RateOf
from extensions.import_hubs.reading import Reader, Skipped, distinguish_names, field
from extensions.import_hubs.values import Row

_USERS: Final = "users"
_TOKENS: Final = "tokens"
AUTO: Final = "auto"
"""The first of these groups with a channel serves a token of this group."""
_NOT_OPEN: Final = "tokens.group (not open to its user)"
_ENABLED: Final = 1
_DELETED: Final = 3
_EXPIRED: Final = 3
_ADMINISTRATOR: Final = 10
_NEVER: Final = "-1"
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")


@dataclass(frozen=True)
class Terms:
    """Settings of the other hub for all users: the quota units of a dollar, the plan of each group,
    the groups that tokens may use, rate limits, and what locks every object."""

    label: str
    quota_per_usd: Fraction
    plans: Mapping[str, PricePlan]
    usable: Callable[[str], Collection[str]]
    auto: Collection[str] = ()
    rate_of: RateOf = lambda group: Counts()
    closed: tuple[str, ...] = ()

    def nano(self, quota: int) -> int:
        """Return units of quota in nano USD; exact if the units of a dollar divide 10⁹."""
        exact = self.nano_exactly(quota)
        return round_half_even(exact.numerator, exact.denominator)

    def nano_exactly(self, quota: int) -> Fraction:
        return quota * NANO_PER_USD / self.quota_per_usd

    def is_open(self, user_group: str, group: str) -> bool:
        """Return whether the other hub served a token of that group."""
        usable = self.usable(user_group)
        return set(self.auto) <= set(usable) if group == AUTO else group in usable


def groups_of(reader: Reader) -> set[str]:
    """Return the groups of all users and tokens. A user without a group is in the first one."""
    rows = reader.database.rows
    named = {values.text(row.get("group")).strip() for row in rows.get(_TOKENS, ())} - {""}
    return named | {_group_of(row) for row in rows.get(_USERS, ())}


def _group_of(row: Row) -> str:
    return values.text(row.get("group")).strip() or "default"


def read_users(reader: Reader, terms: Terms) -> list[Organisation]:
    """Return the users as organisations with their tokens, and record the sums of their
    balances."""
    tokens: dict[str, list[Row]] = {}
    for row in reader.database.rows.get(_TOKENS, ()):
        tokens.setdefault(values.text(row.get("user_id")), []).append(row)
    keys = _read_tokens(reader, terms, tokens)
    organisations = reader.each(
        _USERS,
        lambda row, closed: _organisation(reader, terms, row, keys.get(_id(row), []), closed),
        name="username",
    )
    _add_up(reader, terms, organisations)
    _skip_keys_of_nobody(reader, keys, organisations)
    return organisations


def _add_up(reader: Reader, terms: Terms, organisations: list[Organisation]) -> None:
    """Record the sums of the balances of all users, and of those that are not imported."""
    quotas = [_readable_quota(row) for row in reader.database.rows[_USERS]]
    nanos = sum(map(terms.nano, quotas))
    exact = terms.nano_exactly(sum(quotas))
    money = reader.report.money
    money.peer_total = f"{sum(quotas)} quota at {terms.quota_per_usd} per USD"
    money.peer_nano = round_half_even(exact.numerator, exact.denominator)
    money.rounded_nano = money.peer_nano - nanos
    money.left_behind_nano = nanos - sum(each.balance_nano for each in organisations)


def _readable_quota(row: Row) -> int:
    """Return a user's quota, or 0 if it is unreadable: that row is skipped and reported later."""
    try:
        return values.integer(row.get("quota"))
    except values.ValueUnreadable:
        return 0


def _id(row: Row) -> str:
    return values.text(row.get("id"))


def _organisation(
    reader: Reader, terms: Terms, row: Row, keys: list[Key], closed: tuple[str, ...]
) -> Organisation:
    nano = terms.nano(field(row, "quota", values.integer))
    id, status = _id(row), field(row, "status", values.integer)
    if status == _DELETED or not values.is_nothing(row.get("deleted_at")):
        raise Skipped("the account was deleted")
    username = field(row, "username", values.text).strip()
    name = field(row, "display_name", values.text).strip() or username
    email = field(row, "email", values.text).strip()
    members: tuple[Member, ...] = ()
    if _EMAIL.fullmatch(email):
        members = (Member(email.lower(), "owner"),)
    else:
        reader.report.note(_USERS, id, username, "no email address: nobody is in its organisation")
    if field(row, "role", values.integer) >= _ADMINISTRATOR:
        reader.report.note(_USERS, id, username, "an administrator there; not an operator here")
    if quota := field(row, "aff_quota", values.integer):
        text = "money that is left behind: rebates in aff_quota. Credit it at /admin/credits"
        reader.report.note(_USERS, id, username, f"{text} ({format_usd(terms.nano(quota))} USD)")
    group = _group_of(row)
    return Organisation(
        Origin(_USERS, id),
        name,
        nano,
        suspended="" if status == _ENABLED else f"Disabled in {terms.label}.",
        plan=terms.plans[group].origin,
        counts=terms.rate_of(group),
        members=members,
        teams=_teams(reader, terms, group, keys),
        keys=tuple(
            _assign_holder(reader, terms, key, email if members else "", group) for key in keys
        ),
        closed=(*terms.closed, *closed),
    )


def _teams(reader: Reader, terms: Terms, group: str, keys: list[Key]) -> tuple[Team, ...]:
    """Return the teams for tokens in another group than their user. Each team has that group's
    plan."""
    return tuple(
        Team(
            _team_name(name),
            plan=terms.plans[name].origin,
            counts=terms.rate_of(name),
            # If the group is not open, nobody may create a key in the team either.
            closed=reader.without_accepted(() if terms.is_open(group, name) else (_NOT_OPEN,)),
        )
        for name in dict.fromkeys(key.team for key in keys if key.team not in ("", group))
    )


def _team_name(group: str) -> str:
    """Return the team's name for a group. Each organisation has a first team, so a group of that
    name gets another name."""
    return f"{group} (group)" if slug_of_name(group) == FIRST_TEAM else group


def _assign_holder(reader: Reader, terms: Terms, key: Key, email: str, group: str) -> Key:
    closed = key.closed
    if key.team and not terms.is_open(group, key.team):
        closed += reader.without_accepted([_NOT_OPEN])
    team = "" if key.team in ("", group) else _team_name(key.team)
    return replace(key, email=email, team=team, closed=closed)


def _skip_keys_of_nobody(
    reader: Reader, keys: Mapping[str, list[Key]], organisations: list[Organisation]
) -> None:
    imported = {organisation.origin.id for organisation in organisations}
    for user, theirs in keys.items():
        for key in theirs if user not in imported else ():
            reader.report.skip(_TOKENS, key.origin.id, key.name, "its user is not imported")


def _read_tokens(
    reader: Reader, terms: Terms, tokens: Mapping[str, list[Row]]
) -> dict[str, list[Key]]:
    """Return the keys by the ids of their users."""
    names: dict[str, str] = {}
    for theirs in tokens.values():
        names |= distinguish_names(
            {
                _id(row): values.text(row.get("name")).strip() or f"key {_id(row)}"
                for row in theirs
                if values.is_nothing(row.get("deleted_at"))
            }
        )
    keys: dict[str, list[Key]] = {}

    def convert(row: Row, closed: tuple[str, ...]) -> None:
        if not values.is_nothing(row.get("deleted_at")):
            raise Skipped("the token was deleted")
        user = field(row, "user_id", values.text)
        key = _key(reader, terms, row, names[_id(row)], closed)
        keys.setdefault(user, []).append(key)

    reader.each(_TOKENS, convert)
    return keys


def _key(reader: Reader, terms: Terms, row: Row, name: str, closed: tuple[str, ...]) -> Key:
    id, status = _id(row), field(row, "status", values.integer)
    # A fixed-width column is padded. The prefix is not stored, but every client sends it.
    secret = "sk-" + field(row, "key", values.text).rstrip()
    never = field(row, "expired_time", values.text).strip() in (_NEVER, "")
    expires_at = None if never else field(row, "expired_time", values.instant)
    disabled = status != _ENABLED and not (status == _EXPIRED and expires_at is not None)
    networks, unreadable = _networks(row)
    if unreadable:
        closed += reader.without_accepted(["tokens.allow_ips (not readable)"])
    budgets: tuple[Budget, ...] = ()
    if not field(row, "unlimited_quota", values.boolean):
        budgets = (Budget(terms.nano(max(field(row, "remain_quota", values.integer), 0))),)
    return Key(
        Origin(_TOKENS, id),
        name,
        ClearSecret(secret),
        team=field(row, "group", values.text).strip(),
        models=_models(row),
        networks=networks,
        expires_at=expires_at,
        disabled=disabled,
        budgets=budgets,
        closed=closed,
    )


def _models(row: Row) -> tuple[str, ...]:
    """Return the models that the token may use; () = every model. New API stores whether the list
    is used in another column."""
    column = "models"
    if "model_limits" in row:
        if not field(row, "model_limits_enabled", values.boolean):
            return ()
        column = "model_limits"
    listed = field(row, column, values.text).split(",")
    models = tuple(dict.fromkeys(name for name in map(str.strip, listed) if name))
    if column == "model_limits" and not models:
        raise Skipped("it was limited to no model at all")
    return models


def _networks(row: Row) -> tuple[tuple[str, ...], int]:
    """Return the token's allowed networks, and the number of unreadable entries."""
    written = "\n".join(field(row, column, values.text) for column in ("allow_ips", "subnet"))
    networks, unreadable = [], 0
    for part in re.split(r"[\n,]", written.replace(" ", "").replace("\r", "")):
        if not part:
            continue
        try:
            networks.append(str(ipaddress.ip_network(part, strict=False)))
        except ValueError:
            unreadable += 1
    return tuple(dict.fromkeys(networks)), unreadable

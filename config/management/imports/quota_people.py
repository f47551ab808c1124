"""Users and tokens of New API and One API: each user is an organisation of its own here, because
each has a balance of its own there."""

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from billing.rules.money import NANO_PER_USD, round_half_even
from config.management.imports import values
from config.management.imports.converted import (
    Budget,
    ClearSecret,
    Key,
    Member,
    Organisation,
    Origin,
    Plan,
    Team,
)
from config.management.imports.quota_channel_types import Peer
from config.management.imports.reading import Reader, Skipped, field, told_apart
from config.management.imports.values import Row

_USERS: Final = "users"
_TOKENS: Final = "tokens"
_ENABLED: Final = 1
_DELETED: Final = 3
_EXPIRED: Final = 3
_ADMINISTRATOR: Final = 10
_NEVER: Final = "-1"
_EMAIL: Final = re.compile(r"[^@\s]+@[^@\s]+")
_USERS_TAKEN: Final = frozenset(
    {
        *("id", "username", "display_name", "email", "status", "quota", "group", "role"),
        *("deleted_at", "password"),
    }
)
_TOKENS_TAKEN: Final = frozenset(
    {
        *("id", "user_id", "key", "status", "name", "expired_time", "remain_quota"),
        *("unlimited_quota", "model_limits_enabled", "model_limits", "allow_ips", "group"),
        *("deleted_at", "models", "subnet"),
    }
)


@dataclass(frozen=True)
class Terms:
    """What holds for all users: what a dollar is in quota, and the plan of each group."""

    peer: Peer
    label: str
    quota_per_usd: Fraction
    plans: Mapping[str, Plan | None]

    def nano(self, quota: int) -> int:
        """Units of quota as nano-USD; exact wherever a dollar is a divisor of 10⁹ units."""
        exact = self.nano_exactly(quota)
        return round_half_even(exact.numerator, exact.denominator)

    def nano_exactly(self, quota: int) -> Fraction:
        return quota * NANO_PER_USD / self.quota_per_usd

    def plan_of(self, group: str) -> Origin | None:
        plan = self.plans.get(group)
        return plan.origin if plan else None


def groups_of(reader: Reader) -> set[str]:
    """The groups that a user or a token is in."""
    rows = [*reader.database.rows.get(_USERS, ()), *reader.database.rows.get(_TOKENS, ())]
    return {group for row in rows if (group := values.text(row.get("group")).strip())} - {"auto"}


def read_users(reader: Reader, terms: Terms) -> list[Organisation]:
    """The users with their tokens, and the sums of their balances."""
    tokens: dict[str, list[Row]] = {}
    for row in reader.database.rows.get(_TOKENS, ()):
        tokens.setdefault(values.text(row.get("user_id")), []).append(row)
    keys = _read_tokens(reader, terms, tokens)
    organisations = reader.each(
        _USERS,
        lambda row: _organisation(reader, terms, row, keys.get(_id(row), [])),
        name="username",
        taken=_USERS_TAKEN,
    )
    _add_up(reader, terms, organisations)
    _skip_keys_of_nobody(reader, keys, organisations)
    return organisations


def _add_up(reader: Reader, terms: Terms, organisations: list[Organisation]) -> None:
    """The balances of all users there, and of those that are left behind."""
    quotas = [_readable_quota(row) for row in reader.database.rows[_USERS]]
    nanos = sum(map(terms.nano, quotas))
    exact = terms.nano_exactly(sum(quotas))
    money = reader.report.money
    money.peer_total = f"{sum(quotas)} quota at {terms.quota_per_usd} per USD"
    money.peer_nano = round_half_even(exact.numerator, exact.denominator)
    money.rounded_nano = money.peer_nano - nanos
    money.left_behind_nano = nanos - sum(each.balance_nano for each in organisations)


def _readable_quota(row: Row) -> int:
    """0 where it cannot be read: that row is skipped by its name."""
    try:
        return values.integer(row.get("quota"))
    except values.ValueUnreadable:
        return 0


def _id(row: Row) -> str:
    return values.text(row.get("id"))


def _organisation(reader: Reader, terms: Terms, row: Row, keys: list[Key]) -> Organisation:
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
    group = field(row, "group", values.text).strip()
    return Organisation(
        Origin(_USERS, id),
        name,
        nano,
        suspended="" if status == _ENABLED else f"Disabled in {terms.label}.",
        plan=terms.plan_of(group),
        members=members,
        teams=_teams(terms, group, keys),
        keys=tuple(_owned(key, email if members else "", group) for key in keys),
    )


def _teams(terms: Terms, group: str, keys: list[Key]) -> tuple[Team, ...]:
    """A token may be of another group than its user: it gets a team on that group's plan."""
    names = dict.fromkeys(key.team for key in keys if key.team not in ("", group))
    return tuple(Team(name, plan=terms.plan_of(name)) for name in names)


def _owned(key: Key, email: str, group: str) -> Key:
    team = "" if key.team == group else key.team
    return replace(key, email=email, team=team)


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
    """The keys by the ids of their users."""
    names: dict[str, str] = {}
    for theirs in tokens.values():
        names |= told_apart(
            {
                _id(row): values.text(row.get("name")).strip() or f"key {_id(row)}"
                for row in theirs
                if values.is_nothing(row.get("deleted_at"))
            }
        )
    keys: dict[str, list[Key]] = {}

    def convert(row: Row) -> None:
        if not values.is_nothing(row.get("deleted_at")):
            raise Skipped("the token was deleted")
        user = field(row, "user_id", values.text)
        keys.setdefault(user, []).append(_key(reader, terms, row, names[_id(row)]))

    reader.each(_TOKENS, convert, taken=_TOKENS_TAKEN)
    return keys


def _key(reader: Reader, terms: Terms, row: Row, name: str) -> Key:
    id, status = _id(row), field(row, "status", values.integer)
    # A column of fixed width is padded; the prefix is not stored, and every client sends it.
    secret = "sk-" + field(row, "key", values.text).rstrip()
    never = field(row, "expired_time", values.text).strip() in (_NEVER, "")
    expires_at = None if never else field(row, "expired_time", values.instant)
    disabled = status != _ENABLED and not (status == _EXPIRED and expires_at is not None)
    networks, unreadable = _networks(row)
    if unreadable:
        disabled = True
        reader.report.note(
            _TOKENS, id, name, f"imported disabled: {unreadable} of its addresses cannot be read"
        )
    budgets: tuple[Budget, ...] = ()
    if not field(row, "unlimited_quota", values.boolean):
        budgets = (Budget(terms.nano(max(field(row, "remain_quota", values.integer), 0))),)
    return Key(
        Origin(_TOKENS, id),
        name,
        ClearSecret(secret),
        team=_team_of(reader, row, name),
        models=_models(row),
        networks=networks,
        expires_at=expires_at,
        disabled=disabled,
        budgets=budgets,
    )


def _team_of(reader: Reader, row: Row, name: str) -> str:
    group = field(row, "group", values.text).strip()
    if group != "auto":
        return group
    reader.report.note(_TOKENS, _id(row), name, "chose its group by itself; here it is its user's")
    return ""


def _models(row: Row) -> tuple[str, ...]:
    """Names that the token may ask for; New API stores them beside a switch."""
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
    """Where the token may be used from, and how many entries cannot be read."""
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

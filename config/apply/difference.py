"""Compare what a file wants with what an installation has. Pure.

Both sides are items: the identity of an object, and its fields. A wanted item has the fields that
its file states, a present item has all of them.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NamedTuple, cast

from billing.currency.money import format_multiplier, format_usd
from billing.prices.meters import format_rate
from billing.prices.written_conditions import write_conditions
from config.apply.yaml_source import Path
from gateway.channels.fields import EGRESS_SECRETS

Kind = Literal[
    "settings",
    "mail_server",
    "channel",
    "price",
    "plan",
    "model",
    "model_rule",
    "alias",
    "own_key_offer",
    "person",
    "organisation",
    "role",
    "team",
    "project",
    "service_account",
    "member",
    "invitation",
    "single_sign_on",
    "payer_rule",
    "key",
    "budget",
    "log_rule",
    "policy",
    "sign_up",
    "trial_credit",
]
Action = Literal["create", "change", "remove"]

# Fields that are set only when the object is created; later a difference is only reported.
_ONCE: Final = {"organisation": frozenset({"credit"}), "person": frozenset({"name"})}
_WHY_ONCE: Final = {
    "credit": "was already posted, and it is posted only once",
    "name": "is the name that this person has already, and it is theirs to change",
}


class Id(NamedTuple):
    """The identity of an object: its kind, its parent, and its name within the parent."""

    kind: Kind
    name: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join((self.kind, "/".join(filter(None, self.name)))).strip()


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret by its keyed digest. `text` is only set if the file contains the secret, and never
    shown."""

    digest: bytes
    text: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """`keep` in a file: the secret that is stored at this place."""


Value = object


@dataclass(frozen=True, slots=True)
class Item:
    """One object, wanted or present.

    `defaults` are for fields that the file omits, if the item is new or pruned. Pruning leaves a
    `lasting` present item alone.
    """

    id: Id
    fields: Mapping[str, Value]
    defaults: Mapping[str, Value] = field(default_factory=dict)
    path: Path = ()
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """One object to create, change or remove, with the changed fields before and after."""

    action: Action
    id: Id
    before: Mapping[str, Value]
    after: Mapping[str, Value]
    path: Path = ()


@dataclass(frozen=True, slots=True)
class InvalidEntry:
    """A wanted item that is invalid: the field, and why."""

    path: Path
    message: str


@dataclass(frozen=True, slots=True)
class Difference:
    changes: tuple[Change, ...]
    refused: tuple[InvalidEntry, ...]
    notes: tuple[InvalidEntry, ...]

    @property
    def nothing(self) -> bool:
        return not self.changes


# A channel's secrets were entered for these fields.
_ADDRESS: Final = ("provider", "base_url", "proxy_url", "ca_bundle")
_MOVED: Final = (
    "the channel's address changes, which removes its stored secrets: give this one again"
)


def compare(present: Iterable[Item], wanted: Iterable[Item], *, prune: bool) -> Difference:
    """Return the changes that make the installation equal to the file, in the file's order.

    Without `prune`, no present item is removed and no omitted field changes.
    """
    there = {item.id: item for item in present}
    changes: list[Change] = []
    refused: list[InvalidEntry] = []
    notes: list[InvalidEntry] = []
    named = set()
    for item in wanted:
        named.add(item.id)
        now = there.get(item.id)
        fields = {**item.defaults, **item.fields} if now is None or prune else dict(item.fields)
        if item.id.kind == "channel":
            refused += _settle_channel_keys(item, fields, now)
        elif item.id.kind == "key":
            refused += _settle_key(item, fields, now)
        elif item.id.kind in ("single_sign_on", "mail_server"):
            refused += _settle_secret(item, fields, now)
        elif item.id.kind == "policy":
            refused += _settle_policy(item, fields, now)
        if now is None:
            changes.append(Change("create", item.id, {}, fields, item.path))
            continue
        for name in _ONCE.get(item.id.kind, frozenset()) & fields.keys():
            had, wanted_value = now.fields.get(name), fields[name]
            if had is not None:
                del fields[name]
                if wanted_value not in (None, "", had):
                    message = f"{display_value(name, had)} {_WHY_ONCE[name]}"
                    notes.append(InvalidEntry((*item.path, name), message))
        differing = {name: value for name, value in fields.items() if now.fields[name] != value}
        if item.id.kind == "channel" and any(name in differing for name in _ADDRESS):
            # The write deletes the stored secrets, so even equal ones must be written again.
            differing |= {name: fields[name] for name in ("keys", *EGRESS_SECRETS)}
        if differing:
            before = {name: now.fields[name] for name in differing}
            changes.append(Change("change", item.id, before, differing, item.path))
    if prune:
        changes += (
            Change("remove", item.id, item.fields, {})
            for item in there.values()
            if item.id not in named and not item.lasting
        )
    return Difference(tuple(changes), tuple(refused), tuple(notes))


def _settle_channel_keys(
    item: Item, fields: dict[str, Value], now: Item | None
) -> list[InvalidEntry]:
    """Replace `keep` by the stored secrets. A changed address never gets an old secret."""
    moved = now is not None and any(
        fields.get(name, now.fields[name]) != now.fields[name] for name in _ADDRESS
    )
    refused = [
        problem
        for name in EGRESS_SECRETS
        for problem in _settle_egress(name, item, fields, now, moved=moved)
    ]
    stored = _secrets(now.fields["keys"]) if now is not None and not moved else ()
    if "keys" not in fields:
        if moved:
            fields["keys"] = ()
        return refused
    settled: list[Secret] = []
    for position, secret in enumerate(_secrets(fields["keys"])):
        if isinstance(secret, Secret):
            settled.append(secret)
        elif position < len(stored):
            settled.append(_known_secret(stored[position]))
        else:
            why = _MOVED if moved else "there is no stored secret to keep here: give one"
            refused.append(InvalidEntry((*item.path, "keys", position), why))
    fields["keys"] = tuple(settled)
    return refused


def _settle_egress(
    name: str, item: Item, fields: dict[str, Value], now: Item | None, *, moved: bool
) -> list[InvalidEntry]:
    """Replace `keep` as `_settle_channel_keys` does, for a secret of which a channel has only
    one."""
    stored = None if now is None or moved else now.fields[name]
    if not isinstance(fields.get(name), Kept):
        if moved:
            fields.setdefault(name, None)
        return []
    fields[name] = stored
    if stored is not None:
        return []
    why = _MOVED if moved else "there is no stored secret to keep here: give one"
    return [InvalidEntry((*item.path, name), why)]


def _settle_key(item: Item, fields: dict[str, Value], now: Item | None) -> list[InvalidEntry]:
    refused = _settle_secret(item, fields, now)
    if now is not None and fields["team"] != now.fields["team"]:
        why = f"this key belongs to team {now.fields['team']!r}, and a key cannot be moved"
        refused.append(InvalidEntry((*item.path, "name"), why))
    for holder in ("user", "service_account"):
        has = now.fields.get(holder) if now is not None else None
        if now is not None and fields.get(holder, has) != has:
            owner = now.fields["user"] or now.fields["service_account"] or "nobody"
            why = f"this key belongs to {owner}, "
            why += "and a file cannot hand it over: transfer it on the page of the member"
            refused.append(InvalidEntry((*item.path, holder), why))
    return refused


def _settle_secret(item: Item, fields: dict[str, Value], now: Item | None) -> list[InvalidEntry]:
    """Leave a secret with `keep` out of the comparison. An error is returned if no such secret is
    stored."""
    if not isinstance(fields.get("secret"), Kept):
        return []
    if now is not None:
        del fields["secret"]
        return []
    words = str(item.id.kind).replace("_", " ")
    article = "key with this name" if item.id.kind == "key" else words
    why = f"there is no {article} whose secret could be kept: give a secret"
    return [InvalidEntry((*item.path, "secret"), why)]


def _settle_policy(item: Item, fields: dict[str, Value], now: Item | None) -> list[InvalidEntry]:
    """Replace `keep`, and the secrets that a file omits, by the stored ones. A guard with another
    URL never gets an old secret."""
    if "rules" not in fields:
        return []
    stored = cast(Mapping[str, Secret], now.fields["secrets"] if now else {})
    urls = {
        rule["guard"]: rule["settings"].get("url") for rule in _rules(now.fields if now else {})
    }
    written = cast(Mapping[str, Secret | Kept], fields["secrets"])
    settled: dict[str, Secret] = {}
    refused = []
    for n, rule in enumerate(_rules(fields)):
        guard = rule["guard"]
        secret = written.get(guard)
        if isinstance(secret, Secret):
            settled[guard] = secret
        elif guard in stored and urls[guard] == rule["settings"].get("url"):
            settled[guard] = stored[guard]
        elif secret is not None:
            why = "there is no stored secret for this URL to keep: give one"
            refused.append(InvalidEntry((*item.path, "rules", n, "settings", "secret"), why))
    fields["secrets"] = settled
    return refused


def _rules(fields: Mapping[str, Value]) -> Sequence[dict[str, Any]]:
    return cast(Sequence[dict[str, Any]], fields.get("rules", ()))


def _secrets(value: Value) -> tuple[Secret | Kept, ...]:
    return cast(tuple[Secret | Kept, ...], value)


def _known_secret(secret: Secret | Kept) -> Secret:
    return cast(Secret, secret)


# Showing a difference: no secret has a way into these texts ---------------------------------------


def summary(difference: Difference) -> str:
    """Return the difference as text: one line per object, and one per changed field."""
    lines = []
    signs = {"create": "+", "change": "~", "remove": "-"}
    for change in difference.changes:
        lines.append(f"{signs[change.action]} {change.id}")
        if change.action != "remove":
            lines += (f"    {line}" for line in _field_lines(change))
    if not difference.changes:
        lines.append("nothing to change")
    return "\n".join(lines)


def serialize_difference(difference: Difference) -> list[dict[str, object]]:
    """Return the changes as plain data, for --json."""
    return [
        {
            "action": change.action,
            "kind": change.id.kind,
            "name": "/".join(change.id.name),
            "fields": {
                name: {
                    "before": display_value(name, change.before.get(name)),
                    "after": display_value(name, change.after.get(name)),
                }
                for name in sorted({*change.before, *change.after})
            },
        }
        for change in difference.changes
    ]


# Fields are shown in the order of the file, these first.
_SHOWN_FIRST: Final = (
    *("name", "provider", "base_url", "keys", "models", "can", "enabled", "archived"),
    *("priorities", "weights", "priority"),
    *(
        "weight",
        "retries",
        "on_leave",
        "uncapped",
        "names_client",
        "rpm",
        "tpm",
        "parallel",
        "spend_cap_day",
        "spend_cap_month",
        "balance_source",
        "balance_warn_below",
        "balance_rest_below",
        "timeouts.connect",
        "timeouts.first_content",
        "timeouts.idle",
    ),
    *("timeouts.total", "breaker.enabled", "breaker.failures", "breaker.window"),
    *("breaker.open_for", "rates", "valid_to", "multiplier", "currency", "retention_hours", "plan"),
    *("include_cost", "credit", "credit_line", "low_balance", "team", "role", "secret"),
)


def _display_order(field: tuple[str, Value]) -> int:
    return _SHOWN_FIRST.index(field[0]) if field[0] in _SHOWN_FIRST else len(_SHOWN_FIRST)


def _field_lines(change: Change) -> Iterable[str]:
    for name, after in sorted(change.after.items(), key=_display_order):
        before = change.before.get(name)
        if name in ("secret", *EGRESS_SECRETS):
            if after is not None:
                yield f"{name}: {'set' if before is None else 'replaced'}"
            elif before is not None:
                yield f"{name}: removed"
        elif name == "keys":
            yield f"keys: {_keys_change(_secrets(before or ()), _secrets(after))}"
        elif change.action == "create":
            if after not in (None, "", (), {}):
                yield f"{name}: {_display_text(name, after)}"
        else:
            yield f"{name}: {_display_text(name, before)} -> {_display_text(name, after)}"


def _keys_change(before: tuple[Secret | Kept, ...], after: tuple[Secret | Kept, ...]) -> str:
    new = sum(1 for secret in after if secret not in before)
    gone = sum(1 for secret in before if secret not in after)
    parts = [f"{len(after)} stored"]
    parts += [f"{new} new"] if new else []
    parts += [f"{gone} dropped"] if gone else []
    return ", ".join(parts)


def _display_text(name: str, value: Value) -> str:
    plain = display_value(name, value)
    if isinstance(plain, dict):
        inner = ", ".join(
            str(key) if part in ("", None, {}) else f"{key}: {_display_text('', part)}"
            for key, part in plain.items()
        )
        return f"{{{inner}}}"
    if isinstance(plain, list):
        return f"[{', '.join(_display_text('', part) for part in plain)}]"
    if isinstance(plain, bool):
        return str(plain).lower()
    return "none" if plain in (None, "") else str(plain)


_AMOUNTS: Final = (
    "credit",
    "credit_line",
    "low_balance",
    "amount",
    "spend_cap_day",
    "spend_cap_month",
    "balance_warn_below",
    "balance_rest_below",
    "fee_per_request",
    "fee_per_million_tokens",
)


def display_value(name: str, value: Value) -> object:
    """Return a field's value as plain data in the file's form; secrets become dots."""
    if isinstance(value, Secret | Kept):
        return "••••"
    if name in _AMOUNTS and isinstance(value, int):
        return format_usd(value)
    if name == "multiplier" and isinstance(value, int):
        return format_multiplier(value)
    if name == "rates" and isinstance(value, Mapping):
        return rates_as_written(value)
    if isinstance(value, dt.datetime):
        return instant_text(value)
    if isinstance(value, tuple | list):
        return [display_value("", part) for part in value]
    if isinstance(value, Mapping):
        return {key: display_value("", part) for key, part in value.items()}
    return value


def rates_as_written(stored: Mapping[str, Value]) -> dict[str, object]:
    """Return stored rates in the file's form: decimal strings, and tiers only if there are any."""
    written: dict[str, object] = {"meters": _format_rates(stored["meters"])}
    tiers = stored.get("tiers")
    if isinstance(tiers, list) and tiers:
        written["tiers"] = [
            {
                "input_over": tier["input_over"],
                "mode": tier.get("mode", "whole"),
                "meters": _format_rates(tier["meters"]),
            }
            for tier in tiers
        ]
    if stored.get("conditions"):
        written["conditions"] = write_conditions(stored, _format_rates)
    return written


def _format_rates(rates: object) -> dict[str, str]:
    return {name: format_rate(name, rate) for name, rate in cast(Mapping[str, int], rates).items()}


def instant_text(instant: dt.datetime) -> str:
    return instant.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")

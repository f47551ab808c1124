"""Carry out the changes of a difference with the write functions of the rooms."""

import datetime as dt
from collections.abc import Mapping
from typing import Any, cast

from django.db.models import F, Q, QuerySet

from accounts.access.actors import SYSTEM
from accounts.keys import keys
from accounts.mail_server import current_server, mail_server
from accounts.members import members
from accounts.models import Key, KeyKind, Organisation, Role
from accounts.organisations import organisations
from accounts.sign_up import sign_up
from billing.balances import balances
from billing.balances.credit_line import set_credit_line
from billing.limits import budgets, charge_rule_settings
from billing.models import Budget, Plan, PriceVersion
from billing.price_plans import price_plans
from billing.prices import prices
from billing.prices.conditions import PriceKey
from billing.prices.own_key_fee import OwnKeyFee
from billing.trials import trials
from billing.wallets import low_balance
from config.apply.difference import Change, Id, Kind, Secret, Value
from config.apply.item_fields import KEY_FIELDS, LIMITS, OFFER_AMOUNTS, ORGANISATION_STATES
from config.apply.writing_access import (
    ACCESS_WRITES,
    ChangeRefused,
    counts_of,
    find_team,
    held_by,
    holder_of_key,
    place_key,
    write_person,
    write_states,
)
from config.apply.writing_contents import CONTENT_WRITES, transfer_contents
from config.apply.yaml_source import FileInvalid, Source
from gateway.aliases import aliases
from gateway.channels import channels
from gateway.channels.fields import AMOUNT_NAMES, EGRESS_SECRETS, ChannelFields
from gateway.model_entries import entries as model_entries
from gateway.models import Channel, ModelAlias, ModelEntry, ModelRule, OwnKeyOffer
from gateway.own_keys import offers
from gateway.routing import model_rules
from gateway.settings import installation
from lib.refusal import Refused
from usage.limits import budget_simulation
from usage.models import Attempt, UsageRecord

SOURCE = "file"
"""The source of a price version from a file."""

# Objects come before those that refer to them. A change that frees a name or a span of time comes
# before the change that takes it.
_ORDER: dict[Kind, int] = {
    "settings": 0,
    "mail_server": 0,
    "plan": 1,
    "person": 2,
    "organisation": 3,
    "role": 4,
    "team": 5,
    "channel": 6,
    "price": 7,
    "model": 8,
    "model_rule": 8,
    "alias": 9,
    "own_key_offer": 9,
    "project": 10,
    "service_account": 11,
    "member": 12,
    "invitation": 13,
    "single_sign_on": 14,
    "payer_rule": 15,
    "key": 16,
    "budget": 17,
    "log_rule": 17,
    "policy": 17,
    "sign_up": 18,
    "trial_credit": 18,
}
# A plan or a role is removed once nobody has it.
_REMOVED_LAST = 19

# The fields of an organisation that have write functions of their own.
_SETTINGS = ("retention_hours", "include_cost", "credit_line", "low_balance", "charge_rule")


_REFUSALS = (
    ChangeRefused,
    Refused,
    prices.PriceRefused,
    price_plans.PlanRefused,
    members.LastOwner,
)


def write(changes: tuple[Change, ...], source: Source) -> None:
    """Write all changes, inside the caller's transaction.

    Raises FileInvalid with the line of the refused change.
    """
    writer = _Writer()
    for change in sorted(changes, key=_rank):
        try:
            writer.write(change)
        except _REFUSALS as refusal:
            path = (*change.path, getattr(refusal, "field", ""))
            path = path if path in source.lines else change.path
            raise FileInvalid([source.problem(path, str(refusal))]) from refusal
    try:
        aliases.check_aliases()
    except aliases.AliasCycle as cycle:
        # Report the cycle at a path of one of its names, if the file has one.
        paths = (change.path for change in changes if change.id.name[:1] == (cycle.cycle[0],))
        raise FileInvalid([source.problem(next(paths, ()), str(cycle))]) from cycle


def _rank(change: Change) -> tuple[int, int, str]:
    kind = _ORDER[change.id.kind]
    if change.id.kind in ("plan", "role") and change.action == "remove":
        kind = _REMOVED_LAST
    if change.id.kind == "member":
        # A new owner is added before the last owner is removed.
        return (kind, 0 if change.after.get("role") == Role.OWNER else 1, "")
    frees = change.action == "remove" or (change.id.kind == "key" and "secret" in change.before)
    # Price versions are written in order of time: each ends the previous one.
    instant = change.id.name[1] if change.id.kind == "price" else ""
    return (kind, 0 if frees else 1, instant)


class _Writer:
    def __init__(self) -> None:
        self._organisations: dict[str, Organisation] = {}

    def write(self, change: Change) -> None:
        access = {**ACCESS_WRITES, **CONTENT_WRITES}.get(change.id.kind)
        if access is not None:
            access(self._find(change.id.name[0]), change)
            return
        getattr(self, f"_{change.id.kind}")(change)

    def _person(self, change: Change) -> None:
        write_person(change)

    def _settings(self, change: Change) -> None:
        after = cast(dict[str, Any], change.after)
        installation.save_settings(SYSTEM, **after)

    def _mail_server(self, change: Change) -> None:
        if change.action == "remove":
            mail_server.remove_mail_server(SYSTEM)
            return
        fields: dict[str, Any] = {**(current_server.describe_stored() or {}), **change.after}
        secret = cast(Secret | None, fields.pop("secret", None))
        mail_server.save_mail_server(SYSTEM, **fields, password=secret.text if secret else "")

    def _sign_up(self, change: Change) -> None:
        sign_up.save_sign_up(SYSTEM, **cast(dict[str, Any], change.after))

    def _trial_credit(self, change: Change) -> None:
        trials.save_trial_setting(SYSTEM, **cast(dict[str, Any], change.after))

    def _channel(self, change: Change) -> None:
        (name,) = change.id.name
        if change.action == "create":
            channels.create_channel(SYSTEM, name, _channel_fields(change.after, None))
            return
        channel = Channel.objects.get(name=name)
        if change.action == "remove":
            channels.remove_channel(SYSTEM, channel)
        else:
            channels.change_channel(SYSTEM, channel, _channel_fields(change.after, channel))

    def _price(self, change: Change) -> None:
        if change.action == "create":
            _give_way(change.id)
        else:
            version = _version(change.id)
            if change.action == "change" and "rates" not in change.after:
                prices.end_price(SYSTEM, version, cast(Any, change.after["valid_to"]))
                return
            if _is_used(version):
                raise ChangeRefused(
                    "requests were charged at this price, so it cannot change. Add a price with a"
                    " later valid_from instead"
                )
            prices.remove_price(SYSTEM, version)
            if change.action == "remove":
                return
        after = cast(dict[str, Any], {"valid_to": None, **change.after})
        if change.action == "change" and "valid_to" not in change.after:
            after["valid_to"] = version.valid_to
        prices.set_price(
            SYSTEM,
            _key_of(change.id),
            _instant(change.id),
            after["rates"],
            valid_to=after["valid_to"],
            source=SOURCE,
        )

    def _plan(self, change: Change) -> None:
        (name,) = change.id.name
        if change.action == "remove":
            price_plans.remove_plan(SYSTEM, Plan.objects.get(name=name))
            return
        after = cast(dict[str, Any], change.after)
        price_plans.save_plan(
            SYSTEM, name, multiplier_ppm=after.get("multiplier"), models=after.get("models")
        )

    def _model(self, change: Change) -> None:
        (name,) = change.id.name
        if change.action == "remove":
            model_entries.remove_entry(SYSTEM, ModelEntry.objects.get(name=name))
        else:
            model_entries.write_entry(SYSTEM, name, **cast(Any, change.after))

    def _model_rule(self, change: Change) -> None:
        (model,) = change.id.name
        if change.action == "remove":
            model_rules.remove_rule(SYSTEM, ModelRule.objects.get(model=model))
        else:
            model_rules.save_rule(SYSTEM, model, **cast(Any, change.after))

    def _alias(self, change: Change) -> None:
        (name,) = change.id.name
        if change.action == "remove":
            aliases.remove_alias(SYSTEM, ModelAlias.objects.get(name=name))
        else:
            aliases.write_alias(SYSTEM, name, cast(str, change.after["target"]))

    def _own_key_offer(self, change: Change) -> None:
        (name,) = change.id.name
        offer = OwnKeyOffer.objects.filter(channel__name=name).first()
        if change.action == "remove":
            # The offer ends with its channel, if the channel is removed too.
            if offer is not None:
                offers.end_offer(SYSTEM, offer)
            return
        channel = Channel.objects.filter(name=name).first()
        if channel is None:
            raise ChangeRefused(f"there is no channel {name!r}")
        known: dict[str, Any] = {"title": "", "everyone": False, "organisations": ()}
        known |= dict.fromkeys(OFFER_AMOUNTS, 0)
        if offer is not None:
            known |= {
                "title": offer.title,
                "everyone": offer.everyone,
                "organisations": [one.slug for one in offer.organisations.all()],
                "fee_per_request": offer.fee_request_nano,
                "fee_per_million_tokens": offer.fee_million_nano,
            }
        after = {**known, **change.after}
        offers.set_offer(
            SYSTEM,
            channel,
            title=after["title"],
            everyone=after["everyone"],
            organisations=offers.named_organisations(after["organisations"]),
            fee=OwnKeyFee(*(after[amount] for amount in OFFER_AMOUNTS)),
        )

    def _organisation(self, change: Change) -> None:
        (slug,) = change.id.name
        after = cast(dict[str, Any], change.after)
        if change.action == "create":
            self._organisations[slug] = organisations.create_organisation(
                after["name"], owner=None, actor=SYSTEM, slug="" if "(new)" in slug else slug
            )
        elif changed := after.keys() - {
            "credit",
            "plan",
            *_SETTINGS,
            *LIMITS,
            *ORGANISATION_STATES,
        }:
            raise ChangeRefused(
                f"the {', '.join(sorted(changed))} of an organisation cannot change"
            )
        if "retention_hours" in after:
            organisations.set_retention(self._find(slug), after["retention_hours"], actor=SYSTEM)
        if "include_cost" in after:
            organisations.set_include_cost(self._find(slug), after["include_cost"], actor=SYSTEM)
        keys.change_limits(SYSTEM, self._find(slug), **counts_of(change))
        if after.get("plan") or (change.action == "change" and "plan" in after):
            price_plans.assign_plan(SYSTEM, self._find(slug), after["plan"])
        if credit := after.get("credit"):
            balances.add_opening_credit(self._find(slug), credit, actor="apply")
        if "credit_line" in after:
            set_credit_line(self._find(slug), after["credit_line"], actor=SYSTEM)
        if "charge_rule" in after:
            rule = charge_rule_settings.read_rule_fields(after["charge_rule"])
            charge_rule_settings.set_charge_rule(SYSTEM, self._find(slug), rule)
        if "low_balance" in after and (after["low_balance"] is not None or change.before):
            low_balance.set_low_balance(SYSTEM, self._find(slug), after["low_balance"])
        write_states(self._find(slug), after)

    def _key(self, change: Change) -> None:
        slug, name = change.id.name
        organisation = self._find(slug)
        fields = dict(change.after)
        replaced: Key | None = None
        if change.action != "create":
            key = Key.objects.get(
                organisation=organisation, name=name, revoked_at=None, kind=KeyKind.RELAY
            )
            if change.action == "remove":
                keys.revoke_key(SYSTEM, key)
                return
            if "secret" not in fields:
                place_key(keys.change_key(SYSTEM, key, **_key_fields(fields)), fields)
                return
            # Another secret means another key: the old key ends and keeps its usage.
            keys.revoke_key(SYSTEM, key)
            fields = {
                "team": key.team.name,
                **{name: getattr(key, field) for name, field in KEY_FIELDS.items()},
                **held_by(key),
                **fields,
            }
            replaced = key
        team = find_team(organisation, cast(str, fields["team"]))
        secret = cast(Secret, fields["secret"])
        if Key.objects.filter(digest=secret.digest).exclude(revoked_at=None).exists():
            raise ChangeRefused(
                "this secret belongs to a key that was revoked, and cannot be used again: give "
                "another secret"
            )
        user, account = holder_of_key(organisation, fields)
        key = keys.import_key(SYSTEM, team, name, secret.text, user=user, service_account=account)
        # This is a separate step, because the new key may have expired already.
        keys.change_key(SYSTEM, key, **_key_fields(fields))
        place_key(key, fields)
        if replaced is not None:
            budgets.transfer_budgets(SYSTEM, replaced, key)
            transfer_contents(replaced, key)

    def _budget(self, change: Change) -> None:
        slug, scope, name, period = change.id.name
        organisation = self._find(slug)
        subject = _subject(organisation, scope, name)
        there = Budget.objects.filter(
            organisation=organisation, scope=scope, subject=subject, period=period, policy_id=None
        ).first()
        fields = cast(dict[str, Any], {"amount_nano": change.after.get("amount"), **change.after})
        fields.pop("amount", None)
        if "alert_percents" in fields:
            fields["alert_percents"] = list(fields["alert_percents"])
        if (
            there is not None
            and change.action == "change"
            and not {"anchor", "timezone"} & {*fields}
        ):
            budget_simulation.change_budget(SYSTEM, there, **fields)
            return
        if there is not None:
            # A budget with another start of its periods is another budget.
            budgets.remove_budget(SYSTEM, there)
            if change.action == "remove":
                return
            kept = {name: getattr(there, name) for name in ("timezone", "anchor", *budgets.TERMS)}
            amount = fields["amount_nano"]
            amount_nano = there.amount_nano if amount is None else amount
            fields = {**kept, **fields, "amount_nano": amount_nano}
        budget_simulation.create_budget(
            SYSTEM, organisation, scope=scope, subject=subject, period=period, **fields
        )

    def _find(self, slug: str) -> Organisation:
        if slug not in self._organisations:
            self._organisations[slug] = Organisation.objects.get(slug=slug)
        return self._organisations[slug]


def _channel_fields(after: Mapping[str, Value], channel: Channel | None) -> ChannelFields:
    fields: dict[str, Any] = {}
    for name, value in after.items():
        group, _, part = name.partition(".")
        if part:
            fields.setdefault(group, {})[part] = value
        else:
            fields[f"{name}_nano" if name in AMOUNT_NAMES else name] = value
    for name in EGRESS_SECRETS:
        if isinstance(secret := fields.get(name), Secret):
            if secret.text:
                fields[name] = secret.text
            else:
                del fields[name]
        elif name in fields:
            fields[name] = ""
    if "keys" in fields:
        stored = {bytes(key.digest): key for key in channel.keys.all()} if channel else {}
        fields["keys"] = [
            secret.text or stored[secret.digest] for secret in cast(tuple[Secret], fields["keys"])
        ]
    return cast(ChannelFields, fields)


def _key_fields(fields: Mapping[str, Value]) -> dict[str, Any]:
    return {
        field: list(value) if isinstance(value := fields[name], tuple) else value
        for name, field in KEY_FIELDS.items()
        if name in fields
    }


def _subject(organisation: Organisation, scope: str, name: str) -> str:
    """Return the stored subject of a budget. Revoked keys are included, so that their budgets can
    be removed."""
    subject: object = name
    if scope == "team":
        subject = find_team(organisation, name).id
    elif scope == "key":
        relay = Key.objects.filter(organisation=organisation, name=name, kind=KeyKind.RELAY)
        living_first = relay.order_by(F("revoked_at").desc(nulls_first=True))
        subject = living_first.values_list("id", flat=True)[0]
    elif scope == "user":
        member = organisation.memberships.filter(user__email__iexact=name).first()
        if member is None:
            raise ChangeRefused(f"{name} is not a member of this organisation")
        subject = member.user_id
    return str(subject)


def _instant(id: Id) -> dt.datetime:
    return dt.datetime.fromisoformat(id.name[1])


def _key_of(id: Id) -> PriceKey:
    return PriceKey(id.name[0], *id.name[2:])


def _versions(id: Id) -> QuerySet[PriceVersion]:
    key = {f"price__{name}": value for name, value in _key_of(id)._asdict().items()}
    return PriceVersion.objects.select_related("price").filter(**key)


def _version(id: Id) -> PriceVersion:
    return _versions(id).get(valid_from=_instant(id))


def _give_way(id: Id) -> None:
    """Remove the shipped catalogue's versions from the same instant on: a custom price takes
    precedence."""
    later = _versions(id).filter(source__startswith=prices.CATALOGUE, valid_from__gte=_instant(id))
    for version in later:
        if _is_used(version):
            raise ChangeRefused(
                f"requests were charged at the catalogue's price from {version.valid_from:%Y-%m-%d}"
                ": expected a later valid_from"
            )
        prices.remove_price(SYSTEM, version)


def _is_used(version: PriceVersion) -> bool:
    named = Q(price_version_id=version.id) | Q(cost_version_id=version.id)
    return any(
        rows.filter(named, admitted_at__gte=version.created_at).exists()
        for rows in (Attempt.objects.all(), UsageRecord.objects.all())
    )

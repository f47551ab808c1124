"""The installation as a file that `apply` takes, every field stated.

Where a secret cannot be read, `keep` stands in its place.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, cast

import yaml

from accounts.rules.content_retention import RETENTION_HOURS
from billing.rules.money import format_multiplier, format_usd
from config.management import shape
from config.management.difference import Item, Value, instant_text, rates_as_written
from config.management.exporting_access import (
    invitation_document,
    member_document,
    project_document,
    single_sign_on_document,
    team_document,
    unless_default,
)
from config.management.item_fields import (
    BUDGET_TERMS,
    ENTRY_FIELDS,
    KEY_LIMITS,
    LIMITS,
    ORGANISATION_STATES,
    RULE_FIELDS,
)
from gateway.channel_fields import CAP_NAMES, EGRESS_SECRETS, EGRESS_TEXTS
from playground.models import PayerRule

Document = dict[str, Any]


def document(present: Iterable[Item]) -> Document:
    """The present items in the file's shape, ready to be written as YAML."""
    whole: Document = {"version": 1, "settings": {}}
    whole |= {"channels": [], "prices": [], "plans": [], "people": [], "organisations": []}
    organisations: dict[str, Document] = {}
    teams: dict[tuple[str, str], Document] = {}
    keys: dict[tuple[str, str], Document] = {}
    for item in present:
        fields = item.fields
        match item.id.kind:
            case "settings":
                whole["settings"] = _document_of(fields, tuple(shape.Settings.model_fields))
            case "channel":
                whole["channels"].append(_channel(item.id.name[0], fields))
            case "price":
                whole["prices"].append(_price(item.id.name, fields))
            case "plan":
                whole["plans"].append(_plan(item.id.name[0], fields))
            case "model":
                model = {"name": item.id.name[0]}
                model |= unless_default(shape.Model, fields, ENTRY_FIELDS)
                whole.setdefault("models", []).append(model)
            case "model_rule":
                rule = {"model": item.id.name[0], **_document_of(fields, RULE_FIELDS)}
                rule |= _charge_rule(fields) | _shadow(fields)
                whole.setdefault("model_rules", []).append(rule)
            case "alias":
                whole.setdefault("aliases", {})[item.id.name[0]] = fields["target"]
            case "person":
                person = {"email": item.id.name[0]}
                person |= unless_default(shape.Person, fields, ("name", "operator", "active"))
                whole["people"].append(person)
            case "organisation":
                slug = item.id.name[0]
                organisations[slug] = _organisation(slug, fields)
                whole["organisations"].append(organisations[slug])
            case "team":
                team = team_document(item.id.name[1], fields) | _limits(fields) | {"keys": []}
                teams[item.id.name[0], item.id.name[1]] = team
                organisations[item.id.name[0]]["teams"].append(team)
            case "role":
                role = {"name": item.id.name[1], **_document_of(fields, ("permissions",))}
                organisations[item.id.name[0]].setdefault("roles", []).append(role)
            case "project":
                project = project_document(item.id.name[1], fields)
                in_team = teams[item.id.name[0], cast(str, fields["team"])]
                in_team.setdefault("projects", []).append(project)
            case "service_account":
                account = {"name": item.id.name[1], "role": fields["role"]}
                account |= unless_default(shape.ServiceAccount, fields, ("disabled",))
                in_team = teams[item.id.name[0], cast(str, fields["team"])]
                in_team.setdefault("service_accounts", []).append(account)
            case "member":
                member = member_document(item.id.name[1], fields) | _limits(fields)
                organisations[item.id.name[0]]["members"].append(member)
            case "invitation":
                invitation = invitation_document(item.id.name[1], fields)
                organisations[item.id.name[0]].setdefault("invitations", []).append(invitation)
            case "single_sign_on":
                sso = single_sign_on_document(fields)
                organisations[item.id.name[0]]["single_sign_on"] = sso
            case "payer_rule":
                if fields["rule"] != PayerRule.ANY:
                    rules = organisations[item.id.name[0]].setdefault("payer_rules", {})
                    rules[item.id.name[1]] = fields["rule"]
            case "sign_up":
                whole["sign_up"] = _document_of(fields, tuple(shape.SignUp.model_fields))
            case "key":
                key = {"name": item.id.name[1], "secret": shape.KEEP}
                key |= _document_of(fields, ("models", "expires_at", "disabled"))
                key |= _limits(fields) | _key_limits(fields)
                holder = ("user", "service_account", "project")
                key |= unless_default(shape.Key, fields, holder)
                teams[item.id.name[0], cast(str, fields["team"])]["keys"].append(key)
                keys[item.id.name[0], item.id.name[1]] = key
            case "budget":
                slug, scope, subject, period = item.id.name
                budget = _budget(period, fields)
                if scope == "key":
                    keys[slug, subject].setdefault("budgets", []).append(budget)
                elif scope == "team":
                    teams[slug, subject].setdefault("budgets", []).append(budget)
                else:
                    budget = {"scope": scope, **({"subject": subject} if subject else {}), **budget}
                    organisations[slug].setdefault("budgets", []).append(budget)
    return whole


def as_yaml(whole: Document) -> str:
    return yaml.dump(
        whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def _channel(name: str, fields: Mapping[str, Value]) -> Document:
    models = cast(dict[str, str], fields["models"])
    can = cast(dict[str, dict[str, bool]], fields["can"])
    priorities = cast(dict[str, int], fields["priorities"])
    weights = cast(dict[str, int], fields["weights"])
    own_timeouts = cast(dict[str, dict[str, float]], fields["model_timeouts"])
    timeouts = {part: fields[f"timeouts.{part}"] for part in shape.Timeouts.model_fields}
    breaker = {part: fields[f"breaker.{part}"] for part in shape.Breaker.model_fields}
    testing = {
        part: fields[f"testing.{part}"]
        for part, field in shape.Testing.model_fields.items()
        if fields[f"testing.{part}"] != field.default
    }
    return {
        "name": name,
        "provider": fields["provider"],
        "base_url": fields["base_url"],
        **{name: fields[name] for name in EGRESS_TEXTS if fields[name]},
        **{name: shape.KEEP for name in EGRESS_SECRETS if fields[name] is not None},
        "keys": [shape.KEEP] * len(cast(tuple[object], fields["keys"])),
        "models": {
            model: ({"upstream": upstream} if upstream else {})
            | ({"can": can[model]} if model in can else {})
            | ({"priority": priorities[model]} if model in priorities else {})
            | ({"weight": weights[model]} if model in weights else {})
            | ({"timeouts": own_timeouts[model]} if model in own_timeouts else {})
            for model, upstream in models.items()
        },
        **_document_of(fields, ("enabled", "priority", "weight", "retries", "on_leave")),
        **({"archived": True} if fields["archived"] else {}),
        **({"uncapped": True} if fields["uncapped"] else {}),
        **({} if fields["names_client"] else {"names_client": False}),
        **{
            name: fields[name]
            for name in ("conditions", "zero_retention", "region", "check_models_every_h")
            if fields[name]
        },
        **_limits(fields),
        **_caps(fields),
        **({"overrides": fields["overrides"]} if fields["overrides"] else {}),
        "timeouts": timeouts,
        "breaker": breaker,
        **({"testing": testing} if testing else {}),
    }


def _price(name: tuple[str, ...], fields: Mapping[str, Value]) -> Document:
    model, valid_from, *narrowed = name
    price: Document = {"model": model}
    if narrowed:
        words = ("kind", "channel", "service_tier", "hours")
        price |= {word: text for word, text in zip(words, narrowed, strict=True) if text}
    price["valid_from"] = dt.datetime.fromisoformat(valid_from)
    price["valid_to"] = fields["valid_to"]
    return price | rates_as_written(cast(Mapping[str, Value], fields["rates"]))


def _plan(name: str, fields: Mapping[str, Value]) -> Document:
    multiplier = format_multiplier(cast(int, fields["multiplier"]))
    return {"name": name, "multiplier": multiplier, **_document_of(fields, ("models",))}


def _organisation(slug: str, fields: Mapping[str, Value]) -> Document:
    organisation: Document = {"name": fields["name"], "slug": slug, "currency": fields["currency"]}
    if fields["retention_hours"] != RETENTION_HOURS:
        organisation["retention_hours"] = fields["retention_hours"]
    if fields["include_cost"]:
        organisation["include_cost"] = True
    if fields["plan"]:
        organisation["plan"] = fields["plan"]
    if fields["credit"] is not None:
        organisation["credit"] = format_usd(cast(int, fields["credit"]))
    if fields["credit_line"]:
        organisation["credit_line"] = format_usd(cast(int, fields["credit_line"]))
    if fields["low_balance"] is not None:
        organisation["low_balance"] = format_usd(cast(int, fields["low_balance"]))
    organisation |= _charge_rule(fields)
    organisation |= unless_default(shape.Organisation, fields, ORGANISATION_STATES)
    return organisation | _limits(fields) | {"members": [], "teams": []}


def _charge_rule(fields: Mapping[str, Value]) -> Document:
    rule = cast(Mapping[str, Value], fields["charge_rule"])
    written = {name: rule[name] for name in shape.ChargeRule.model_fields if name in rule}
    return {"charge_rule": written} if written else {}


def _shadow(fields: Mapping[str, Value]) -> Document:
    shadow = cast(Mapping[str, Value], fields["shadow"])
    written = {name: shadow[name] for name in shape.Shadow.model_fields if name in shadow}
    return {"shadow": written} if written else {}


def _caps(fields: Mapping[str, Value]) -> Document:
    caps = {name: cast(int | None, fields[name]) for name in CAP_NAMES}
    return {name: format_usd(cap) for name, cap in caps.items() if cap is not None}


def _limits(fields: Mapping[str, Value]) -> Document:
    """Only those that are there: most have none."""
    return {name: fields[name] for name in LIMITS if fields[name] is not None}


def _key_limits(fields: Mapping[str, Value]) -> Document:
    limits = {
        name: value
        for name, value in _document_of(fields, KEY_LIMITS).items()
        if value != [] and not (name == "zero_retention" and not value)
    }
    if limits["log_content"]:
        del limits["log_content"]
    return limits


def _budget(period: str, fields: Mapping[str, Value]) -> Document:
    return {
        "amount": format_usd(cast(int, fields["amount"])),
        "period": period,
        **_document_of(fields, ("anchor", *BUDGET_TERMS)),
    }


def _document_of(fields: Mapping[str, Value], names: Iterable[str]) -> Document:
    return {
        name: list(value) if isinstance(value := fields[name], tuple) else value for name in names
    }


class _Dumper(yaml.SafeDumper):
    """Times as people write them, in UTC."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_instant(dumper: yaml.SafeDumper, instant: dt.datetime) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", instant_text(instant))


_Dumper.add_representer(dt.datetime, _represent_instant)

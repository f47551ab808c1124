"""Export the installation as a file for `apply`, with every field. Of people and their access,
fields with default values are omitted.

Secrets are written as `keep`, because they cannot be read.
"""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

import yaml
from django.utils.text import slugify
from pydantic import BaseModel

from billing.currency.money import format_multiplier, format_usd
from config.apply import file_format
from config.apply.difference import Item, Value, instant_text, rates_as_written
from config.apply.item_fields import (
    BUDGET_TERMS,
    CACHING,
    ENTRY_FIELDS,
    KEY_LIMITS,
    LIMITS,
    LOG_RULE_FIELDS,
    MAIL_SERVER_FIELDS,
    OFFER_AMOUNTS,
    ORGANISATION_STATES,
    POLICY_LIMITS,
    RULE_FIELDS,
    SINGLE_SIGN_ON_FIELDS,
    defaults_of,
    tuples,
)
from gateway.channels.fields import AMOUNT_NAMES, EGRESS_SECRETS, EGRESS_TEXTS, SETTINGS
from gateway.channels.passthrough.rules import AMOUNTS
from gateway.channels.schemas import BreakerIn, TestingIn, TimeoutsIn
from playground.models import PayerRule

Document = dict[str, Any]

# The fields of a channel that every export states, and those at its beginning.
_ALWAYS_STATED = ("enabled", "priority", "weight", "retries", "on_leave")
_ADDRESS = ("provider", "base_url", *EGRESS_TEXTS)
_AMOUNTS = ("credit", "credit_line", "low_balance")


def document(present: Iterable[Item]) -> Document:
    """Return the present items as the data of a YAML file."""
    whole: Document = {"version": 1, "settings": {}}
    whole |= {"channels": [], "prices": [], "plans": [], "people": [], "organisations": []}
    organisations = _Organisations(whole["organisations"])
    for item in present:
        if not _put_of_installation(whole, item):
            organisations.put(item)
    return whole


def _put_of_installation(whole: Document, item: Item) -> bool:
    """Write an item that belongs to no organisation. Return False for any other item."""
    fields, name = item.fields, item.id.name
    match item.id.kind:
        case "settings":
            whole["settings"] = _document_of(fields, tuple(file_format.Settings.model_fields))
        case "mail_server":
            secret = {"secret": file_format.KEEP} if fields["secret"] is not None else {}
            whole["mail_server"] = _document_of(fields, MAIL_SERVER_FIELDS) | secret
        case "channel":
            whole["channels"].append(_channel(name[0], fields))
        case "price":
            whole["prices"].append(_price(name, fields))
        case "plan":
            whole["plans"].append(_plan(name[0], fields))
        case "model":
            model = {"name": name[0], **unless_default(file_format.Model, fields, ENTRY_FIELDS)}
            whole.setdefault("models", []).append(model)
        case "model_rule":
            rule = {"model": name[0], **_document_of(fields, RULE_FIELDS)}
            rule |= _charge_rule(fields) | _shadow(fields)
            whole.setdefault("model_rules", []).append(rule)
        case "alias":
            whole.setdefault("aliases", {})[name[0]] = fields["target"]
        case "own_key_offer":
            plain = unless_default(
                file_format.OwnKeyOffer, fields, ("title", "everyone", "organisations")
            )
            fees = {
                amount: format_usd(cast(int, fields[amount]))
                for amount in OFFER_AMOUNTS
                if fields[amount]
            }
            offer = {"channel": name[0], **plain, **fees}
            whole.setdefault("own_key_offers", []).append(offer)
        case "person":
            person = {"email": name[0]}
            person |= unless_default(file_format.Person, fields, ("name", "operator", "active"))
            whole["people"].append(person)
        case "sign_up":
            whole["sign_up"] = _document_of(fields, tuple(file_format.SignUp.model_fields))
        case "trial_credit":
            whole["trial_credit"] = _document_of(
                fields, tuple(file_format.TrialCredit.model_fields)
            )
        case _:
            return False
    return True


class _Organisations:
    """The places in the file for an organisation's items: the organisation, its teams or its
    keys."""

    def __init__(self, listed: list[Document]) -> None:
        self._listed = listed
        self._organisations: dict[str, Document] = {}
        self._teams: dict[tuple[str, str], Document] = {}
        self._keys: dict[tuple[str, str], Document] = {}

    def put(self, item: Item) -> None:
        fields, (slug, *names) = item.fields, item.id.name
        if item.id.kind == "organisation":
            self._organisations[slug] = _organisation(slug, fields)
            self._listed.append(self._organisations[slug])
            return
        organisation = self._organisations[slug]
        match item.id.kind:
            case "team":
                team = team_document(names[0], fields) | _limits(fields) | {"keys": []}
                self._teams[slug, names[0]] = team
                organisation["teams"].append(team)
            case "role":
                role = {"name": names[0], **_document_of(fields, ("permissions",))}
                organisation.setdefault("roles", []).append(role)
            case "project":
                projects = self._team(slug, fields).setdefault("projects", [])
                projects.append(project_document(names[0], fields))
            case "service_account":
                account = {"name": names[0], "role": fields["role"]}
                account |= unless_default(file_format.ServiceAccount, fields, ("disabled",))
                self._team(slug, fields).setdefault("service_accounts", []).append(account)
            case "member":
                organisation["members"].append(member_document(names[0], fields) | _limits(fields))
            case "invitation":
                invitations = organisation.setdefault("invitations", [])
                invitations.append(invitation_document(names[0], fields))
            case "single_sign_on":
                organisation["single_sign_on"] = single_sign_on_document(fields)
            case "payer_rule":
                if fields["rule"] != PayerRule.ANY:
                    organisation.setdefault("payer_rules", {})[names[0]] = fields["rule"]
            case "key":
                key = self._keys[slug, names[0]] = _key(names[0], fields)
                self._team(slug, fields)["keys"].append(key)
            case "budget":
                self._put_budget(slug, *names, fields=fields)
            case "log_rule":
                rule = log_rule_document(names, fields)
                organisation.setdefault("content_log", []).append(rule)
            case "policy":
                policy = policy_document(names[0], fields)
                organisation.setdefault("policies", []).append(policy)

    def _team(self, slug: str, fields: Mapping[str, Value]) -> Document:
        return self._teams[slug, cast(str, fields["team"])]

    def _put_budget(
        self, slug: str, scope: str, subject: str, period: str, *, fields: Mapping[str, Value]
    ) -> None:
        budget = _budget(period, fields)
        if scope == "key":
            holder = self._keys[slug, subject]
        elif scope == "team":
            holder = self._teams[slug, subject]
        else:
            holder = self._organisations[slug]
            budget = {"scope": scope, **({"subject": subject} if subject else {}), **budget}
        holder.setdefault("budgets", []).append(budget)


def dump_yaml(whole: Document) -> str:
    return yaml.dump(
        whole, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )


def _channel(name: str, fields: Mapping[str, Value]) -> Document:
    models = cast(dict[str, str], fields["models"])
    can = cast(dict[str, dict[str, bool]], fields["can"])
    priorities = cast(dict[str, int], fields["priorities"])
    weights = cast(dict[str, int], fields["weights"])
    own_timeouts = cast(dict[str, dict[str, float]], fields["model_timeouts"])
    testing = {
        part: value
        for part, value in _part("testing", TestingIn, fields).items()
        if value != TestingIn.model_fields[part].default
    }
    return {
        "name": name,
        "provider": fields["provider"],
        "base_url": fields["base_url"],
        **{name: fields[name] for name in EGRESS_TEXTS if fields[name]},
        **{name: file_format.KEEP for name in EGRESS_SECRETS if fields[name] is not None},
        "keys": [file_format.KEEP] * len(cast(tuple[object], fields["keys"])),
        "models": {
            model: ({"upstream": upstream} if upstream else {})
            | ({"can": can[model]} if model in can else {})
            | ({"priority": priorities[model]} if model in priorities else {})
            | ({"weight": weights[model]} if model in weights else {})
            | ({"timeouts": own_timeouts[model]} if model in own_timeouts else {})
            for model, upstream in models.items()
        },
        **_document_of(fields, _ALWAYS_STATED),
        **unless_default(file_format.Channel, fields, ("archived",)),
        **{
            name: value
            for name, value in unless_default(file_format.Channel, fields, SETTINGS).items()
            if value != {} and name not in (*_ALWAYS_STATED, *_ADDRESS)
        },
        **_amounts(fields, AMOUNT_NAMES),
        **({"overrides": fields["overrides"]} if fields["overrides"] else {}),
        **_pass_through(cast(Sequence[Mapping[str, Any]], fields["pass_through"])),
        "timeouts": _part("timeouts", TimeoutsIn, fields),
        "breaker": _part("breaker", BreakerIn, fields),
        **({"testing": testing} if testing else {}),
    }


def _pass_through(rules: Sequence[Mapping[str, Any]]) -> Document:
    """Return the rules without members that have their default."""
    written = [
        {
            name: value
            for name, value in rule.items()
            if value and (value != "0.00" or name not in AMOUNTS)
        }
        for rule in rules
    ]
    return {"pass_through": written} if written else {}


def _part(name: str, kind: type[BaseModel], fields: Mapping[str, Value]) -> Document:
    return {part: fields[f"{name}.{part}"] for part in kind.model_fields}


def _price(name: tuple[str, ...], fields: Mapping[str, Value]) -> Document:
    model, valid_from, *narrowed = name
    price: Document = {"model": model}
    if narrowed:
        words = ("kind", "channel", "service_tier", "hours", "region")
        price |= {word: text for word, text in zip(words, narrowed, strict=True) if text}
    price["valid_from"] = dt.datetime.fromisoformat(valid_from)
    price["valid_to"] = fields["valid_to"]
    return price | rates_as_written(cast(Mapping[str, Value], fields["rates"]))


def _plan(name: str, fields: Mapping[str, Value]) -> Document:
    multiplier = format_multiplier(cast(int, fields["multiplier"]))
    return {"name": name, "multiplier": multiplier, **_document_of(fields, ("models",))}


def _organisation(slug: str, fields: Mapping[str, Value]) -> Document:
    organisation: Document = {"name": fields["name"], "slug": slug, "currency": fields["currency"]}
    plain = ("retention_hours", "include_cost", "plan")
    organisation |= unless_default(file_format.Organisation, fields, plain)
    # A file omits a credit line of 0.
    organisation |= _amounts({**fields, "credit_line": fields["credit_line"] or None}, _AMOUNTS)
    organisation |= _charge_rule(fields)
    organisation |= unless_default(file_format.Organisation, fields, ORGANISATION_STATES)
    return organisation | _limits(fields) | {"members": [], "teams": []}


def _charge_rule(fields: Mapping[str, Value]) -> Document:
    rule = cast(Mapping[str, Value], fields["charge_rule"])
    written = {name: rule[name] for name in file_format.ChargeRule.model_fields if name in rule}
    return {"charge_rule": written} if written else {}


def _shadow(fields: Mapping[str, Value]) -> Document:
    shadow = cast(Mapping[str, Value], fields["shadow"])
    written = {name: shadow[name] for name in file_format.Shadow.model_fields if name in shadow}
    return {"shadow": written} if written else {}


def _amounts(fields: Mapping[str, Value], names: Iterable[str]) -> Document:
    """Return the amounts that are not None."""
    amounts = {name: cast(int | None, fields[name]) for name in names}
    return {name: format_usd(nano) for name, nano in amounts.items() if nano is not None}


def _limits(fields: Mapping[str, Value]) -> Document:
    """Return the limits that are set. Most objects have none."""
    return {name: fields[name] for name in LIMITS if fields[name] is not None}


def _key(name: str, fields: Mapping[str, Value]) -> Document:
    key = {"name": name, "secret": file_format.KEEP}
    key |= _document_of(fields, ("models", "expires_at", "disabled"))
    names = (*LIMITS, *KEY_LIMITS, "user", "service_account", "project")
    return key | unless_default(file_format.Key, fields, names)


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
    """Writes times as people do, in UTC."""

    def ignore_aliases(self, data: object) -> bool:
        return True


def _represent_instant(dumper: yaml.SafeDumper, instant: dt.datetime) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:timestamp", instant_text(instant))


_Dumper.add_representer(dt.datetime, _represent_instant)


def unless_default(
    kind: type[BaseModel], fields: Mapping[str, Value], names: Iterable[str]
) -> Document:
    """Return the fields that differ from the defaults of a new object."""
    defaults = tuples(defaults_of(kind, names))
    changed = ((name, fields[name]) for name in names if fields[name] != defaults.get(name))
    return {name: _plain_value(value) for name, value in changed if value is not None}


def team_document(name: str, fields: Mapping[str, Value]) -> Document:
    names = ("plan", "required_labels", "archived", *CACHING)
    return {
        "name": name,
        **_slug(name, fields["slug"]),
        **unless_default(file_format.Team, fields, names),
    }


def project_document(slug: str, fields: Mapping[str, Value]) -> Document:
    name = cast(str, fields["name"])
    archived = unless_default(file_format.Project, fields, ("archived",))
    return {"name": name, **_slug(name, slug), **archived}


def member_document(email: str, fields: Mapping[str, Value]) -> Document:
    member = {"email": email, "role": fields["role"]}
    return member | unless_default(file_format.Member, fields, ("teams", "leads", "plan"))


def invitation_document(email: str, fields: Mapping[str, Value]) -> Document:
    names = ("invited_by", "role", "teams", "message")
    return {"email": email, **unless_default(file_format.Invitation, fields, names)}


def log_rule_document(names: Sequence[str], fields: Mapping[str, Value]) -> Document:
    scope, subject = names
    rule = {"scope": scope, **({"subject": subject} if subject else {})}
    return rule | _document_of(fields, LOG_RULE_FIELDS)


def policy_document(name: str, fields: Mapping[str, Value]) -> Document:
    secrets = cast(Mapping[str, Value], fields["secrets"])
    rules = []
    for rule in cast(Sequence[Mapping[str, Any]], fields["rules"]):
        kept = {"secret": file_format.KEEP} if rule["guard"] in secrets else {}
        settings = {**rule["settings"], **kept}
        rules.append({**rule, "settings": settings})
    assigned = [
        {part: value for part, value in target.items() if value}
        for target in cast(Sequence[Mapping[str, str]], fields["assigned"])
    ]
    limits = unless_default(file_format.Policy, fields, POLICY_LIMITS)
    listed = cast(Sequence[Any], fields["budgets"])
    budgets = {"budgets": list(listed)} if listed else {}
    return {"name": name, "assigned": assigned, **limits, **budgets, "rules": rules}


def single_sign_on_document(fields: Mapping[str, Value]) -> Document:
    first = {
        "issuer": fields["issuer"],
        "client_id": fields["client_id"],
        "secret": file_format.KEEP,
    }
    return first | unless_default(file_format.SingleSignOn, fields, SINGLE_SIGN_ON_FIELDS)


def _slug(name: str, slug: Value) -> Document:
    """Return the slug unless it is the one that follows from the name."""
    return {} if slug == slugify(name) else {"slug": slug}


def _plain_value(value: Value) -> Any:
    if isinstance(value, tuple):
        return [_plain_value(part) for part in value]
    if isinstance(value, dict):
        return {name: _plain_value(part) for name, part in value.items()}
    return value

"""Turn a loaded file into items to compare, with secrets as digests and prices as stored rates."""

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec
from django.utils.text import slugify

from billing.currency.money import format_usd, parse_multiplier, parse_usd
from billing.limits.budget_rules import default_anchor
from billing.limits.policy_budgets import PolicyBudget
from billing.prices.conditions import PriceKey
from billing.prices.pricing import PPM
from config.apply import file_format
from config.apply.difference import Id, Item, Kept, Secret, Value
from config.apply.item_fields import (
    BUDGET_TERMS,
    ENTRY_FIELDS,
    KEY_FIELDS,
    LIMITS,
    LOG_RULE_FIELDS,
    MAIL_SERVER_FIELDS,
    MEMBER_FIELDS,
    OFFER_AMOUNTS,
    ORGANISATION_STATES,
    POLICY_LIMITS,
    RULE_FIELDS,
    SINGLE_SIGN_ON_FIELDS,
    TEAM_FIELDS,
    defaults_of,
    policy_budgets,
    set_fields,
    tuples,
)
from config.apply.loading import Loaded, price_key, stored_rates
from config.apply.yaml_source import Path
from gateway.channels.fields import (
    AMOUNT_NAMES,
    EGRESS_SECRETS,
    EGRESS_TEXTS,
    ROUTE_FIELDS,
    SETTINGS,
)
from gateway.channels.overrides.condition_rules import normal
from gateway.channels.overrides.rules import RequestOverrides, stored_overrides
from gateway.channels.passthrough.rules import canonical, read_rules, stored_rules
from gateway.channels.schemas import route_fields

Digest = Callable[[str], bytes]

# The settings of a channel that need conversion: references, and settings with parts.
_READ_APART = frozenset({"provider", "base_url", *EGRESS_TEXTS, "conditions"})


def wanted_items(
    loaded: Loaded,
    *,
    organisations: Mapping[str, str],
    projects: Mapping[tuple[str, str], str],
    key_digest: Digest,
    channel_key_digest: Digest,
) -> list[Item]:
    """Return every item of the file, in the order of writing.

    `organisations` are the present organisations, slug -> name, and `projects` the present
    projects, (slug of the organisation, slug) -> name. The file identifies both by the slug if it
    states one, else by the name.
    """
    flattener = _Flattener(loaded, projects, key_digest, channel_key_digest)
    return list(flattener.items(organisations))


def _charge_rule(part: file_format.ModelRule | file_format.Organisation) -> dict[str, Value]:
    """Return the stated charge rule; null means none."""
    if "charge_rule" not in part.model_fields_set:
        return {}
    return {"charge_rule": {} if part.charge_rule is None else part.charge_rule.stored()}


class _Flattener:
    def __init__(
        self,
        loaded: Loaded,
        projects: Mapping[tuple[str, str], str],
        key_digest: Digest,
        channel_key_digest: Digest,
    ) -> None:
        self._loaded = loaded
        self._file = loaded.installation
        self._projects = projects
        self._key_digest = key_digest
        self._channel_key_digest = channel_key_digest

    def items(self, organisations: Mapping[str, str]) -> Iterator[Item]:
        if "settings" in self._file.model_fields_set:
            yield self._settings(self._file.settings)
        if self._file.mail_server is not None:
            yield self._mail_server(self._file.mail_server)
        for n, channel in enumerate(self._file.channels):
            yield self._channel(channel, ("channels", n))
        for n, price in enumerate(self._file.prices):
            yield self._price(price, ("prices", n))
        for n, plan in enumerate(self._file.plans):
            yield self._plan(plan, ("plans", n))
        for n, model in enumerate(self._file.models):
            fields = tuples(set_fields(model, ENTRY_FIELDS))
            defaults = tuples(defaults_of(file_format.Model, ENTRY_FIELDS))
            yield Item(Id("model", (model.name,)), fields, defaults, ("models", n))
        for n, rule in enumerate(self._file.model_rules):
            fields = tuples(set_fields(rule, RULE_FIELDS)) | _charge_rule(rule)
            if "shadow" in rule.model_fields_set:
                fields["shadow"] = {} if rule.shadow is None else rule.shadow.stored()
            defaults = tuples(defaults_of(file_format.ModelRule, RULE_FIELDS))
            defaults |= {"charge_rule": {}, "shadow": {}}
            yield Item(Id("model_rule", (rule.model,)), fields, defaults, ("model_rules", n))
        for name, target in self._file.aliases.items():
            yield Item(Id("alias", (name,)), {"target": target}, path=("aliases", name))
        for n, offer in enumerate(self._file.own_key_offers):
            fields = tuples(set_fields(offer, ("title", "everyone", "organisations")))
            fields |= {
                name: parse_usd(text) for name, text in set_fields(offer, OFFER_AMOUNTS).items()
            }
            defaults = {"everyone": False, "organisations": (), **dict.fromkeys(OFFER_AMOUNTS, 0)}
            path: Path = ("own_key_offers", n)
            yield Item(Id("own_key_offer", (offer.channel,)), fields, defaults, path)
        yield from wanted_people(self._file.people)
        for n, organisation in enumerate(self._file.organisations):
            slug = _slug_of(organisation, organisations)
            yield from self._organisation(organisation, slug, ("organisations", n))
        if "sign_up" in self._file.model_fields_set:
            yield wanted_sign_up(self._file.sign_up)
        if "trial_credit" in self._file.model_fields_set:
            yield _trial_credit(self._file.trial_credit)

    def _settings(self, settings: file_format.Settings) -> Item:
        names = tuple(file_format.Settings.model_fields)
        return Item(
            Id("settings"),
            tuples(set_fields(settings, names)),
            tuples(defaults_of(file_format.Settings, names)),
            ("settings",),
        )

    def _mail_server(self, server: file_format.MailServer) -> Item:
        fields: dict[str, Value] = set_fields(server, MAIL_SERVER_FIELDS)
        if "secret" in server.model_fields_set:
            fields["secret"] = self._secret_at(server.secret, "mail_server", "secret")
        defaults = defaults_of(file_format.MailServer, MAIL_SERVER_FIELDS)
        return Item(Id("mail_server"), fields, defaults, ("mail_server",))

    def _channel(self, channel: file_format.Channel, path: Path) -> Item:
        plain = ("archived", *(name for name in SETTINGS if name not in _READ_APART))
        sent = channel.model_fields_set
        fields: dict[str, Value] = {"provider": channel.provider, **set_fields(channel, plain)}
        defaults: dict[str, Value] = {
            **{name: {} for name in ROUTE_FIELDS},
            "keys": (),
            "conditions": {},
            **dict.fromkeys(EGRESS_TEXTS, ""),
            **dict.fromkeys((*EGRESS_SECRETS, *AMOUNT_NAMES)),
            "overrides": {},
            "pass_through": (),
            **defaults_of(file_format.Channel, plain),
        }
        if "conditions" in sent:
            fields["conditions"] = normal(channel.conditions.model_dump())
        for name in filter(sent.__contains__, AMOUNT_NAMES):
            text = getattr(channel, name)
            fields[name] = None if text is None else parse_usd(text)
        address = self._loaded.text(*path, "base_url")
        (fields if "base_url" in sent else defaults)["base_url"] = address
        if "models" in sent:
            fields.update(route_fields(channel.models))
        for name in filter(sent.__contains__, EGRESS_TEXTS):
            fields[name] = self._loaded.text(*path, name)
        for secret in filter(sent.__contains__, EGRESS_SECRETS):
            value = getattr(channel, secret)
            kept = value == file_format.KEEP
            fields[secret] = Kept() if kept else value and self._channel_secret(*path, secret)
        if "overrides" in sent:
            value = channel.overrides.model_dump(mode="json")
            fields["overrides"] = stored_overrides(msgspec.convert(value, RequestOverrides))
        if "pass_through" in sent:
            rules = read_rules(rule.model_dump() for rule in channel.pass_through)
            fields["pass_through"] = tuple(stored_rules(map(canonical, rules)))
        if "keys" in sent:
            fields["keys"] = tuple(
                Kept() if key == file_format.KEEP else self._channel_secret(*path, "keys", n)
                for n, key in enumerate(channel.keys)
            )
        for part, values in (
            ("timeouts", channel.timeouts),
            ("breaker", channel.breaker),
            ("testing", channel.testing),
        ):
            for name, field in type(values).model_fields.items():
                defaults[f"{part}.{name}"] = field.default
                if name in values.model_fields_set:
                    fields[f"{part}.{name}"] = getattr(values, name)
        return Item(Id("channel", (channel.name,)), fields, defaults, path)

    def _channel_secret(self, *path: str | int) -> Secret:
        text = self._loaded.text(*path)
        return Secret(self._channel_key_digest(text), text)

    def _price(self, price: file_format.Price, path: Path) -> Item:
        fields: dict[str, Value] = {"rates": stored_rates(price)}
        valid_to = price.valid_to
        if "valid_to" not in price.model_fields_set:
            # A later price of the same model in the file ends this price.
            key = price_key(price)
            starts = (other.valid_from for other in self._file.prices if price_key(other) == key)
            valid_to = min((start for start in starts if start > price.valid_from), default=None)
        if valid_to is not None or "valid_to" in price.model_fields_set:
            fields["valid_to"] = valid_to
        return Item(price_id(price_key(price), price.valid_from), fields, {"valid_to": None}, path)

    def _plan(self, plan: file_format.Plan, path: Path) -> Item:
        fields: dict[str, Value] = {}
        if "multiplier" in plan.model_fields_set:
            fields["multiplier"] = parse_multiplier(plan.multiplier)
        if "models" in plan.model_fields_set:
            fields["models"] = tuple(plan.models)
        defaults: dict[str, Value] = {"multiplier": PPM, "models": ()}
        return Item(Id("plan", (plan.name,)), fields, defaults, path)

    def _organisation(
        self, organisation: file_format.Organisation, slug: str, path: Path
    ) -> Iterator[Item]:
        fields: dict[str, Value] = {"name": organisation.name}
        plain = (
            "currency",
            "plan",
            "retention_hours",
            "include_cost",
            *ORGANISATION_STATES,
            *LIMITS,
        )
        fields |= tuples(set_fields(organisation, plain))
        if organisation.credit is not None:
            fields["credit"] = parse_usd(organisation.credit)
        if "credit_line" in organisation.model_fields_set:
            fields["credit_line"] = parse_usd(organisation.credit_line)
        if "low_balance" in organisation.model_fields_set:
            low = organisation.low_balance
            fields["low_balance"] = None if low is None else parse_usd(low)
        fields |= _charge_rule(organisation)
        defaults = tuples(defaults_of(file_format.Organisation, plain))
        defaults |= {"credit_line": 0, "low_balance": None, "charge_rule": {}}
        yield Item(Id("organisation", (slug,)), fields, defaults, path)
        for n, team in enumerate(organisation.teams):
            fields = tuples(set_fields(team, ("slug", *TEAM_FIELDS)))
            defaults = tuples(defaults_of(file_format.Team, TEAM_FIELDS))
            yield Item(Id("team", (slug, team.name)), fields, defaults, (*path, "teams", n))
        for n, member in enumerate(organisation.members):
            fields = {"role": member.role, **tuples(set_fields(member, MEMBER_FIELDS))}
            if member.operator:
                fields["operator"] = True
            defaults = tuples(defaults_of(file_format.Member, MEMBER_FIELDS))
            id = Id("member", (slug, member.email.lower()))
            yield Item(id, fields, defaults, (*path, "members", n))
        present = {own: name for (of, own), name in self._projects.items() if of == slug}
        secret = self._client_secret(organisation, path)
        yield from wanted_access(organisation, slug, path, present, secret)
        for n, team in enumerate(organisation.teams):
            for k, key in enumerate(team.keys):
                yield self._key(key, slug, team.name, (*path, "teams", n, "keys", k))
        yield from self._budgets(organisation, slug, path)
        yield from self._contents(organisation, slug, path)

    def _client_secret(self, organisation: file_format.Organisation, path: Path) -> Secret | Kept:
        """Return the secret of the organisation's single sign-on."""
        sso = organisation.single_sign_on
        return self._secret_at(
            sso.secret if sso else file_format.KEEP, *path, "single_sign_on", "secret"
        )

    def _secret_at(self, written: str, *path: str | int) -> Secret | Kept:
        if written == file_format.KEEP:
            return Kept()
        text = self._loaded.text(*path)
        return Secret(self._key_digest(text), text)

    def _budgets(
        self, organisation: file_format.Organisation, slug: str, path: Path
    ) -> Iterator[Item]:
        for n, scoped in enumerate(organisation.budgets):
            subject = scoped.subject.lower() if scoped.scope == "user" else scoped.subject
            yield _budget(scoped, (slug, scoped.scope, subject), (*path, "budgets", n))
        for n, team in enumerate(organisation.teams):
            at = (*path, "teams", n)
            for b, budget in enumerate(team.budgets):
                yield _budget(budget, (slug, "team", team.name), (*at, "budgets", b))
            for k, key in enumerate(team.keys):
                for b, budget in enumerate(key.budgets):
                    place = (*at, "keys", k, "budgets", b)
                    yield _budget(budget, (slug, "key", key.name), place)
                if key.budget is not None:
                    yield _budget(key.budget, (slug, "key", key.name), (*at, "keys", k, "budget"))

    def _contents(
        self, organisation: file_format.Organisation, slug: str, path: Path
    ) -> Iterator[Item]:
        for n, rule in enumerate(organisation.content_log):
            fields = tuples(set_fields(rule, LOG_RULE_FIELDS))
            defaults = tuples(defaults_of(file_format.LogRule, LOG_RULE_FIELDS))
            id = Id("log_rule", (slug, rule.scope, rule.subject))
            yield Item(id, fields, defaults, (*path, "content_log", n))
        for n, policy in enumerate(organisation.policies):
            yield self._policy(policy, slug, (*path, "policies", n))

    def _policy(self, policy: file_format.Policy, slug: str, path: Path) -> Item:
        fields = tuples(set_fields(policy, POLICY_LIMITS))
        if "rules" in policy.model_fields_set:
            secrets = {}
            rules = []
            for n, rule in enumerate(policy.rules):
                settings = dict(rule.settings)
                secret = settings.get("secret")
                if isinstance(secret, str):
                    place = (*path, "rules", n, "settings", "secret")
                    secrets[rule.guard] = self._secret_at(secret, *place)
                    del settings["secret"]
                written = rule.model_dump() | {"settings": settings}
                rules.append(written | {"code": rule.code or rule.guard})
            fields |= {"rules": tuple(rules), "secrets": secrets}
        if "assigned" in policy.model_fields_set:
            fields["assigned"] = assigned_targets(
                (one.scope, one.subject) for one in policy.assigned
            )
        if "budgets" in policy.model_fields_set:
            fields["budgets"] = policy_budgets([_policy_budget(one) for one in policy.budgets])
        defaults = tuples(defaults_of(file_format.Policy, POLICY_LIMITS))
        defaults |= {"rules": (), "secrets": {}, "budgets": (), "assigned": ()}
        return Item(Id("policy", (slug, policy.name)), fields, defaults, path)

    def _key(self, key: file_format.Key, slug: str, team: str, path: Path) -> Item:
        names = (*KEY_FIELDS, "project")
        fields: dict[str, Value] = {
            "team": team,
            **tuples(set_fields(key, (*names, "service_account"))),
        }
        if "user" in key.model_fields_set:
            fields["user"] = key.user.lower()
        fields["secret"] = self._secret_at(key.secret, *path, "secret")
        return Item(
            Id("key", (slug, key.name)), fields, tuples(defaults_of(file_format.Key, names)), path
        )


def _policy_budget(budget: file_format.PolicyBudget) -> PolicyBudget:
    return PolicyBudget(
        amount_nano=parse_usd(budget.amount),
        period=budget.period,
        anchor=budget.anchor,
        timezone=budget.timezone,
        action=budget.action,
        alert_percents=tuple(budget.alert_percents),
        alert_forecast=budget.alert_forecast,
    )


def _budget(budget: file_format.Budget, name: tuple[str, str, str], path: Path) -> Item:
    fields: dict[str, Value] = {
        "amount": parse_usd(budget.amount),
        **tuples(set_fields(budget, BUDGET_TERMS)),
    }
    if budget.anchor is not None:
        fields["anchor"] = budget.anchor
    defaults: dict[str, Value] = {
        "anchor": default_anchor(budget.period),
        **tuples(defaults_of(file_format.Budget, BUDGET_TERMS)),
    }
    return Item(Id("budget", (*name, budget.period)), fields, defaults, path)


def assigned_targets(targets: Iterable[tuple[str, str]]) -> tuple[dict[str, str], ...]:
    """Return whose requests a policy applies to, in one order."""
    return tuple({"scope": scope, "subject": subject} for scope, subject in sorted({*targets}))


def price_id(key: PriceKey, valid_from: dt.datetime) -> Id:
    instant = valid_from.astimezone(dt.UTC).isoformat().replace("+00:00", "Z")
    narrowed = key._replace(model="") != PriceKey("")
    return Id("price", (key.model, instant, *(key[1:] if narrowed else ())))


def _slug_of(organisation: file_format.Organisation, present: Mapping[str, str]) -> str:
    if organisation.slug:
        return organisation.slug
    named = sorted(slug for slug, name in present.items() if name == organisation.name)
    if named:
        return named[0]
    slug = slugify(organisation.name)
    # Another organisation has that slug, so this one is new and gets its own slug when it is
    # written.
    return f"{slug} (new)" if slug in present or not slug else slug


def wanted_people(people: Iterable[file_format.Person]) -> Iterator[Item]:
    for n, person in enumerate(people):
        fields = set_fields(person, ("active",))
        if person.name:
            fields["name"] = person.name
        if person.operator:
            fields["operator"] = True
        id = Id("person", (person.email.lower(),))
        yield Item(id, fields, {"active": True}, ("people", n))


def wanted_sign_up(sign_up: file_format.SignUp) -> Item:
    names = tuple(file_format.SignUp.model_fields)
    fields: dict[str, Any] = tuples(set_fields(sign_up, names))
    if "domains" in fields:
        ordered = sorted(sign_up.domains, key=lambda domain: domain.domain.lower())
        fields["domains"] = tuple(
            {**domain.model_dump(), "domain": domain.domain.strip().lower()} for domain in ordered
        )
    return Item(Id("sign_up"), fields, tuples(defaults_of(file_format.SignUp, names)), ("sign_up",))


def _trial_credit(trial: file_format.TrialCredit) -> Item:
    names = tuple(file_format.TrialCredit.model_fields)
    fields = tuples(set_fields(trial, names))
    if "amount" in fields:
        # An amount has many forms, such as 5 and 5.00.
        fields["amount"] = format_usd(parse_usd(trial.amount))
    defaults = tuples(defaults_of(file_format.TrialCredit, names))
    return Item(Id("trial_credit"), fields, defaults, ("trial_credit",))


def wanted_access(
    organisation: file_format.Organisation,
    slug: str,
    path: Path,
    projects: Mapping[str, str],
    client_secret: Secret | Kept,
) -> Iterator[Item]:
    """Yield all items except members and keys. `projects` are the present ones of the organisation,
    slug -> name."""
    for n, role in enumerate(organisation.roles):
        fields = tuples(set_fields(role, ("permissions",)))
        id = Id("role", (slug, role.name))
        yield Item(id, fields, {"permissions": ()}, (*path, "roles", n))
    for n, team in enumerate(organisation.teams):
        at = (*path, "teams", n)
        for k, project in enumerate(team.projects):
            id = Id("project", (slug, _slug_of_project(project, projects)))
            yield _project(project, id, team.name, (*at, "projects", k))
        for k, account in enumerate(team.service_accounts):
            yield _service_account(account, slug, team.name, (*at, "service_accounts", k))
    for n, invitation in enumerate(organisation.invitations):
        yield _invitation(invitation, slug, (*path, "invitations", n))
    for role_name, rule in organisation.payer_rules.items():
        id = Id("payer_rule", (slug, role_name))
        yield Item(id, {"rule": rule}, path=(*path, "payer_rules", role_name))
    if organisation.single_sign_on is not None:
        sso_path = (*path, "single_sign_on")
        yield _single_sign_on(organisation.single_sign_on, slug, client_secret, sso_path)


def _project(project: file_format.Project, id: Id, team: str, path: Path) -> Item:
    fields: dict[str, Value] = {"name": project.name, "team": team}
    fields |= set_fields(project, ("archived",))
    if project.slug:
        fields["slug"] = project.slug
    return Item(id, fields, {"archived": False}, path)


def _slug_of_project(project: file_format.Project, present: Mapping[str, str]) -> str:
    if project.slug:
        return project.slug
    lowered = project.name.lower()
    named = [slug for slug, name in present.items() if name.lower() == lowered]
    # A new project gets its slug when it is written.
    return min(named, key=lambda slug: (present[slug] != project.name, slug), default="") or (
        f"{project.name} (new)"
    )


def _service_account(account: file_format.ServiceAccount, slug: str, team: str, path: Path) -> Item:
    fields: dict[str, Value] = {"team": team, **set_fields(account, ("role", "disabled"))}
    defaults = defaults_of(file_format.ServiceAccount, ("role", "disabled"))
    return Item(Id("service_account", (slug, account.name)), fields, defaults, path)


def _invitation(invitation: file_format.Invitation, slug: str, path: Path) -> Item:
    fields: dict[str, Value] = {
        "role": invitation.role,
        "invited_by": invitation.invited_by.lower(),
        **tuples(set_fields(invitation, ("teams", "message"))),
    }
    id = Id("invitation", (slug, invitation.email.lower()))
    return Item(id, fields, {"teams": None, "message": ""}, path)


def _single_sign_on(
    sso: file_format.SingleSignOn, slug: str, secret: Secret | Kept, path: Path
) -> Item:
    fields: dict[str, Any] = {"secret": secret, **tuples(set_fields(sso, SINGLE_SIGN_ON_FIELDS))}
    if "group_rules" in fields:
        fields["group_rules"] = tuple(map(_rule, sso.group_rules))
    defaults = tuples(defaults_of(file_format.SingleSignOn, SINGLE_SIGN_ON_FIELDS))
    return Item(Id("single_sign_on", (slug,)), fields, defaults, path)


def _rule(rule: file_format.GroupRule) -> dict[str, Value]:
    return {"group": rule.group, "role": rule.role, "teams": tuple(rule.teams)}

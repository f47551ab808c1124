"""Parse the text of an installation file to checked values, or report every problem with its line.

Pure except for the caller's `resolve`, which reads the targets of `env:NAME` and `file:PATH`.
"""

import types
import typing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from accounts.limits.rules import LimitInvalid, check_limits
from accounts.names.labels import LABEL_LENGTH, is_label
from accounts.secrets import key_format
from billing.limits.budget_rules import (
    LABEL_SCOPES,
    BudgetInvalid,
    check_budget,
    check_end_user_budget,
    check_session_budget,
    default_anchor,
)
from billing.prices.conditions import PriceKey
from billing.prices.meters import parse_rate
from billing.prices.pricing import PriceInvalid, PriceVersion
from billing.prices.written_conditions import read_conditions
from config.apply import file_format
from config.apply.yaml_source import FileInvalid, Path, Problem, Source, read_yaml
from gateway.channels.fields import EGRESS_SECRETS
from gateway.providers import UnknownProvider, provider_named
from gateway.providers.provider import BadAddress
from lib.network.outbound import BadPem, BadProxy, read_certificates, read_key, read_proxy

Resolve = Callable[[str], str]
"""Returns the value of a reference (`env:NAME`, `file:PATH`). Raises Unresolved."""

_REFERENCES = ("env:", "file:")


class Unresolved(ValueError):
    """The target of a reference is missing; the message says what is missing."""


@dataclass(frozen=True)
class Loaded:
    """A valid file. `texts` are its resolved references and secrets, by path."""

    source: Source
    installation: file_format.Installation
    texts: dict[Path, str]

    def text(self, *path: str | int) -> str:
        return self.texts[path]


def load(text: str, resolve: Resolve) -> Loaded:
    """Parse and check a file. Raises FileInvalid with as many problems as can be found in one pass.

    Problems of form come first, because the meaning of values is checked only in a well-formed
    file.
    """
    source = read_yaml(text)
    try:
        installation = file_format.Installation.model_validate(source.data, strict=True)
    except ValidationError as error:
        raise FileInvalid([_form_problem(source, details) for details in error.errors()]) from error
    checker = _Checker(source, installation, resolve)
    checker.check()
    if checker.problems:
        raise FileInvalid(checker.problems)
    return Loaded(source, installation, checker.texts)


def price_key(price: file_format.Price) -> PriceKey:
    """Return the key of the price."""
    return PriceKey(**{name: getattr(price, name) for name in PriceKey._fields})


def stored_rates(price: file_format.Price) -> dict[str, object]:
    """Return the rates of a price in the stored form of billing/prices/pricing.py."""
    stored: dict[str, object] = {"meters": _rates(price.meters)}
    if price.tiers:
        stored["tiers"] = [
            {"input_over": tier.input_over, "mode": tier.mode, "meters": _rates(tier.meters)}
            for tier in price.tiers
        ]
    if price.conditions:
        written = [one.model_dump() for one in price.conditions]
        stored["conditions"] = read_conditions(written, _rates)
    return stored


def _rates(meters: dict[str, str]) -> dict[str, int]:
    return {name: parse_rate(name, rate) for name, rate in meters.items()}


class _Checker:
    def __init__(self, source: Source, file: file_format.Installation, resolve: Resolve) -> None:
        self._source = source
        self._file = file
        self._resolve = resolve
        self.texts: dict[Path, str] = {}
        self.problems: list[Problem] = []

    def check(self) -> None:
        self._channels()
        self._prices()
        self._once(
            ((plan.name, ("plans", n, "name")) for n, plan in enumerate(self._file.plans)),
            "a plan named",
        )
        self._once(
            ((model.name, ("models", n, "name")) for n, model in enumerate(self._file.models)),
            "a model named",
        )
        self._once(
            (
                (rule.model, ("model_rules", n, "model"))
                for n, rule in enumerate(self._file.model_rules)
            ),
            "a rule for the model",
        )
        self._once(
            (
                (row.email.lower(), ("people", n, "email"))
                for n, row in enumerate(self._file.people)
            ),
            "a person",
        )
        self._organisations()
        server = self._file.mail_server
        if server is not None and server.secret != file_format.KEEP:
            self._read(("mail_server", "secret"), server.secret)

    def _wrong(self, path: Path, message: str) -> None:
        self.problems.append(self._source.problem(path, message))

    def _once(self, names: Iterator[tuple[str, Path]], what: str) -> None:
        first: dict[str, Path] = {}
        for name, path in names:
            if name in first:
                line = self._source.line(first[name])
                self._wrong(path, f"{what} {name!r} is already defined on line {line}")
            else:
                first[name] = path

    def _read(self, path: Path, text: str) -> str | None:
        """Return the text, or the value of the reference, and store it by its path. Return None if
        the reference cannot be resolved."""
        if text.startswith(_REFERENCES):
            try:
                text = self._resolve(text)
            except Unresolved as error:
                self._wrong(path, str(error))
                return None
        self.texts[path] = text
        return text

    def _channels(self) -> None:
        channels = self._file.channels
        self._once(
            ((channel.name, ("channels", n, "name")) for n, channel in enumerate(channels)),
            "a channel named",
        )
        for n, channel in enumerate(channels):
            at = ("channels", n)
            secrets: list[str | None] = []
            for position, secret in enumerate(channel.keys):
                kept = secret == file_format.KEEP
                read = None if kept else self._read((*at, "keys", position), secret)
                if kept or read is not None:
                    secrets.append(read)
            base_url = self._read((*at, "base_url"), channel.base_url)
            self._egress(at, channel)
            try:
                provider = provider_named(channel.provider)
            except UnknownProvider as error:
                self._wrong((*at, "provider"), str(error))
                continue
            if base_url is None:
                continue
            base_url = base_url.rstrip("/") or provider.base_url
            if not base_url:
                self._wrong(
                    (*at, "base_url"),
                    f"provider {provider.name} has no address of its own: expected a base_url",
                )
                continue
            self.texts[(*at, "base_url")] = base_url
            try:
                provider.address(base_url)
            except BadAddress as error:
                self._wrong((*at, "base_url"), str(error))
            for position, secret_text in enumerate(secrets):
                if secret_text is None:
                    continue
                try:
                    provider.headers(secret_text)
                except BadAddress as error:
                    self._wrong((*at, "keys", position), str(error))

    def _egress(self, at: Path, channel: file_format.Channel) -> None:
        """Check a channel's proxy and certificates. Certificates are stored in canonical form."""
        proxy = self._read((*at, "proxy_url"), channel.proxy_url)
        try:
            if proxy:
                read_proxy(proxy)
                self.texts[(*at, "proxy_url")] = proxy.rstrip("/")
        except BadProxy as error:
            self._wrong((*at, "proxy_url"), str(error))
        for name in ("ca_bundle", "client_cert"):
            text = self._read((*at, name), getattr(channel, name))
            try:
                self.texts[(*at, name)] = read_certificates(text) if text else ""
            except BadPem as error:
                self._wrong((*at, name), str(error))
        for name in EGRESS_SECRETS:
            value = getattr(channel, name)
            if value in (None, file_format.KEEP):
                continue
            text = self._read((*at, name), value)
            try:
                if text and name == "client_key":
                    self.texts[(*at, name)] = read_key(text)
            except BadPem as error:
                self._wrong((*at, name), str(error))

    def _prices(self) -> None:
        prices = self._file.prices
        self._once(
            (
                (f"{price_key(price)} from {price.valid_from.isoformat()}", ("prices", n))
                for n, price in enumerate(prices)
            ),
            "a price for",
        )
        for n, price in enumerate(prices):
            if price.kind == "charge" and price.channel:
                self._wrong(
                    ("prices", n, "channel"),
                    "only costs are set by channel: expected kind: cost, or no channel",
                )
            if price.valid_to is not None and price.valid_to <= price.valid_from:
                self._wrong(("prices", n, "valid_to"), "expected a time after valid_from")
            try:
                PriceVersion.from_stored(stored_rates(price))
            except PriceInvalid as error:
                self._wrong(("prices", n), str(error))
            for m, other in enumerate(prices):
                ends = other.valid_to
                if (
                    price_key(other) == price_key(price)
                    and other.valid_from < price.valid_from
                    and ends is not None
                    and ends > price.valid_from
                ):
                    line = self._source.line(("prices", m))
                    self._wrong(
                        ("prices", n, "valid_from"),
                        f"the price of line {line} for {price.model} is valid until "
                        f"{ends.isoformat()}: two prices never overlap",
                    )

    def _organisations(self) -> None:
        organisations = self._file.organisations
        self._once(
            (
                (organisation.slug or organisation.name, ("organisations", n))
                for n, organisation in enumerate(organisations)
            ),
            "an organisation",
        )
        for n, organisation in enumerate(organisations):
            at = ("organisations", n)
            self._once(
                (
                    (member.email.lower(), (*at, "members", m, "email"))
                    for m, member in enumerate(organisation.members)
                ),
                "a member",
            )
            self._once(
                (
                    (team.name, (*at, "teams", t, "name"))
                    for t, team in enumerate(organisation.teams)
                ),
                "a team named",
            )
            self._access(organisation, at)
            self._contents(organisation, at)
            self._once(
                (
                    (key.name, (*at, "teams", t, "keys", k, "name"))
                    for t, team in enumerate(organisation.teams)
                    for k, key in enumerate(team.keys)
                ),
                "a key of this organisation named",
            )
            self._once(
                (
                    (f"{budget.scope} {budget.subject} per {budget.period}", (*at, "budgets", b))
                    for b, budget in enumerate(organisation.budgets)
                ),
                "a budget for",
            )
            for b, budget in enumerate(organisation.budgets):
                if (budget.scope in ("organisation", "end_user")) != (budget.subject == ""):
                    what = "expected a subject unless the budget is for the organisation"
                    what += " or each end user"
                    self._wrong((*at, "budgets", b), what)
                elif budget.scope in LABEL_SCOPES and not is_label(budget.subject):
                    what = f"expected 1 to {LABEL_LENGTH} visible characters, no space at an end"
                    self._wrong((*at, "budgets", b, "subject"), what)
                self._budget(budget, (*at, "budgets", b))
            for t, team in enumerate(organisation.teams):
                self._limits(team, (*at, "teams", t))
                for k, key in enumerate(team.keys):
                    path = (*at, "teams", t, "keys", k)
                    self._limits(key, path)
                    for field, limit in (
                        ("endpoints", key.endpoints),
                        ("tags", key.tags),
                        ("end_user_header", key.end_user_header),
                        ("end_user_networks", key.end_user_networks),
                    ):
                        try:
                            check_limits({field: limit})
                        except LimitInvalid as error:
                            self._wrong((*path, field), error.message)
        self._key_secrets()

    def _access(self, organisation: file_format.Organisation, at: Path) -> None:
        """Check roles, members and invitations (each is named once), and the single sign-on
        secret."""
        self._once(
            (
                (role.name.lower(), (*at, "roles", n, "name"))
                for n, role in enumerate(organisation.roles)
            ),
            "a role named",
        )
        self._once(
            (
                (invitation.email.lower(), (*at, "invitations", n, "email"))
                for n, invitation in enumerate(organisation.invitations)
            ),
            "an invitation of",
        )
        for words, field in (("a project", "projects"), ("a service account", "service_accounts")):
            self._once(
                (
                    (named.name.lower(), (*at, "teams", t, field, n, "name"))
                    for t, team in enumerate(organisation.teams)
                    for n, named in enumerate(getattr(team, field))
                ),
                f"{words} of this organisation named",
            )
        sso = organisation.single_sign_on
        if sso is not None and sso.secret != file_format.KEEP:
            self._read((*at, "single_sign_on", "secret"), sso.secret)

    def _contents(self, organisation: file_format.Organisation, at: Path) -> None:
        """Check that each rule of the content log and each policy is named once, and read the
        secrets of guards."""
        self._once(
            (
                (f"the {rule.scope} {rule.subject}".strip(), (*at, "content_log", n))
                for n, rule in enumerate(organisation.content_log)
            ),
            "a rule for",
        )
        self._once(
            (
                (policy.name, (*at, "policies", n, "name"))
                for n, policy in enumerate(organisation.policies)
            ),
            "a policy named",
        )
        for n, rule in enumerate(organisation.content_log):
            self._subject(rule, (*at, "content_log", n))
        for n, policy in enumerate(organisation.policies):
            for k, assigned in enumerate(policy.assigned):
                self._subject(assigned, (*at, "policies", n, "assigned", k))
            budgets = [
                (one, (*at, "policies", n, "budgets", b)) for b, one in enumerate(policy.budgets)
            ]
            self._budgets(budgets)
            for k, guard in enumerate(policy.rules):
                secret = guard.settings.get("secret")
                if isinstance(secret, str) and secret != file_format.KEEP:
                    self._read((*at, "policies", n, "rules", k, "settings", "secret"), secret)

    def _subject(self, part: file_format.LogRule | file_format.PolicyAssigned, path: Path) -> None:
        if (part.scope == "organisation") != (part.subject == ""):
            self._wrong(path, "expected a subject unless the scope is organisation")

    def _limits(self, limited: file_format.WithBudgets, path: Path) -> None:
        """Check the budgets of a team or a key: one per period."""
        places = [(budget, (*path, "budgets", b)) for b, budget in enumerate(limited.budgets)]
        if isinstance(limited, file_format.Key) and limited.budget is not None:
            places.append((limited.budget, (*path, "budget")))
        self._budgets(places)

    def _budgets(self, places: Sequence[tuple[file_format.PolicyBudget, Path]]) -> None:
        self._once(((budget.period, place) for budget, place in places), "a budget per")
        for budget, place in places:
            self._budget(budget, place)

    def _budget(self, budget: file_format.PolicyBudget, path: Path) -> None:
        anchor = default_anchor(budget.period) if budget.anchor is None else budget.anchor
        try:
            check_budget(budget.period, anchor, budget.timezone)
            if isinstance(budget, file_format.ScopedBudget) and budget.scope == "end_user":
                check_end_user_budget(budget.period)
            if budget.period == "session":
                # Budgets of a team, a key or a policy have no scope field.
                scope = budget.scope if isinstance(budget, file_format.ScopedBudget) else "key"
                check_session_budget(scope, budget.action)
        except BudgetInvalid as error:
            self._wrong((*path, error.field), error.message)

    def _key_secrets(self) -> None:
        first: dict[str, Path] = {}
        for n, organisation in enumerate(self._file.organisations):
            for t, team in enumerate(organisation.teams):
                for k, key in enumerate(team.keys):
                    path = ("organisations", n, "teams", t, "keys", k, "secret")
                    text = None if key.secret == file_format.KEEP else self._read(path, key.secret)
                    if text is None:
                        continue
                    form = key_format.check(text)
                    if form is key_format.KeyForm.IMPOSSIBLE:
                        self._wrong(
                            path,
                            "expected 20 printable ASCII characters or more, no spaces, and not "
                            f"{key_format.CLIENT_SECRET_PREFIX} in front, as client secrets have",
                        )
                    elif form is key_format.KeyForm.OWN_BROKEN:
                        self._wrong(
                            path,
                            f"a key that begins with {key_format.OWN_PREFIX} carries a checksum, "
                            "and this one's is wrong: it was cut off or mistyped",
                        )
                    elif text in first:
                        line = self._source.line(first[text])
                        self._wrong(path, f"the key of line {line} has the same secret")
                    else:
                        first[text] = path


# pydantic's errors, in words that name what was expected ---------------------------------------

_EXPECTED = {
    "missing": "this field is missing",
    "string_type": "expected a string (put it in quotes)",
    "int_type": "expected a whole number",
    "bool_type": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping of names to values",
    "model_type": "expected a mapping of fields",
    "datetime_type": "expected a time such as 2026-01-01T00:00:00Z",
    "timezone_aware": "expected a time with its zone, such as 2026-01-01T00:00:00Z",
    "string_too_short": "expected a string that is not empty",
}
_FOUND_HIDDEN = frozenset({"missing", "expected"})
_NEVER_SHOWN = frozenset({"secret", "keys", *EGRESS_SECRETS})


def _form_problem(source: Source, details: ErrorDetails) -> Problem:
    path = tuple(step for step in details["loc"] if step not in _UNION_STEPS)
    kind = details["type"]
    if kind == "extra_forbidden":
        known = ", ".join(_fields_at(path[:-1]))
        return source.problem(path, f"unknown field: expected one of {known}")
    message = _EXPECTED.get(kind) or details["msg"]
    if kind == "literal_error":
        message = f"expected {details['ctx']['expected']}"
    elif kind not in _EXPECTED and kind != "expected":
        message = message.replace("Input should be", "expected").replace(
            "String should", "expected to"
        )
    if kind not in _FOUND_HIDDEN and not _NEVER_SHOWN.intersection(path):
        message += f", found {_display_value(details['input'])}"
    return source.problem(path, message)


# pydantic puts the branch of a union into its path; a file has no such step.
_UNION_STEPS = frozenset({"int", "float", "constrained-str", "literal['']"})


def _display_value(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "nothing"
    text = str(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 60 else f"{text[:57]}…"


def _fields_at(path: Path) -> tuple[str, ...]:
    """Return the names of the possible fields at `path`, by following the types of the file
    format."""
    kind: object = file_format.Installation
    for step in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(step)].annotation
        else:
            kind = typing.get_args(kind)[-1]
        kind = _bare(kind)
    return tuple(cast(type[BaseModel], kind).model_fields)


def _bare(kind: object) -> object:
    while typing.get_origin(kind) in (typing.Annotated, typing.Union, types.UnionType):
        kind = typing.get_args(kind)[0]
    return kind

"""Resolve the text of a key to its principal, for every carrier of keys. A key's row is cached by
the key's full digest until the epoch changes. The database checks the key's validity again at
admission.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from accounts.keys.sql import holder_is_active
from accounts.limits.answer_cache import CacheRule
from accounts.limits.data_policy import (
    NO_POLICY,
    RETENTION_HOURS,
    DataPolicy,
    combine_policies,
    policy_of,
)
from accounts.limits.rules import Network, is_address_in
from accounts.secrets import key_format
from accounts.secrets.key_format import AUTH_TOKEN_PREFIX
from billing.limits.budget_rules import Scope
from billing.limits.charge_rule import ChargeRule, read_rule
from billing.prices.multipliers import Multiplier
from billing.prices.name_patterns import matches
from billing.subscriptions.included_units import Allowance
from content.guards.rules import GuardRule
from content.policies.limits import (
    PolicyLimits,
    policy_against_address,
    policy_against_model,
    read_limits,
    retention_max,
)
from content.policies.sql import LIMITS_OF_KEY, RULES_OF_KEY
from content.rules.rules import Rule, in_order, limit_rule
from dialects.errors.errors import RequestFault
from lib.id_types import KeyId, OrganisationId, TeamId, UserId
from relay.credentials import client_secrets
from relay.credentials.client_secrets import ClientSecret, SecretRefused
from relay.credentials.end_users import EndUserRule
from relay.database.database import Row
from relay.requests.labels import NO_LABELS, Attribution, Labels

Statement = tuple[str, Mapping[str, object]]
_Judge = Callable[[Iterable[PolicyLimits], str], str]

# Of each principal: the models and addresses that its policies were asked about.
_JUDGED_MAX = 1_000
_JUDGED_LENGTH_MAX = 200
# Unknown keys are cached too, so that guessing keys does not load the database.
_CACHED_MAX = 20_000
KEY_HEADERS = frozenset({b"authorization", b"x-api-key", b"x-goog-api-key"})
KEY_PROTOCOL = "openai-insecure-api-key."


class ApplicableBudget(NamedTuple):
    """A budget that may apply to a request: its dimension and value, as in
    `billing.limits.budget_rules`.
    """

    id: int
    scope: Scope
    subject: str


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller, and the key's digest (none for the playground).

    `expires_at` is in Unix seconds. `model_patterns`, `endpoints` and `networks` () = all.
    `price_plan_id` is the plan of its person, else of its team, else of its organisation.
    `retention_hours` is how long its answers are stored for later requests: 0 = not at all, as for
    a key that stores no content. An `operator`'s key is told which channel answered. `role` is that
    of its person or service account in the organisation, "" for a key without an owner.
    `include_cost`: answers report their charge unless a request opts out. `postpaid`: its
    organisation has a credit line. `data_policy` is that of its organisation and its key.
    `charge_rule` is its organisation's own rule for abandoned and failed requests.
    `required_labels` are those that its key, team or organisation requires of a request; `project`
    is the default project label of the key's requests. `multipliers` are those of the
    organisation's subscription, none if its person or team has a plan. `keeps_addresses`: its
    organisation records the addresses of its requests. `limited`: the key, its team, its
    organisation or its person has a limit on requests or tokens; `tpm` is the lowest token limit.
    `budgets` are those that may apply to its requests, and `allowances` the included units that
    they may use, at version `guards`. `log_rules` say what the content log keeps of its requests,
    as its policies limit them, in order. `guard_rules` are those of all policies that apply to it,
    `sorted_rules` what guards keep of these, and `policies` what the policies permit beside the
    key's own models and networks. `cache` is the rule by which answers are served again, and
    `end_users` the rule by which they name their end users, each None without one. `payer` is its
    organisation and its key, by the numbers of their ids: a UUID's hash is computed in Python each
    time.
    """

    key_id: KeyId
    organisation_id: OrganisationId
    team_id: TeamId
    user_id: UserId | None
    kind: str
    model_patterns: tuple[str, ...]
    expires_at: float | None
    disabled: bool
    price_plan_id: int | None = None
    retention_hours: int = RETENTION_HOURS
    operator: bool = False
    role: str = ""
    include_cost: bool = False
    postpaid: bool = False
    data_policy: DataPolicy = NO_POLICY
    charge_rule: ChargeRule | None = None
    endpoints: tuple[str, ...] = ()
    networks: tuple[Network, ...] = ()
    tags: tuple[str, ...] = ()
    project: str = ""
    required_labels: tuple[str, ...] = ()
    limited: bool = False
    tpm: int | None = None
    guards: int = 0
    budgets: tuple[ApplicableBudget, ...] = ()
    allowances: tuple[Allowance, ...] = ()
    digest: bytes = b""
    keeps_addresses: bool = False
    multipliers: tuple[Multiplier, ...] = ()
    log_rules: tuple[Rule, ...] = ()
    guard_rules: tuple[GuardRule, ...] = ()
    policies: tuple[PolicyLimits, ...] = ()
    cache: CacheRule | None = None
    end_users: EndUserRule | None = None
    sorted_rules: Any = field(default=None, init=False, repr=False, compare=False)
    payer: tuple[int, int] = field(init=False, repr=False, compare=False)
    _judged: dict[tuple[_Judge, str], str] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "payer", (self.organisation_id.int, self.key_id.int))

    def may_come_from(self, address: str) -> bool:
        """Return whether the key and its policies may be used from this address. An invalid address
        is in no network."""
        if self.policies and self._forbidden_by(policy_against_address, address):
            return False
        return not self.networks or is_address_in(address, self.networks)

    def may_call(self, operation: str) -> bool:
        """Return whether the key may be used for an endpoint, named as in the records."""
        return not self.endpoints or operation in self.endpoints

    def budget_ids_for(self, model: str, labels: Labels, end_user: str = "") -> tuple[int, ...]:
        """Return the budgets of a request for a model with these labels, by this end user, "" if
        the name is not accepted."""
        return tuple(
            budget.id
            for budget in self.budgets
            if self._applies(budget, model, labels)
            and (budget.scope != "end_user" or end_user != "")
        )

    def unconditional_budget_ids(self) -> tuple[int, ...]:
        """Return the budgets of all its requests, independent of model and labels."""
        return tuple(
            budget.id
            for budget in self.budgets
            if budget.scope not in ("model", "end_user") and self._applies(budget, "", NO_LABELS)
        )

    def _applies(self, budget: ApplicableBudget, model: str, labels: Labels) -> bool:
        _, scope, subject = budget
        if scope == "model":
            return matches(subject, model)
        if scope == "user":
            return subject == str(self.user_id)
        if scope == "tag":
            return subject in self.tags or subject in labels.tags
        if scope == "project":
            return subject == (labels.project or self.project)
        return subject == labels.customer if scope == "customer" else True

    def missing_labels(self, labels: Labels) -> list[str]:
        """Return the required labels that neither the request nor the key sets."""
        if not self.required_labels:
            return []
        has = {
            "project": labels.project or self.project,
            "tags": labels.tags or self.tags,
            "customer": labels.customer,
        }
        return [name for name in self.required_labels if not has[name]]

    def attribution(self, labels: Labels, client_app: str) -> Attribution:
        """Return the labels that the request's usage and budgets are recorded under: the request's
        project, else the key's; and the tags of both."""
        if labels is NO_LABELS and not self.tags:
            return Attribution(self.project, None, "", client_app)
        tags = tuple(dict.fromkeys((*self.tags, *labels.tags)))
        return Attribution(
            labels.project or self.project,
            msgspec.json.encode(tags).decode() if tags else None,
            labels.customer,
            client_app,
        )

    def may_use(self, model: str) -> bool:
        """Return whether the key's list of models permits this one, and those of its policies."""
        if self.policies and self._forbidden_by(policy_against_model, model):
            return False
        patterns = self.model_patterns
        return not patterns or any(matches(pattern, model) for pattern in patterns)

    def explain_model(self, model: str) -> str:
        """Return the name of a model that may not be used, with the policy if one forbids it."""
        return _by_policy(model, self._forbidden_by(policy_against_model, model))

    def explain_address(self, address: str) -> str:
        """Return an address that may not be used, with the policy if one forbids it."""
        return _by_policy(address or "unknown", self._forbidden_by(policy_against_address, address))

    def _forbidden_by(self, judge: _Judge, asked: str) -> str:
        """Return the name of a policy that forbids a model or an address, "" if none does. What was
        judged once is remembered, because policies can list hundreds of patterns and networks."""
        name = self._judged.get((judge, asked))
        if name is None:
            name = judge(self.policies, asked)
            if len(asked) <= _JUDGED_LENGTH_MAX:
                if len(self._judged) >= _JUDGED_MAX:
                    self._judged.clear()
                self._judged[judge, asked] = name
        return name


def _by_policy(what: str, policy: str) -> str:
    return f"{what}: the policy {policy} does not permit it" if policy else what


class Credentials(msgspec.Struct, frozen=True):
    """The text of a request's key, or the reason why there is none to look up. `signed`: it is
    signed with keys of AWS instead.
    """

    key: str | None
    conflict: bool
    signed: bool = False


class SignedRequest(RequestFault):
    """The request is signed with keys of AWS, and has no key; the message says what to send."""

    def __init__(self) -> None:
        super().__init__("authentication", None, "")
        self.message += _SIGNED


_SIGNED: Final = (
    ": the request is signed with AWS credentials, which open nothing here. Send the API key of "
    "this hub as a Bedrock API key (AWS_BEARER_TOKEN_BEDROCK), or in the header x-api-key"
)
_SIGNATURE: Final = b"AWS4-HMAC-SHA256 "
NO_CREDENTIALS: Final = Credentials(None, False)


def read_credentials(
    headers: Iterable[tuple[bytes, bytes]],
    query: bytes = b"",
    own_header: bytes = b"",
    subprotocols: Iterable[str] = (),
) -> Credentials:
    """Read the key of a request from `Authorization`, `x-api-key`, `x-goog-api-key`; from
    `own_header`, one that a task service has for it; from `?key=` when a query is given
    (only some endpoints accept it there; ephemeral tokens as `?access_token=`); and from the
    subprotocols of a WebSocket, because pages can set no headers. The same key twice counts as one.
    A signature of AWS is no key.
    """
    keys, broken, signed = set[str](), False, False
    for name in subprotocols:
        if name.startswith(KEY_PROTOCOL):
            keys.add(name.removeprefix(KEY_PROTOCOL))
    names = KEY_HEADERS | {own_header} if own_header else KEY_HEADERS
    for line, value in headers:
        if line not in names:
            continue
        if line == b"authorization" and value.startswith(_SIGNATURE):
            signed = True
        elif line == b"authorization":
            text = _read_bearer(value)
            broken = broken or text is None
            keys.add(text or "")
        else:
            keys.add(value.decode("latin-1").strip())
    if query:
        keys.update(
            text
            for name, text in parse_qsl(query.decode("latin-1"))
            if name == "key" or (name == "access_token" and text.startswith(AUTH_TOKEN_PREFIX))
        )
    keys.discard("")
    if len(keys) > 1:
        return Credentials(None, True)
    return Credentials(None if broken else next(iter(keys), None), False, signed)


def _read_bearer(value: bytes) -> str | None:
    """Return the key of an Authorization header; None for a scheme that is not supported. Google's
    clients send ephemeral tokens in the scheme `Token`.
    """
    text = value.decode("latin-1").strip()
    scheme, _, rest = text.partition(" ")
    if rest:
        key, name = rest.strip(), scheme.lower()
        is_token = name == "token" and key.startswith(AUTH_TOKEN_PREFIX)
        return key if name == "bearer" or is_token else None
    return text if text.lower() != "bearer" else ""


class Authenticator:
    """Finds principals. The database is asked once per key and epoch, also if many requests wait
    for the same key."""

    def __init__(self, pepper: str, query: Callable[[Statement], Awaitable[Sequence[Row]]]) -> None:
        self._pepper = pepper
        self._query = query
        self._cache: dict[bytes, Principal | None] = {}
        self._loading: dict[bytes, asyncio.Task[Principal | None]] = {}

    def clear(self) -> None:
        """Drop all cached principals, because the control plane has changed something."""
        self._cache = {}
        self._loading = {}

    async def principal(self, credentials: Credentials, now: float) -> Principal:
        """Return the principal of a request. Raises RequestFault `key_conflict` or
        `authentication`, `permission` for a key without any models, and DatabaseAway if it cannot
        be determined.
        """
        if credentials.conflict:
            raise RequestFault("key_conflict", None, "")
        if credentials.key is None:
            raise SignedRequest if credentials.signed else RequestFault("authentication", None, "")
        digest = key_format.digest(self._pepper, credentials.key)
        principal = self._cache.get(digest)
        if principal is None and digest not in self._cache:
            form = key_format.check(credentials.key)
            if form in (key_format.KeyForm.OWN_BROKEN, key_format.KeyForm.IMPOSSIBLE):
                raise RequestFault("authentication", None, "")
            digests = key_format.digests_of(self._pepper, credentials.key)
            principal = await self._look_up(digests)
        return _check(principal, now)

    def open_secret(self, text: str, now: float) -> ClientSecret:
        """Return the content of a client secret. Raises SecretRefused for an expired one,
        RequestFault `authentication` for a text that this installation never sealed."""
        secret = client_secrets.open_sealed(self._pepper, text)
        if secret is None:
            raise RequestFault("authentication", None, "")
        if now >= secret.expires_at:
            kind = "client secret" if secret.token is None else "ephemeral token"
            raise SecretRefused(f"the {kind} has expired, create another one")
        return secret

    async def principal_of_secret(self, secret: ClientSecret, now: float) -> Principal:
        """Return the principal of the key that created a client secret, as the key is now. Raises
        like `principal`."""
        principal = self._cache.get(secret.digest)
        if principal is None and secret.digest not in self._cache:
            principal = await self._look_up((secret.digest,))
        return _check(principal, now)

    async def principal_of_key(
        self, key_id: UUID, now: float, user_id: int | None = None
    ) -> Principal:
        """Return the principal of a key by its id, as the person `user_id` uses it; by default, as
        its owner does. Raises RequestFault `authentication` if no such valid key exists,
        DatabaseAway."""
        user = "" if user_id is None else user_id
        rows = await self._query((_BY_ID, {"id": key_id, "digest": None, "user": user}))
        principal = _principal(rows[0]) if rows else None
        if principal is None or not _is_valid(principal, now):
            raise RequestFault("authentication", None, "")
        return principal

    async def _look_up(self, digests: Sequence[bytes]) -> Principal | None:
        task = self._loading.get(digests[0])
        if task is None:
            task = self._loading[digests[0]] = asyncio.create_task(self._load(digests))
        # The look-up is shared: a client that leaves must not cancel it for the others.
        return await asyncio.shield(task)

    async def _load(self, digests: Sequence[bytes]) -> Principal | None:
        """Load the principal of the first digest under which a key is stored, and cache it under
        the first of all digests.
        """
        cache, loading = self._cache, self._loading
        try:
            principal = None
            for digest in digests:
                text = "\\x" + digest.hex()
                rows = await self._query((_BY_DIGEST, {"digest": text, "user": ""}))
                if rows:
                    principal = _principal(rows[0], digest, self._pepper)
                    break
            # After a change in the meantime these dictionaries are no longer in use.
            if len(cache) >= _CACHED_MAX:
                cache.clear()
            cache[digests[0]] = principal
            return principal
        finally:
            loading.pop(digests[0], None)


def _check(principal: Principal | None, now: float) -> Principal:
    """Return the principal if it may use models. Raises RequestFault."""
    if principal is None or not _is_valid(principal, now):
        raise RequestFault("authentication", None, "")
    if principal.kind != "relay":
        raise RequestFault("permission", None, "model endpoints: it is a management key")
    return principal


def _is_valid(principal: Principal, now: float) -> bool:
    return not principal.disabled and (principal.expires_at is None or now < principal.expires_at)


class _PolicyRow(msgspec.Struct):
    zero_retention: bool
    regions: list[str]


class _EndUsersRow(msgspec.Struct):
    header: str
    networks: list[str]
    signed: bool

    def rule(self, pepper: str, digest: bytes) -> EndUserRule:
        secret = key_format.end_user_secret(pepper, digest) if self.signed else ""
        return EndUserRule(self.header.encode(), tuple(map(ip_network, self.networks)), secret)


class _KeyPolicy(msgspec.Struct):
    """The policy of a key, as the statement below returns it."""

    endpoints: list[str]
    networks: list[str]
    tags: list[str]
    limited: bool
    tpm: int | None
    guards: int
    budgets: list[ApplicableBudget]
    operator: bool = False
    role: str | None = None
    include_cost: bool = False
    postpaid: bool = False
    project: str | None = None
    required_labels: list[str] = []
    data: list[_PolicyRow] = []
    allowances: list[Allowance] = []
    charge_rule: dict[str, Any] | None = None
    keeps_addresses: bool = False
    multipliers: list[Multiplier] = []
    log_rules: list[Rule] = []
    guard_rules: list[GuardRule] = []
    policies: list[tuple[str, list[str], list[str], int | None]] = []
    cache: CacheRule | None = None
    end_users: _EndUsersRow | None = None


_key_policy = msgspec.json.Decoder(_KeyPolicy)


def _principal(row: Row, digest: bytes = b"", pepper: str = "") -> Principal:
    key_id, organisation, team, user, kind, patterns, expires, disabled, plan, hours, policy = row
    decoded = _key_policy.decode(policy or "")
    policies = tuple(read_limits(*one) for one in decoded.policies)
    hours_max = retention_max(policies)
    return Principal(
        key_id=KeyId(UUID(key_id)),
        organisation_id=OrganisationId(UUID(organisation)),
        team_id=TeamId(UUID(team)),
        user_id=None if user is None else UserId(int(user)),
        kind=kind or "",
        model_patterns=tuple((patterns or "").split("\n")) if patterns else (),
        expires_at=None if expires is None else float(expires),
        disabled=disabled == "t",
        price_plan_id=None if plan is None else int(plan),
        retention_hours=int(hours or 0),
        operator=decoded.operator,
        role=decoded.role or "",
        include_cost=decoded.include_cost,
        postpaid=decoded.postpaid,
        data_policy=_data_policy(decoded.data),
        charge_rule=read_rule(decoded.charge_rule),
        endpoints=tuple(decoded.endpoints),
        networks=tuple(map(ip_network, decoded.networks)),
        tags=tuple(decoded.tags),
        project=decoded.project or "",
        required_labels=tuple(decoded.required_labels),
        limited=decoded.limited,
        tpm=decoded.tpm,
        guards=decoded.guards,
        budgets=tuple(decoded.budgets),
        allowances=tuple(decoded.allowances),
        digest=digest,
        keeps_addresses=decoded.keeps_addresses,
        multipliers=tuple(decoded.multipliers),
        log_rules=in_order(limit_rule(rule, hours_max) for rule in decoded.log_rules),
        guard_rules=tuple(decoded.guard_rules),
        policies=policies,
        cache=decoded.cache,
        end_users=None if decoded.end_users is None else decoded.end_users.rule(pepper, digest),
    )


def _data_policy(policies: Sequence[_PolicyRow]) -> DataPolicy:
    policy = combine_policies(
        policy_of(zero_retention=one.zero_retention, regions=one.regions) for one in policies
    )
    # One shared object, by which most requests are recognised as having no budgets.
    return NO_POLICY if policy == NO_POLICY else policy


# A rotated secret opens its key until its own expiry, which then is the key's. A key whose person
# is inactive counts as disabled (P11). If a person uses a key without an owner on a page, the
# person's own settings apply as well.
_USER = "coalesce(nullif(%(user)s, '')::bigint, key.user_id)"
_COLUMNS = f"""
    SELECT key.id, key.organisation_id, key.team_id, {_USER}, key.kind,
           array_to_string(key.model_patterns, E'\\n'),
           extract(epoch FROM least(key.expires_at, former.until)),
           key.disabled OR key.revoked_at IS NOT NULL
               OR NOT {holder_is_active("key", "key.user_id")},
           coalesce(
               (SELECT plan_id FROM billing_memberplan plan WHERE plan.membership_id = member.id),
               (SELECT plan_id FROM billing_teamplan plan WHERE plan.team_id = key.team_id),
               (SELECT plan_id FROM billing_organisationplan plan
                WHERE plan.organisation_id = key.organisation_id)),
           CASE WHEN key.log_content THEN owner.retention_hours ELSE 0 END,
           json_build_object(
               'operator', coalesce(
                   (SELECT operator FROM accounts_user u WHERE u.id = key.user_id), false),
               'role', coalesce(
                   member.role,
                   (SELECT account.role FROM accounts_serviceaccount account
                    WHERE account.id = key.service_account_id)),
               'include_cost', owner.include_cost,
               'keeps_addresses', owner.client_address_days > 0,
               'postpaid', EXISTS (
                   SELECT FROM billing_account account
                   WHERE account.organisation_id = key.organisation_id
                     AND account.kind = 'customer:available' AND account.overdraft_nano > 0),
               'data', json_build_array(
                   json_build_object('zero_retention', owner.zero_retention,
                                     'regions', owner.data_regions),
                   json_build_object('zero_retention', key.zero_retention,
                                     'regions', key.data_regions)),
               'charge_rule', (
                   SELECT rule FROM billing_organisationchargerule ruled
                   WHERE ruled.organisation_id = key.organisation_id),
               'endpoints', key.endpoints, 'networks', key.networks, 'tags', key.tags,
               'project', (SELECT slug FROM accounts_project WHERE id = key.project_id),
               'required_labels', ARRAY(
                   SELECT DISTINCT unnest(
                       owner.required_labels || team.required_labels || key.required_labels)
                   ORDER BY 1),
               'limited', num_nonnulls(key.rpm, key.tpm, key.parallel,
                                       team.rpm, team.tpm, team.parallel,
                                       owner.rpm, owner.tpm, owner.parallel,
                                       member.rpm, member.tpm, member.parallel) > 0,
               'tpm', least(key.tpm, team.tpm, owner.tpm, member.tpm),
               'guards', coalesce((
                   SELECT guards FROM billing_account account
                   WHERE account.organisation_id = key.organisation_id
                     AND account.kind = 'customer:available'), 0),
               'allowances', coalesce((
                   SELECT json_agg(json_build_array(units.id, units.meter, units.patterns)
                                   ORDER BY units.position, units.id)
                   FROM billing_includedunits units
                   WHERE units.organisation_id = key.organisation_id AND units.ends_at > now()
               ), '[]'::json),
               'multipliers', coalesce((
                   SELECT plan.multipliers
                   FROM billing_subscription subscription
                   JOIN billing_subscriptionplan plan ON plan.id = subscription.plan_id
                   WHERE subscription.organisation_id = key.organisation_id
                     AND subscription.state = 'active'
                     AND NOT EXISTS (SELECT FROM billing_memberplan own
                                     WHERE own.membership_id = member.id)
                     AND NOT EXISTS (SELECT FROM billing_teamplan own
                                     WHERE own.team_id = key.team_id)
               ), '[]'::jsonb),
               'guard_rules', {RULES_OF_KEY},
               'policies', {LIMITS_OF_KEY},
               'cache', CASE
                   WHEN key.cache_seconds > 0 THEN json_build_array(
                       key.id, key.cache_seconds, key.cache_price_percent)
                   WHEN key.cache_seconds IS NULL AND team.cache_seconds > 0 THEN json_build_array(
                       team.id, team.cache_seconds, team.cache_price_percent)
               END,
               'end_users', CASE WHEN key.end_user_header <> '' THEN json_build_object(
                   'header', key.end_user_header, 'networks', key.end_user_networks,
                   'signed', key.end_users_signed) END,
               'log_rules', coalesce((
                   SELECT json_agg(json_build_array(
                       rule.scope, rule.subject, rule.keep, rule.share_percent,
                       rule.retention_hours, rule.callers_may_opt_out, rule.redact,
                       extract(epoch FROM rule.ends_at)))
                   FROM content_logrule rule
                   WHERE rule.organisation_id = key.organisation_id
                     AND (rule.ends_at IS NULL OR rule.ends_at > now()) AND (
                       rule.scope IN ('organisation', 'model')
                       OR rule.scope = 'team' AND rule.subject = key.team_id::text
                       OR rule.scope = 'key' AND rule.subject = key.id::text)), '[]'::json),
               'budgets', coalesce((
                   SELECT json_agg(json_build_array(budget.id, budget.scope, budget.subject)
                                   ORDER BY budget.id)
                   FROM billing_budget budget
                   WHERE budget.organisation_id = key.organisation_id AND budget.enabled AND (
                       budget.scope NOT IN ('team', 'key', 'user')
                       OR budget.scope = 'team' AND budget.subject = key.team_id::text
                       OR budget.scope = 'key' AND budget.subject = key.id::text
                       OR budget.scope = 'user' AND budget.subject = {_USER}::text)
               ), '[]'::json))
    FROM accounts_key key JOIN accounts_team team ON team.id = key.team_id
    JOIN accounts_organisation owner ON owner.id = key.organisation_id
    LEFT JOIN accounts_membership member
        ON member.organisation_id = key.organisation_id AND member.user_id = {_USER}
    LEFT JOIN accounts_formersecret former
        ON former.key_id = key.id AND former.digest = %(digest)s::bytea
"""  # noqa: S608 - only constants are put in
_BY_DIGEST = f"""{_COLUMNS}
    WHERE key.id = (SELECT id FROM accounts_key WHERE digest = %(digest)s::bytea
                    UNION ALL
                    SELECT key_id FROM accounts_formersecret WHERE digest = %(digest)s::bytea)
"""  # noqa: S608 - only constants are put in
_BY_ID = _COLUMNS + " WHERE key.id = %(id)s::uuid"

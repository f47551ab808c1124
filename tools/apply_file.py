# ruff: noqa: E501, S105 - texts
"""The reference of the file that `weir apply` reads, from its schema. A key that means the same in
the management API has the description of the API."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from config.api.api import api
from config.apply.file_format import Installation
from tools.markdown import table

Schema = Mapping[str, Any]

# Parts of the file in reading order: the heading, and the schemas of the API that describe its keys.
_PARTS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "Installation": ("The file", ()),
    "Settings": ("settings", ("InstallationSettingsChange",)),
    "MailServer": ("mail_server", ("MailServerIn",)),
    "Channel": ("channels", ("ChannelIn",)),
    "RouteIn": ("channels: models", ("RouteIn",)),
    "ModelTimeoutsIn": ("channels: models: timeouts", ()),
    "TimeoutsIn": ("channels: timeouts", ()),
    "BreakerIn": ("channels: breaker", ()),
    "TestingIn": ("channels: testing", ()),
    "ConditionsIn": ("channels: conditions", ()),
    "OverridesIn": ("channels: overrides", ()),
    "ParametersIn": ("channels: overrides: parameters", ()),
    "SystemPromptIn": ("channels: overrides: system_prompt", ()),
    "OverrideRuleIn": ("channels: overrides: when", ()),
    "PassThrough": ("channels: pass_through", ("PassThroughIn",)),
    "Price": ("prices", ("ProposalIn",)),
    "Tier": ("prices: tiers", ("TierIn",)),
    "Condition": ("prices: conditions", ("ConditionIn",)),
    "Plan": ("plans", ("PlanIn",)),
    "Model": ("models", ("ModelChange",)),
    "ModelRule": ("model_rules", ("ModelRuleIn",)),
    "Shadow": ("model_rules: shadow", ("ShadowIn",)),
    "ChargeRule": ("charge_rule", ("ChargeRuleIn",)),
    "OwnKeyOffer": ("own_key_offers", ("ChannelOfferIn",)),
    "Person": ("people", ()),
    "Organisation": ("organisations", ("OrganisationChange", "WalletSettingIn", "KeyIn")),
    "LogRule": ("organisations: content_log", ("LogRuleIn",)),
    "Policy": ("organisations: policies", ("PolicyIn",)),
    "PolicyRule": ("organisations: policies: rules", ("PolicyRule",)),
    "PolicyAssigned": ("organisations: policies: assigned", ()),
    "PolicyBudget": ("organisations: policies: budgets", ("PolicyBudgetIn",)),
    "Role": ("organisations: roles", ("RoleIn",)),
    "Member": ("organisations: members", ("MemberIn", "KeyIn")),
    "Invitation": ("organisations: invitations", ("InvitationIn",)),
    "SingleSignOn": ("organisations: single_sign_on", ("SingleSignOnIn",)),
    "GroupRule": ("organisations: single_sign_on: group_rules", ("GroupRuleIn",)),
    "ScopedBudget": ("organisations: budgets", ("BudgetIn",)),
    "Team": ("organisations: teams", ("TeamChange", "KeyIn")),
    "Budget": ("budgets of a team or a key", ("BudgetIn",)),
    "Project": ("organisations: teams: projects", ("ProjectChange",)),
    "ServiceAccount": (
        "organisations: teams: service_accounts",
        ("ServiceAccountIn", "ServiceAccountChange"),
    ),
    "Key": ("organisations: teams: keys", ("KeyIn",)),
    "SignUp": ("sign_up", ("SignUpChange",)),
    "SignUpDomain": ("sign_up: domains", ("SignUpDomainIn",)),
    "TrialCredit": ("trial_credit", ("TrialCreditChange",)),
}
_SECRET: Final = (
    "`env:NAME`, `file:PATH`, the text itself, or `keep` for the stored secret. A new object has no "
    "stored secret."
)
_SLUG: Final = (
    "The short name in URLs and labels. By default, Weir derives the slug from the name. If the object "
    "was renamed, enter the original slug."
)
_ARCHIVED: Final = "Whether the object is archived."
_WEEKDAYS: Final = (
    "When the period starts: minute of the hour, hour of the day, day of the week (0 = Monday) or day "
    "of the month. Default: on the hour, at midnight, on Monday or on the 1st."
)
# Keys that the API does not describe, or describes for another use. `*.name` is any part's.
_MEANINGS: Final[Mapping[str, str]] = {
    "*.name": "The name, which identifies the object in the file.",
    "*.slug": _SLUG,
    "*.archived": _ARCHIVED,
    "*.secret": _SECRET,
    "*.email": "Email address.",
    "*.teams": "Names of teams. `null`, or a file without this key: all teams, including later ones.",
    "*.plan": "Name of the price plan.",
    "*.charge_rule": "What to charge for abandoned and failed requests. An organisation's rule overrides a model's rule, and both override `on_leave` of the channel.",
    "*.anchor": _WEEKDAYS,
    "*.budgets": "Limits on spending.",
    "*.enabled": "Whether the object is in effect.",
    "*.deprecated_at": "The time from which answers have the header `Deprecation` (RFC 9745).",
    "*.operator": "`true` makes the person an operator. Leave the key out for everyone else: Weir rejects an explicit `false`, because a file cannot end this role.",
    "Installation.version": "The version of the format.",
    "Installation.settings": "Settings of the installation.",
    "Installation.mail_server": "The mail server. The setting `EMAIL_HOST` overrides this key.",
    "Installation.channels": "Connections to providers.",
    "Installation.prices": "What customers pay for models, and what you pay the providers for them.",
    "Installation.plans": "Price plans.",
    "Installation.models": "Settings of models, for all channels that serve them.",
    "Installation.model_rules": "Fallback models and other rules of models.",
    "Installation.aliases": "Public names, each with the model that it stands for.",
    "Installation.own_key_offers": "Channels that organisations may use with their own key of the provider.",
    "Installation.people": "People with an account. To make people members of an organisation, use `organisations`.",
    "Installation.organisations": "Organisations, with their members, teams and keys.",
    "Installation.sign_up": "Who can create an account.",
    "Installation.trial_credit": "Credit for an organisation that a new person creates.",
    "SingleSignOn.client_id": "The client ID that the identity provider gave to Weir.",
    "Settings.unpriced_models": "What happens to requests for models without a price: `reject` rejects them, `free` and `alert` serve them without a charge, and `alert` also notifies operators.",
    "*.tpm": "Input and output tokens over any 60 seconds, counted together.",
    "Settings.public_models": "Show models and prices without sign-in.",
    "Settings.public_status": "Show the status page without sign-in.",
    "MailServer.host": "The host name.",
    "MailServer.port": "The port.",
    "MailServer.encryption": "When encryption starts: `tls` from the first byte, `starttls` after the greeting, `none` never.",
    "MailServer.sender": "The address of the sender. Empty: `weir@` and the host of the hub.",
    "MailServer.username": "The user name. Empty: no sign-in.",
    "MailServer.secret": "The password. " + _SECRET,
    "Channel.priority": "Weir first tries the channels with the lowest number.",
    "Channel.provider": "The kind of provider, from the list of [providers](../guides/channels.md#providers).",
    "Channel.keys": "The provider's keys. " + _SECRET,
    "Channel.models": "Public model names or patterns, each with the channel's settings for these models.",
    "Channel.timeouts": "Timeouts in seconds.",
    "Channel.breaker": "When Weir pauses a failing channel.",
    "Channel.testing": "Scheduled tests, and when Weir turns off the channel.",
    "Channel.conditions": "Which requests the channel serves. A request must meet each condition that is set. A list of plans, teams, projects, tags or customers is met if one value matches.",
    "Channel.overrides": "Changes that Weir makes to requests before it sends them.",
    "Channel.pass_through": "Paths of the provider that clients may call directly.",
    "PassThrough.methods": "Methods that clients may use.",
    "Price.kind": "`charge`: what customers pay. `cost`: what you pay the provider.",
    "Price.channel": "Name of the channel, only for costs. Empty: any channel.",
    "Price.valid_from": "When the price takes effect.",
    "Price.valid_to": "When the price ends. `null`: no end.",
    "Price.tiers": "Other rates for requests with more input tokens than a limit.",
    "Price.conditions": "Conditions under which the rates are multiplied or replaced.",
    "Tier.mode": "`whole`: the rates apply to the whole request. `marginal`: the rates apply to the input tokens above the limit, and to the whole output.",
    "Condition.tiers": "Tiers that replace those of the price.",
    "ModelRule.shadow": "A channel that also gets a share of the requests. Clients never see its answers.",
    "OwnKeyOffer.fee_per_request": "The fee for a request, in USD. Exact decimal.",
    "OwnKeyOffer.fee_per_million_tokens": "The fee for a million tokens, in USD. Exact decimal.",
    "ChargeRule.kind": "`measured`: Weir disconnects from the provider at once, and charges what it measured. `drain`: Weir reads the rest of the answer, up to the limits `seconds` and `cost`, and charges what it read. `absorb`: Weir disconnects from the provider at once, and the operator bears the cost.",
    "OwnKeyOffer.title": "What organisations see instead of the channel's name.",
    "Shadow.channel": "Name of the channel.",
    "Shadow.model": "The model's name on the channel. Empty: the provider's name in the channel's settings, or else the name of the requested model.",
    "Shadow.cap": "The highest cost per day.",
    "Condition.kind": "Which property of the request the condition tests.",
    "Channel.spend_cap_day": "The most that the channel may cost in a day (UTC).",
    "Channel.spend_cap_month": "The most that the channel may cost in a calendar month (UTC).",
    "Settings.prefix_sessions": "For requests that name no session: whether Weir recognises the session by a keyed digest of the beginning of the conversation.",
    "Settings.backup_folder": "The folder for backups, in the data folder.",
    "Settings.backup_hour": "The hour (UTC) of the first backup of a day.",
    "GroupRule.role": "A built-in role or the name of a custom role.",
    "SingleSignOn.group_claim": "The claim that lists a person's groups.",
    "ScopedBudget.alert_forecast": "Whether people are notified if spending is forecast to exceed the limit.",
    "Budget.alert_forecast": "Whether people are notified if spending is forecast to exceed the limit.",
    "PolicyBudget.alert_forecast": "Whether people are notified if spending is forecast to exceed the limit.",
    "ScopedBudget.amount": "The limit.",
    "Budget.amount": "The limit.",
    "PolicyBudget.amount": "The limit.",
    "Policy.budgets": "Limits on spending. For each entry, each organisation, team or key to which the policy is assigned gets a budget of its own.",
    "Model.replacement": "The model to use instead. Empty: none.",
    "Plan.models": "Models that the plan shows, by name or pattern. Empty: all models.",
    "Role.permissions": "Names of permissions, from the page *Permissions by role*.",
    "*.period": "The period after which the budget starts again. `total`: the budget never starts again. `session`: each session of an agent has the whole budget.",
    "OwnKeyOffer.channel": "Name of the channel.",
    "Person.name": "The person's name. Weir uses this name only if the person has no name yet.",
    "Person.active": "Whether the person can sign in and the person's keys work.",
    "Organisation.currency": "The currency of the ledger.",
    "Organisation.display_currency": "A currency, such as `EUR`, in which pages also show amounts. Empty: only in `currency`.",
    "Organisation.client_address_days": "For how many days Weir keeps the client IP address of each request. `0`: not kept.",
    "Organisation.credit": "Opening credit. Weir posts this credit only once, even if you apply the file again.",
    "Organisation.credit_line": "How far below 0 the available balance may go.",
    "Organisation.payer_rules": "For each role: the keys with which members of this role may pay for chats in the playground.",
    "Organisation.suspended": "The reason for a suspension. While a reason is set, Weir rejects the requests of the organisation. `null`: not suspended.",
    "Organisation.roles": "Custom roles.",
    "Organisation.members": "The members of the organisation.",
    "Organisation.invitations": "Invitations that wait for an answer.",
    "Organisation.single_sign_on": "Sign-in with an identity provider.",
    "Organisation.teams": "The organisation's teams, with projects, service accounts and keys.",
    "Member.teams": "Names of the teams that the member is limited to. Without this key: all teams.",
    "Member.leads": "Names of the teams that the person leads.",
    "Invitation.invited_by": "Email address of a member who can give the role.",
    "GroupRule.group": "Name or ID of the group, as the identity provider sends it.",
    "GroupRule.teams": "Names of teams. Empty: all teams.",
    "SingleSignOn.secret": "The client secret. " + _SECRET,
    "SingleSignOn.domains_confirmed": "Whether the operator confirms the domains with this file.",
    "ScopedBudget.scope": "The kind of object that the budget limits.",
    "ScopedBudget.subject": "The object that the budget limits: an email address, a model's name or pattern, or a label. Empty for the organisation.",
    "Organisation.content_log": "Rules for the content log: whose requests it keeps, and for how long.",
    "LogRule.scope": "The kind of object that the rule applies to.",
    "LogRule.subject": "The name of the team or key, or a model's name or pattern. Empty for the organisation.",
    "LogRule.keep": "What the rule keeps: all requests (`everything`), only failed requests (`errors`), or `nothing`. If a rule with `nothing` fits a request, the content log does not keep the request, even if other rules fit too.",
    "LogRule.retention_hours": "Hours after which a text can no longer be read.",
    "Policy.rules": "The guards of the policy. Each guard can be in the list once.",
    "Organisation.policies": "Policies. A policy consists of guards, permitted models and networks, budgets and a retention time. Each policy applies to the requests of the organisation, teams and keys in `assigned`.",
    "PolicyRule.guard": "A guard, from the list in [Guards and policies](../guides/guards.md#the-guards).",
    "PolicyRule.places": "The texts that the guard looks at.",
    "PolicyRule.code": "The code of the error if the guard rejects a text, and the name of the flag if the guard flags a text. Without this key: usually the guard's name.",
    "PolicyRule.settings": "The settings that the guard needs. A `secret` is `env:NAME`, `file:PATH`, the text itself, or `keep` for the stored one.",
    "PolicyRule.action": "`mask` puts a placeholder in place of the found text, and restores the text in the answer. `refuse` ends the request. `flag` lets the text pass, and adds a flag to the record of the request. `decide` leaves the choice to the guard's own service.",
    "Policy.assigned": "The organisation, teams and keys to whose requests the policy applies.",
    "PolicyAssigned.scope": "Whose requests the policy applies to.",
    "PolicyAssigned.subject": "The name of the team or key. Empty for the organisation.",
    "Team.projects": "Projects of the team.",
    "Team.service_accounts": "Programs that belong to the team, and can own keys.",
    "Team.keys": "API keys.",
    "Key.log_content": "Whether Weir may store requests and answers for up to a day, for later requests that continue a conversation.",
    "Key.ips": "Networks from which clients may use the key. Empty: all networks.",
    "Key.disabled": "Whether the key is disabled.",
    "Key.budget": "One budget; the same as `budgets` with one entry.",
    "Key.user": "Email address of the member who owns the key.",
    "Key.service_account": "Name of the service account that owns the key.",
    "Settings.egress_allow_users": "Private networks from which Weir may fetch the files and tool descriptions that people name by URL.",
    "Channel.proxy_url": "http://host:port or socks5://host:port. If you change the proxy, the provider, the base URL or the trusted authorities, Weir deletes all stored secrets of the channel.",
    "Channel.proxy_login": "The login of the proxy, as `user:password`: " + _SECRET + " `null`: none.",
    "Channel.client_key": "The key of the client certificate, in PEM: " + _SECRET + " `null`: none.",
    "Channel.balance_rest_below": "Weir turns off the channel while the balance of every enabled key is below this amount.",
    "PassThrough.unit_price": "The price in USD for each unit of the number that `pointer` names.",
    "PassThrough.unit_cost": "The amount in USD that the provider charges for each unit of the number that `pointer` names.",
    "PassThrough.cost": "The amount in USD that the provider charges for an answered request. Empty: unknown.",
    "PassThrough.max_charge": "The most that a request may cost if `pointer` is set. Weir reserves this amount for each request.",
    "Tier.input_over": "The tier applies if the request has more input tokens than this number.",
    "Condition.date": "When someone read the rate at the `source`.",
    "Model.sunset_at": "The time from which the model is retired. Answers of a deprecated model announce this time in the header `Sunset` (RFC 8594). If the model has no `deprecated_at`, it becomes deprecated when you apply the file.",
    "Organisation.low_balance": "Weir sends a notification when the balance drops below this amount. `null`: never.",
    "Model.can": "Capabilities of the model, in place of those in the catalogue. The map in the file replaces the stored map.",
    "LogRule.share_percent": "Of the requests that `keep` selects, the percentage that the content log keeps.",
    "Policy.models": "Models that keys may use, by name or pattern (`gpt-*`). A key's own list of models also applies. Empty: all models.",
    "Policy.networks": "Networks from which clients may use keys. If the key has its own list, the client must be in both lists. Empty: all networks.",
    "Policy.retention_hours": "The longest time, in hours, for which the content log keeps texts. `0`: the content log keeps nothing. `null`: the time in the rules of the content log.",
    "SingleSignOn.required": "Members who are not owners can sign in only through this identity provider.",
    "Team.cache_price_percent": "The charge for a stored answer, as a percentage of the charge for the first request.",
    "Key.cache_price_percent": "The charge for a stored answer, as a percentage of the charge for the first request.",
    "Organisation.retention_hours": "For how many hours Weir keeps answers that a later request may continue.",
    "Key.tags": "Tags that Weir adds to every request with this key, for grouping and budgets. Each tag has 1 to 100 visible characters and no space at the start or end.",
    "Key.models": "Models that the key may use, by name or pattern (`gpt-*`). Empty: all models.",
    "Price.hours": "The hours (UTC) in which the price applies, such as 00:30-08:30. Empty: all day.",
    "Price.region": "The region, such as us-east-1, eu or global. Empty: any other region.",
    "Condition.value": "The value of this property, such as `fast`, `us` or `batch`.",
    "Model.forwards": "Whether the replacement answers requests for the retired model, at the price of the replacement. `false`: Weir rejects these requests with `model_retired`.",
    "ModelRule.pick": "How Weir chooses among channels of equal priority. `weight`: by their weight, and the same channel for all requests of a session. `latency`: the channel with the lowest latency of the last minutes. `ttft`: the channel with the shortest time to first token of the last minutes. `throughput`: the channel with the highest throughput of the last minutes. `price`: the channel on which a usual request costs you least. `in_flight`: the channel with the fewest running requests. `conversation`, `user`: the same channel for a conversation or a user, while this channel is available.",
    "Channel.retries": "How many further attempts Weir makes after this channel fails. Weir makes them on other channels, or on this channel if there is no other. A request has three attempts at most. `0` turns fail-over off.",
    "Channel.weight": "The channel's share of the requests, relative to the other channels of equal priority, if the model's `pick` is `weight`. A channel with the weight 0 always comes last.",
    "ChargeRule.seconds": "`drain`: the maximum time, in seconds, for which Weir reads the rest. Default: 120.",
    "ChargeRule.cost": "`drain`: the highest amount that is charged for the time after the disconnect. Exact decimal. Default: as much as Weir reserved for the request.",
    "SignUp.captcha": "Whether browsers must do a [proof of work](../operate/secure.md#signing-in) in two cases: before a sign-up without an invitation in the mode `open`, and before a password reset if there were already three resets from the same network within an hour.",
    "SignUp.domains": "Email domains, each with the organisation that people of this domain join. The list in the file replaces the stored list.",
    "SignUpDomain.domain": "The domain of an email address.",
    "SignUpDomain.organisation": "Slug of the organisation that people of this domain join.",
    "SignUpDomain.role": "The role that these people get.",
}  # fmt: skip


def apply_file() -> str:
    schema = Installation.model_json_schema()
    parts = {**schema["$defs"], "Installation": schema}
    objects = {name for name, part in parts.items() if "properties" in part}
    if objects != set(_PARTS):
        raise LookupError(f"not in the list of parts: {objects ^ set(_PARTS)}")
    described = api.get_openapi_schema()["components"]["schemas"]
    used: set[str] = set()
    text = ""
    for name, (title, sources) in _PARTS.items():
        keys = _keys(name, parts, [described[one]["properties"] for one in sources], used)
        text += f"\n## {title}\n\n{table(('Key', 'Value', 'Default', 'Meaning'), keys)}"
    if used != set(_MEANINGS):
        raise LookupError(f"no key has these meanings: {set(_MEANINGS) - used}")
    return f"""# The file of weir apply

*For operators.*

`make reference` generates this page from `config/apply/file_format.py`. [Configuration as code](../guides/configuration.md) explains how to
use such a file, and shows an example.

The file describes objects of the installation, such as channels. Each setting of an object has a key, such as `name`. If the file omits a
key, the setting keeps its value. But if the object is new, or if you apply the file with `--prune`, the setting gets its default. `weir
apply` rejects a file with a key that is not on this page. Write amounts of money as decimals in quotes, in USD unless the table names
another unit. Write times like `2026-01-01T00:00:00Z`.
{text}"""


def _keys(
    name: str, parts: Schema, sources: list[Schema], used: set[str]
) -> Iterator[tuple[str, str, str, str]]:
    part = parts[name]
    required = part.get("required", ())
    for key, value in part["properties"].items():
        yield (
            f"`{key}`",
            _type(value, parts),
            "required" if key in required else _default(value),
            _meaning(name, key, value, sources, used),
        )


def _meaning(name: str, key: str, value: Schema, sources: list[Schema], used: set[str]) -> str:
    """Return the text for a key: this file's own, the schema's, or that of the API."""
    for own in (f"{name}.{key}", f"*.{key}"):
        if own in _MEANINGS and (own[0] != "*" or "description" not in value):
            used.add(own)
            return _MEANINGS[own]
    texts = [value, *(one[key] for one in sources if key in one)]
    for one in texts:
        if one.get("description"):
            return str(one["description"])
    raise LookupError(f"{name}.{key} has no meaning: write one in {__file__}")


def _default(value: Schema) -> str:
    default = value.get("default")
    if default in (None, "", [], {}) or isinstance(default, dict):
        return "–"
    if isinstance(default, list):
        return ", ".join(f"`{one}`" for one in default)
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _type(value: Schema, parts: Schema) -> str:
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[1]
        if name not in _PARTS:
            return _type(parts[name], parts)
        anchor = "".join(c for c in _PARTS[name][0] if c.isalnum() or c in " _").replace(" ", "-")
        return f"[{_PARTS[name][0].rsplit(': ', 1)[-1]}](#{anchor.lower()})"
    if "anyOf" in value:
        kinds = [one for one in value["anyOf"] if one.get("const") != ""]
        return " or ".join(_type(one, parts) for one in kinds)
    if "enum" in value:
        return ", ".join(f"`{one}`" for one in value["enum"])
    if "const" in value:
        return f"`{value['const']}`"
    match value.get("type"):
        case "array":
            items = _type(value["items"], parts)
            return f"list of {items.replace('whole number', 'whole numbers')}"
        case "object":
            patterns = [*value.get("patternProperties", {}).values()]
            inner = patterns[0] if patterns else value.get("additionalProperties")
            return f"map to {_type(inner, parts)}" if isinstance(inner, dict) else "map"
        case "integer" | "number" as number:
            low = value.get("minimum", value.get("exclusiveMinimum"))
            high = value.get("maximum")
            what = "whole number" if number == "integer" else "number"
            if "exclusiveMinimum" in value:
                return f"{what} above {low:,}, at most {high:,}"
            if low is None or high is None or high > 1_000_000:
                return what if low is None else f"{what}, {low:,} or more"
            return f"{what}, {low:,} to {high:,}"
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
        case "string" if value.get("format") == "date-time":
            return "time"
        case _:
            return "text"

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
    "Role": ("organisations: roles", ("RoleIn",)),
    "Member": ("organisations: members", ("MemberIn", "KeyIn")),
    "Invitation": ("organisations: invitations", ("InvitationIn",)),
    "SingleSignOn": ("organisations: single_sign_on", ("SingleSignOnIn",)),
    "GroupRule": ("organisations: single_sign_on: group_rules", ("GroupRuleIn",)),
    "ScopedBudget": ("organisations: budgets", ("BudgetIn",)),
    "Team": ("organisations: teams", ("KeyIn",)),
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
_SECRET: Final = "`env:NAME`, `file:PATH`, the text itself, or `keep` for the stored one."
_SLUG: Final = "Made from the name. State it where the object was renamed later."
_ARCHIVED: Final = "Whether it is archived."
_WEEKDAYS: Final = (
    "When the period starts: minute of the hour, hour of the day, day of the week (0 = Monday) or day "
    "of the month. Default: on the hour, at midnight, on Monday or on the 1st."
)
# Keys that the API does not describe, or describes for another use. `*.name` is any part's.
_MEANINGS: Final[Mapping[str, str]] = {
    "*.name": "Its name, by which the file knows it.",
    "*.slug": _SLUG,
    "*.archived": _ARCHIVED,
    "*.secret": _SECRET,
    "*.email": "Email address.",
    "*.teams": "Names of teams; `null` or left out for all of them, later ones too.",
    "*.plan": "Name of the price plan.",
    "*.charge_rule": "For abandoned and failed requests. An organisation's rule comes before a model's.",
    "*.anchor": _WEEKDAYS,
    "*.budgets": "Limits on spending.",
    "*.enabled": "Whether it applies.",
    "*.deprecated_at": "From then on, answers carry the header `Deprecation` (RFC 9745).",
    "*.operator": "`true` makes the person an operator. A file never takes it away.",
    "Installation.version": "The version of the format.",
    "Installation.settings": "Settings of the installation.",
    "Installation.mail_server": "The mail server. `EMAIL_HOST` comes before it.",
    "Installation.channels": "Connections to providers.",
    "Installation.prices": "What models are charged, and what they cost.",
    "Installation.plans": "Price plans.",
    "Installation.models": "What is set for a model, whichever channel serves it.",
    "Installation.model_rules": "Fallback models and other rules of a model.",
    "Installation.aliases": "A public name, and the model that it stands for.",
    "Installation.own_key_offers": "Channels that organisations may use with their own key.",
    "Installation.people": "Who can sign in. Members are listed in their organisations.",
    "Installation.organisations": "Organisations, with their members, teams and keys.",
    "Installation.sign_up": "Who can create an account.",
    "Installation.trial_credit": "Credit for an organisation that a new person creates.",
    "TestingIn.variant": "What is asked of the model.",
    "SingleSignOn.client_id": "The client ID that the identity provider gave to Weir.",
    "Settings.unpriced_models": "Models without a price: `reject` requests, serve them `free`, or serve them and `alert` operators.",
    "Settings.public_models": "Show models and prices without sign-in.",
    "Settings.public_status": "Show the status page without sign-in.",
    "MailServer.host": "Its host name.",
    "MailServer.port": "Its port.",
    "MailServer.encryption": "`tls` from the first byte, `starttls` after the greeting, or `none`.",
    "MailServer.username": "Empty: no sign-in.",
    "MailServer.secret": "The password. " + _SECRET,
    "Channel.provider": "Which provider file: see *Providers* in the guide to channels.",
    "Channel.keys": "The provider's keys. " + _SECRET,
    "Channel.models": "Public names or patterns, and how the channel serves each.",
    "Channel.timeouts": "Timeouts in seconds.",
    "Channel.breaker": "When a failing channel is paused.",
    "Channel.testing": "Scheduled tests, and when the channel is turned off.",
    "Channel.conditions": "Which requests it serves. Of each stated condition, one value must match.",
    "Channel.overrides": "Changes to requests before they are sent.",
    "Channel.pass_through": "Paths that clients may call as they are.",
    "ModelTimeoutsIn.first_content": "Seconds until the first content; `null` for the channel's.",
    "ModelTimeoutsIn.idle": "Seconds between two parts of an answer; `null` for the channel's.",
    "ModelTimeoutsIn.total": "Seconds for the whole answer; `null` for the channel's.",
    "RouteIn.timeouts": "Timeouts of this model.",
    "TimeoutsIn.connect": "Seconds until the connection is open.",
    "TimeoutsIn.first_content": "Seconds until the first content.",
    "TimeoutsIn.idle": "Seconds between two parts of an answer.",
    "TimeoutsIn.total": "Seconds for the whole answer.",
    "BreakerIn.enabled": "Whether failures pause the channel.",
    "ConditionsIn.tags": "Labels of the request or its key.",
    "ConditionsIn.customers": "Labels of the request.",
    "ConditionsIn.prompt_max": "Estimated tokens of the prompt.",
    "OverridesIn.system_prompt": "A text for the system prompt of every chat. Its tokens are charged as input.",
    "ParametersIn.set": "Members of the body that are set, by their names in the API of the request; dots lead into objects.",
    "ParametersIn.remove": "Members of the body that are removed.",
    "SystemPromptIn.text": "The text.",
    "OverrideRuleIn.parameters": "As above, for these requests alone.",
    "OverrideRuleIn.headers": "As above, for these requests alone.",
    "PassThrough.methods": "Methods that clients may use.",
    "Price.kind": "`charge`: what customers pay. `cost`: what the provider is paid.",
    "Price.channel": "For costs: name of the channel. Empty: any.",
    "Price.valid_from": "When it takes effect.",
    "Price.valid_to": "When it ends; `null` for open.",
    "Price.tiers": "Rates above a number of input tokens.",
    "Price.conditions": "Terms that multiply or replace the rates.",
    "Tier.mode": "`whole`: the rates apply to all tokens of the request. `marginal`: only to those above the limit.",
    "Condition.tiers": "Tiers in place of the price's.",
    "ModelRule.shadow": "A channel that also gets a share of the requests, without showing its answers.",
    "OwnKeyOffer.title": "What organisations see instead of the channel's name.",
    "Shadow.channel": "Name of the channel.",
    "Shadow.cap": "Cost per day at most.",
    "Condition.kind": "What the condition is about.",
    "Channel.spend_cap_day": "The most that it may cost in a day (UTC).",
    "Channel.spend_cap_month": "The most that it may cost in a calendar month (UTC).",
    "Settings.backup_folder": "The folder in the data folder.",
    "Settings.backup_hour": "The hour (UTC) of the first backup of a day.",
    "GroupRule.role": "A built-in role or the name of a custom role.",
    "SingleSignOn.group_claim": "The claim that lists a person's groups.",
    "ScopedBudget.amount": "The limit.",
    "Budget.amount": "The limit.",
    "Plan.models": "Models that are visible on it, by name or pattern. Empty: all.",
    "Role.permissions": "Names of permissions, see *Permissions by role*.",
    "*.period": "The period after which it starts again. `session`: for each session of an agent.",
    "OwnKeyOffer.channel": "Name of the channel.",
    "Person.name": "Set only for people who have no name yet.",
    "Person.active": "Whether the person can sign in, and their keys work.",
    "Organisation.currency": "The currency of the ledger.",
    "Organisation.credit": "Opening credit, posted once.",
    "Organisation.credit_line": "How far below 0 the available balance may go.",
    "Organisation.payer_rules": "Role, and which keys its people may choose as payer in the playground.",
    "Organisation.suspended": "A reason; requests are rejected while it is set. `null`: not suspended.",
    "Organisation.roles": "Custom roles.",
    "Organisation.members": "Who belongs to it.",
    "Organisation.invitations": "Invitations that wait for an answer.",
    "Organisation.single_sign_on": "Sign-in with an identity provider.",
    "Organisation.teams": "Its teams, with projects, service accounts and keys.",
    "Member.teams": "Names of the teams that the member is limited to; left out for all of them.",
    "Member.leads": "Names of the teams that the person leads.",
    "Invitation.invited_by": "Email address of a member who can give the role.",
    "GroupRule.group": "Name or ID of the group, as the identity provider sends it.",
    "GroupRule.teams": "Names of teams; empty for all of them.",
    "SingleSignOn.secret": "The client secret. " + _SECRET,
    "SingleSignOn.domains_confirmed": "Whether the operator confirms the domains with this file.",
    "ScopedBudget.scope": "What it limits.",
    "ScopedBudget.subject": "An email address, a model's name or pattern, or a label; empty for the organisation.",
    "Team.projects": "Projects of the team.",
    "Team.service_accounts": "Programs of the team, which can own keys.",
    "Team.keys": "API keys.",
    "Key.ips": "Networks that the key may be used from. Empty: all.",
    "Key.disabled": "Whether it is disabled.",
    "Key.budget": "One budget; the same as `budgets` with one entry.",
    "Key.user": "Email address of the member it belongs to.",
    "Key.service_account": "Name of the service account it belongs to.",
    "SignUpDomain.domain": "The domain of an email address.",
    "SignUpDomain.organisation": "Slug of the organisation that its people join.",
    "SignUpDomain.role": "The role that they get.",
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

Written from `config/apply/file_format.py` by `make reference`. How to use such a file, with an example:
[Configuration as code](../guides/configuration.md).

A key that a file leaves out keeps its value. If the object is new, or the file is applied with `--prune`, it gets the default.
Keys that are not listed here are errors. Amounts are decimals in quotes, in USD. Times look like `2026-01-01T00:00:00Z`.
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
            return f"list of {_type(value['items'], parts)}"
        case "object":
            patterns = [*value.get("patternProperties", {}).values()]
            inner = patterns[0] if patterns else value.get("additionalProperties")
            return f"map to {_type(inner, parts)}" if isinstance(inner, dict) else "map"
        case "integer" | "number" as number:
            low = value.get("minimum", value.get("exclusiveMinimum"))
            high = value.get("maximum")
            what = "whole number" if number == "integer" else "number"
            if low is None or high is None or high > 1_000_000:
                return what if low is None else f"{what}, {low} or more"
            return f"{what}, {low} to {high:,}"
        case "boolean":
            return "`true`, `false`"
        case "null":
            return "`null`"
        case "string" if value.get("format") == "date-time":
            return "time"
        case _:
            return "text"

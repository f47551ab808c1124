# ruff: noqa: E501 - texts
"""Writes the pages of docs/reference that are made from the code:

python -m tools.reference_pages
"""

import ast
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Final, NamedTuple, get_args

import django

from dialects.errors.errors import ANTHROPIC_TYPES, GEMINI_STATUSES, KINDS

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
django.setup()

from accounts.roles.rules import (  # noqa: E402
    LEAD_ACTIONS,
    TABLE,
    TEAM_ACTIONS,
    Role,
    scope_within_teams,
)
from accounts.roles.words import WORDS  # noqa: E402
from config.system.metrics import COUNTERS, HISTOGRAMS, PROCESS_FIGURES  # noqa: E402
from notify.deliveries.deliveries import KEPT_DAYS  # noqa: E402
from notify.deliveries.retries import HOOK_TRIES_MAX  # noqa: E402
from notify.endpoints.signing import PREVIOUS_SIGNS_FOR  # noqa: E402
from notify.events.kinds import FOR_OPERATORS, FOR_ORGANISATIONS, Kind  # noqa: E402
from reference.answers.errors import ERRORS  # noqa: E402
from reference.answers.headers import ANSWERED, SENT, SESSIONS  # noqa: E402
from reference.operations.page import Field  # noqa: E402
from tools.apply_file import apply_file  # noqa: E402
from tools.markdown import table  # noqa: E402

ROOT: Final = Path(__file__).parents[1]


# Model API ----------------------------------------------------------------------------------------


def headers() -> str:
    return f"""# Headers

*For developers who call models.*

`make reference` generates this page from `reference/answers/headers.py`. A running installation shows the same page at `/docs/headers`.

## Sent by clients

{_fields(SENT)}
A header that is not in this table reaches a provider only in two cases ([What providers get](../operate/data.md#what-providers-get)):

- The channel (the connection to the provider) uses the client's API. Weir then forwards the headers that this API needs (such as
  `anthropic-beta`), and usually also the user agent.
- An operator has listed the header for the channel. Weir then forwards the header whatever API the channel uses.

## Sessions

A *session* is a series of requests that belong together, such as one task of a coding agent. Weir looks for the headers and members in
the order of the table. The first of them that a request contains names the session of the request. The two rows about sub-agents are
outside this order. If a header names the session, Weir also reads the headers in these two rows. If these headers name a parent session,
the request belongs to the parent session.

{_fields(SESSIONS)}
## Sent by Weir

{_fields(ANSWERED)}"""


def _fields(fields: Sequence[Field]) -> str:
    rows = (
        (
            _code(field.name),
            f"{field.type} {field.limits}",
            field.meaning,
        )
        for field in fields
    )
    return table(("Header", "Value", "Meaning"), rows)


def errors() -> str:
    rows = (
        (
            row.status,
            f"`{kind}`",
            ", ".join(f"`{name}`" for name in (row.type, row.code) if name),
            f"`{ANTHROPIC_TYPES.get(kind, 'invalid_request_error')}`",
            f"`{GEMINI_STATUSES.get(kind, 'INVALID_ARGUMENT')}`",
            f"{ERRORS[kind].meaning} {ERRORS[kind].step}",
        )
        for kind, row in sorted(KINDS.items(), key=lambda item: item[1].status)
    )
    heads = ("Status", "Kind", "OpenAI: type, code", "Anthropic: type", "Google: status", "Meaning")
    return f"""# Errors of the model API

*For developers who call models.*

`make reference` generates this page from `dialects/errors/errors.py` and `reference/answers/errors.py`. A running installation shows
the same page at `/docs/errors`.

An error has the format of the API that the client uses. The table below shows `error.type` and `error.code` of OpenAI's format,
`error.type` of Anthropic's format, and `error.status` of Google's format. The page *Requests* shows the *Kind* of an error. In the last
column of the table, *param* means `error.param` of OpenAI's format. Every response has the header `x-request-id`. The management API always
uses OpenAI's format.

If a [guard](../guides/guards.md) rejects a text, the error also contains the guard's own code:

- In OpenAI's format, the code is in `error.code`, in place of `guard_refused`.
- In Anthropic's format, the code is in `error.details.error_code`.
- In Google's format, the code is the `reason` of the `ErrorInfo` in `error.details`.

[What a rejected request gets](../guides/guards.md#what-a-rejected-request-gets) shows where the code is in a stream of the Responses API,
and in other formats.

The page [When a request fails](../guides/failed-requests.md) explains the most frequent errors. For example, you can read there which limit
rejected a request, why Weir does not find a model, and what Weir charges when a client disconnects.

{table((*heads[:-1], "Meaning and next step"), rows)}"""


# Events -------------------------------------------------------------------------------------------

_EVENT_FIELDS: Final[Mapping[str, str]] = {
    "about": "what would change, such as the name of an object",
    "action": "what the budget does with requests at its limit: `block`, `warn` or `slow`",
    "added": "names of new models; the list can be incomplete",
    "added_count": "how many models are new",
    "amount": "an amount of money",
    "answer": "the answer of the person who decided; empty before the decision",
    "approval": "ID of the approval",
    "approved": "whether the increase was approved",
    "asked_by": "email address of the person who made the request",
    "available": "the available balance after the event; for `balance.low`, the available balance at the time of the check",
    "balance": "what the provider reports, with its unit",
    "bill": "ID of the provider's bill",
    "billed": "money that the provider billed",
    "budget": "ID of the budget",
    "cause": "the reason, in one word",
    "changes": "the values that would change, each with `name`, `before` and `after`",
    "channel": "name of the channel",
    "channel_id": "ID of the channel",
    "count": "how many findings or checks there are in all; the lists `findings` and `parts` can be incomplete",
    "credit": "ID of the correction",
    "currency": "code of the currency, such as `USD`",
    "days": "for how many days Weir repeats the attempt to renew the subscription",
    "decided_by": "email address of the person who decided; empty before the decision",
    "differences": "how many lines differ",
    "document": "`invoice`, `credit_note` or `debit_note`",
    "error": "code of the error",
    "event": "ID of the payment processor's event",
    "expires_at": "expiry time, or `null` for never",
    "failure": "`deadline`: no answer in time; `connection`: no connection; `answer`: no valid answer",
    "file": "name of the file",
    "findings": "the findings, each with `invariant`, `object`, `expected` and `found`",
    "first_on": "first day of the bill",
    "flags": "the reasons why the usage is implausible, separated by commas",
    "forecast_at": "when the budget is expected to be used up. This field can be missing",
    "gone": "names of models that the provider no longer lists; the list can be incomplete",
    "gone_count": "how many models the provider no longer lists",
    "guard": "the guard, such as `hook`",
    "id": "ID of the export",
    "included": "money: the value of the usage that is included each month",
    "jobs": "the jobs, each with `task` (the name of the job), `title`, `since` and `error`",
    "key": "for `own_key.refused`, the name of the organisation's own key; for `channel.balance_low`, the last characters of the provider's key",
    "last": "whether the channel has no working key left",
    "last_on": "last day of the bill",
    "limit": "money: the budget's limit, including increases; for `channel.balance_low`, the threshold",
    "model": "name of the model",
    "month": "the month, such as `2026-11`",
    "name": "name of the organisation",
    "new": "how many new price proposals there are",
    "not_understood": "parts of the price list that Weir could not interpret; the list can be incomplete",
    "not_understood_count": "how many parts Weir could not interpret",
    "number": "number of the document",
    "operator": "email address of the operator",
    "ours": "money: the cost that Weir computed for the same days",
    "parts": "checks that did not finish; the list can be incomplete",
    "payment": "the payment processor's ID of the payment",
    "period": "`hour`, `day`, `week`, `month`, `total` or `session`",
    "period_began": "time when the period began",
    "plan": "name of the subscription plan",
    "policy": "name of the policy",
    "price": "money: the price of a month",
    "processor": "the payment processor, such as `stripe`",
    "provider": "name of the provider",
    "reason": "the reason, as text",
    "records": "how many records were damaged",
    "redemption": "ID of the redemption",
    "refund": "the payment processor's ID of the refund",
    "renamed": "pairs of the old and the new name of a model; the list can be incomplete",
    "renamed_count": "how many models were renamed",
    "request": "ID of the request to a model; for events of a budget increase, ID of the request for the increase",
    "resets_at": "when the period ends, or `null`",
    "role": "the role that the operator views as",
    "rows": "how many rows the file has",
    "scope": "`organisation`, `team`, `user`, `key`, `model`, `project`, `tag`, `customer` or `end_user`",
    "seconds": "length of the video",
    "size": "size of the file in bytes; for a video, width and height in pixels",
    "slug": "slug of the organisation",
    "spent": "money spent in the period",
    "spent_percent": "`spent` as a percentage of `limit`",
    "subject": "name of the object that the budget limits; empty for the organisation",
    "task": "ID of the media task",
    "team": "ID of the team; for `own_key.refused`, the slug of the team, or an empty text if the key belongs to the organisation",
    "threshold": "the percentage of the budget that was reached, or `null`; for `balance.low`, an amount of money",
    "top_up": "ID of the top-up",
    "total": "money: the total of the document",
    "type": "kind of change, such as `correction`",
    "unknown": "the members of the usage that Weir does not know, separated by commas",
    "unpaid": "whether the subscription ended because the renewal was not paid",
    "until": "time when the increase or the view ends",
    "video": "ID of the video",
    "what": "for `channel.troubled`: the number of the provider key, or the name of the model. Empty if the event is about the whole channel. For `channel.taken_out`: the value because of which the rule turned the channel off. This value is a status, a word, the share of successes or the balance, and can be empty",
}


def events() -> str:
    names = {name for kind in (*FOR_ORGANISATIONS, *FOR_OPERATORS) for name in kind.data.split()}
    if names != set(_EVENT_FIELDS):
        raise LookupError(f"no meaning or no event: {names ^ set(_EVENT_FIELDS)}")
    fields = ((f"`{name}`", meaning) for name, meaning in _EVENT_FIELDS.items())
    return f"""# Webhook events

*For developers who receive webhooks.*

`make reference` generates this page from `notify/events/kinds.py`. [Alerts](../guides/alerts.md) explains how to add a webhook.

Weir sends each event as a `POST` to the address of the webhook. Your server must answer with a status from 200 to 299 within 10
seconds. In the following example of a body, `data` contains only some of the fields:

```json
{{
  "id": "01M8G8WYABFG9VPYMN884RW5PT",
  "version": 1,
  "type": "budget.reached",
  "timestamp": "2026-11-28T05:08:58.884600+00:00",
  "organisation": "01M8G8WXT3B1V7D6J0E3N1D3Q9",
  "data": {{"budget": "1", "scope": "key", "subject": "ci", "threshold": 80, "spent": "8.00", "limit": "10.00", "currency": "USD"}}
}}
```

`organisation` is `null` in events for operators, and in tests of a webhook for operators. The headers `webhook-id`, `webhook-timestamp` and
`webhook-signature` follow the specification [Standard Webhooks](https://www.standardwebhooks.com). Verify each event with a library for
Standard Webhooks and the webhook's secret (`whsec_…`). For {PREVIOUS_SIGNS_FOR.total_seconds() / 3600:.0f} hours after you rotate the
secret, Weir signs each event with both the new and the old secret. The same event may arrive more than once, with the same `webhook-id`.
Ignore members of the body that you do not know, because later versions of Weir can add members.

If your server does not answer in time, or answers with a status outside 200 to 299, Weir sends the event up to ten more times. After the
status 410, Weir does not send the event again. The ten further tries take about two and a half days. The waits before the first five
further tries are 5 s, 30 s, 2 min, 10 min and 30 min. The later waits are 2, 5, 10, 14 and 24 h. Each wait can be up to a fifth longer. If
Weir will not try again by itself, you can send the event again with the button [*Resend*](../guides/alerts.md#repeated-messages) on the
page of the webhook. The page of the webhook lists an event for {KEPT_DAYS} days. There is no button that sends several events again.

A client can send an address (`notifyHook`, `notify_hook`) with a task of Midjourney or Suno. This address is not a webhook. Weir calls the
address up to {HOOK_TRIES_MAX} times, and signs these calls with [a secret that the client derives from its API
key](../guides/models.md#midjourney-and-suno).

In `data`, each amount of money is a decimal string, and each time has the format of ISO 8601.

## Events of an organisation

{_kinds(FOR_ORGANISATIONS)}
## Events for operators

{_kinds(FOR_OPERATORS)}
## Fields of `data`

{table(("Field", "Meaning"), fields)}"""


def _kinds(kinds: Iterable[Kind]) -> str:
    return table(
        ("Type", "When", "`data`"),
        (
            (
                f"`{kind.name}`",
                kind.title,
                ", ".join(f"`{name}`" for name in kind.data.split()) or "–",
            )
            for kind in kinds
        ),
    )


# Roles --------------------------------------------------------------------------------------------


def permissions() -> str:
    rows = (
        (f"`{action}`", _title(action), *(by_role.get(role, "–") for role in get_args(Role)))
        for action, by_role in TABLE.items()
    )
    leads = ", ".join(f"`{action}`" for action in TABLE if action in LEAD_ACTIONS)
    teams = ", ".join(f"`{action}`" for action in TABLE if action in TEAM_ACTIONS)
    *shared, last = (
        f"`{action}`" for action in TABLE if scope_within_teams("all", action) == "all"
    )
    return f"""# Permissions by role

*For owners and admins of an organisation.*

`make reference` generates this page from `accounts/roles/rules.py`. [Members, teams and roles](../guides/members.md) explains how to use
roles, teams and leads.

In the table, `all` means all objects in the organisation. `own` means only the person's own objects, such as their keys, the usage and
requests of these keys, their chats and their teams. `–` means that the role does not have the permission.

{table(("Permission", "Allows", *get_args(Role)), rows)}
A custom role is a list of permission names. To limit a permission to the person's own objects, add `:own` to the name of the permission.
You can add `:own` if the table shows `all` for the role `owner` and `own` for another role. A custom role cannot contain `sign_in.write`,
which only owners have, or permissions that only operators have. The permission `content.read` exists only in custom roles, and an owner
decides who gets it.
The column `operator` shows a role in the installation, not in an organisation.

If a member is limited to teams, the following permissions of the member's role apply only to objects of these teams: {teams}.
If an object belongs to no team, the member can use it only if it is the member's own. If the role contains the permissions
{", ".join(shared)} or {last}, these apply to the whole organisation.

The lead of a team has the following permissions in the team, even if the lead's role does not contain them: {leads}. A lead can set budgets only within the team's own budgets.
"""


def _title(action: str) -> object:
    words = WORDS.get(action)
    return f"{words.title}. {words.line}" if words else _OF_OPERATORS[action]


_OF_OPERATORS: Final[Mapping[str, str]] = {
    "sign_in.write": "Set up single sign-on and two-factor requirements.",
    "codes.read": "See codes.",
    "codes.write": "Create and withdraw codes.",
    "credits.read": "See corrections of balances.",
    "credits.write": "Correct balances.",
    "channels.read": "See channels and the installation's pages.",
    "channels.test": "Test channels.",
    "channels.write": "Change channels and the installation's settings.",
    "prices.write": "Set prices and plans.",
    "organisations.read": "See all organisations.",
    "organisations.write": "Create, suspend and archive organisations.",
    "view_as.begin": "View an organisation as one of its roles.",
}


# Operating ----------------------------------------------------------------------------------------


class _Family(NamedTuple):
    name: str
    kind: str
    labels: str
    help: str


def metric_families() -> list[_Family]:
    """Return what `/metrics` shows, by the names under which Prometheus stores it."""
    families = [
        _Family(counter.name, "counter", ", ".join(counter.labels), counter.help)
        for counter in COUNTERS.values()
    ]
    families += [_Family(name, "histogram", "model", text) for name, text, _ in HISTOGRAMS.values()]
    source = ast.parse((ROOT / "config/system/metrics.py").read_text())
    families += [
        _Family(
            _text(call.args[0]),
            call.func.id.removesuffix("MetricFamily").lower(),
            ", ".join(
                _text(label)
                for keyword in call.keywords
                if keyword.arg == "labels" and isinstance(keyword.value, ast.Tuple)
                for label in keyword.value.elts
            ),
            _text(call.args[1]),
        )
        for call in ast.walk(source)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id.endswith("MetricFamily")
        and call.args
        and isinstance(call.args[0], ast.Constant)
    ]
    families += [
        _Family(
            name, "counter" if name == "process_cpu_seconds" else "gauge", "role, process", text
        )
        for name, text, _ in PROCESS_FIGURES
    ]
    return sorted(
        family._replace(name=f"{family.name}_total") if family.kind == "counter" else family
        for family in families
    )


def _code(names: str) -> str:
    return ", ".join(f"`{name}`" for name in names.split(", ") if name) or "–"


def _text(node: ast.expr) -> str:
    if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
        raise TypeError(f"line {node.lineno} has no text")
    return node.value


def metrics() -> str:
    rows = ((f"`{one.name}`", one.kind, _code(one.labels), one.help) for one in metric_families())
    return f"""# Metrics

*For operators.*

`make reference` generates this page from `config/system/metrics.py`. [Watch](../operate/watch.md) explains how to scrape the metrics and
which alerts to set. The [glossary](../reference/glossary.md) explains terms such as attempt, hold, spool, journal and meter.

`GET /metrics` returns the metrics in the text format of Prometheus. Every web process returns the metrics of the whole installation, so
Prometheus needs only one target. In the labels, each of the first 100 models and the first 100 channels that were used has its own value.
All other models and channels share the value `other`. Two metrics are exceptions: `weir_channel_state` and
`weir_channel_requests_in_flight` show each enabled channel by its name. No label names a key, a person, a team or an organisation.

{table(("Name", "Type", "Labels", "Meaning"), rows)}"""


_READERS: Final = {
    "text": "text", "flag": "0 or 1", "number": "whole number", "optional_number": "whole number",
    "seconds": "seconds", "read_kept": "text",
}  # fmt: skip


def settings_page() -> str:
    rows = sorted(_settings())
    return f"""# Settings

*For operators.*

`make reference` generates this page from the code. [Configure](../operate/configure.md#settings) explains most settings, and which settings
Docker Compose sets. [The `weir` command](../reference/command.md) explains `DATA_DIR` and `PORT`.

Weir's processes read the environment variables in the table. If the value of a setting `NAME` is a text, the value can also be in a file.
In this case, set `NAME_FILE` to the path of the file ([Secrets in files](../operate/configure.md#secrets-in-files)). In the column
*Default*, a dash (–) has one of three meanings: the default is empty, the default depends on the installation, or the default is the value
that an operator sets on a page.

{table(("Name", "Value", "Default"), rows)}"""


def _settings() -> Iterator[tuple[str, str, str]]:
    seen = set()
    own = ("config/settings.py", "config/asgi.py", "lib/extensions/installed.py")
    for file in (*(ROOT / name for name in own), *ROOT.glob("extensions/*/settings.py")):
        source = ast.parse(file.read_text())
        modules = {
            alias.name: node.module
            for node in ast.walk(source)
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        for call in ast.walk(source):
            if (
                isinstance(call, ast.Call)
                and isinstance(call.func, ast.Attribute)
                and call.func.attr in _READERS
                and isinstance(call.func.value, ast.Name)
                and call.func.value.id == "env"
                and isinstance(call.args[0], ast.Constant)
                and call.args[0].value not in seen
            ):
                name = _text(call.args[0])
                seen.add(name)
                value = call.args[1] if len(call.args) > 1 else None
                yield f"`{name}`", _READERS[call.func.attr], _default(value, modules)


def _default(value: ast.expr | None, modules: Mapping[str, str]) -> str:
    if isinstance(value, ast.Name) and value.id in modules:
        return f"`{getattr(import_module(modules[value.id]), value.id):g}`"
    if not isinstance(value, ast.Constant) or value.value == "":
        return "–"
    return f"`{int(value.value) if isinstance(value.value, bool) else value.value!s}`"


PAGES: Final[Mapping[str, Callable[[], str]]] = {
    "apply-file": apply_file,
    "headers": headers,
    "errors": errors,
    "events": events,
    "permissions": permissions,
    "metrics": metrics,
    "settings": settings_page,
}


def path_of(name: str) -> Path:
    return ROOT / f"docs/reference/{name}.md"


if __name__ == "__main__":
    for name, page in PAGES.items():
        path_of(name).write_text(page(), encoding="utf-8")

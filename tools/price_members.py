"""Writes docs/reference/price-members.md from the tables that the product reads usage by:

python -m tools.price_members
"""

from collections.abc import Mapping
from pathlib import Path

from dialects.json import request_members
from dialects.usage.usage_members import TABLES, Member

PATH = Path(__file__).parents[1] / "docs/reference/price-members.md"
_TITLES = {
    "chat": "Chat completions",
    "responses": "Responses",
    "anthropic": "Messages",
    "gemini": "Gemini",
    "gemini_live": "Gemini Live",
    "converse": "Converse",
    "interactions": "Interactions",
    "realtime": "Realtime",
    "live": "Live sessions",
    "unary": "Embeddings, images, speech, transcriptions",
}
_HEAD = """# What changes a price

*For operators, and for contributors who change how usage is read.*

This page is generated from `dialects/usage/usage_members.py` and
`dialects/json/request_members.py`. A test compares both files with the types in client libraries
of providers. [Prices](../guides/prices.md) explains how to set prices. A *member* is a field of a
request, or of the usage that a provider reports. Each member has one of these roles:

- **meter**: Weir counts a member of usage on the
  [meters](../reference/glossary.md) in the table. A member of a request affects what is counted.
- **condition**: the member decides which prices apply to the other members.
- **part**: the member concerns another model or step, which has a price of its own.
- **free**: the member changes no price. For members of usage, the table gives the reason.
- **review**: Weir cannot compute a price. If a member of usage with this role counts anything, an
  operator must review the request.

An operator must also review a request if its usage contains a member that is not in the table of
the provider's API. Until the review, Weir charges nothing and keeps the hold (the reserved amount).
In the review, the operator can usually make the member free for later requests.

The following rules apply to models whose price comes from the built-in price list:

- Weir rejects a request that contains a member or tool with the role *review*.
- If the client's API has a table of tools, Weir also rejects a request with a tool that is not in
  this table. A later version of a known tool counts as the known tool.

If Weir translates the request for a provider with another API, the rules for
[tools of one API](../guides/agents.md#tools-of-one-api) apply in place of these two rules.

"""


def page() -> str:
    """The whole page."""
    usage = "".join(_usage(_TITLES[wire], table) for wire, table in TABLES.items())
    requests = "".join(
        _request(title, table)
        for title, table in (
            ("Chat completions", request_members.CHAT),
            ("Responses", request_members.RESPONSES),
            ("Tools of Responses", request_members.RESPONSES_TOOLS),
            ("Messages", request_members.MESSAGES),
            ("Tools of Messages", request_members.MESSAGES_TOOLS),
            ("Gemini", request_members.GENERATE),
            ("Tools of Gemini", request_members.GENERATE_TOOLS),
            ("Interactions", request_members.INTERACTIONS),
            ("Tools of Interactions", request_members.INTERACTIONS_TOOLS),
        )
    )
    return f"{_HEAD}## Usage\n\n{usage}## Requests\n\n{requests}".rstrip() + "\n"


def _usage(title: str, table: Mapping[str, Member]) -> str:
    rows = "".join(
        f"| `{path}` | {member.role} | {member.word} | {member.of} |\n"
        for path, member in table.items()
    )
    head = "| Member | Role | Meters or reason | Sent by |\n|---|---|---|---|\n"
    return f"### Usage of {title}\n\n{head}{rows}\n"


def _request(title: str, table: Mapping[str, str]) -> str:
    roles: dict[str, list[str]] = {}
    for name, role in table.items():
        roles.setdefault(role, []).append(f"`{name}`")
    rows = "".join(f"| {role} | {', '.join(names)} |\n" for role, names in roles.items())
    return f"### Requests: {title}\n\n| Role | Members |\n|---|---|\n{rows}\n"


if __name__ == "__main__":
    PATH.write_text(page(), encoding="utf-8")

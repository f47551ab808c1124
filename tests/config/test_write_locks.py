"""Which writes come one by one: what is counted or compared first is locked before it is read.

Each write of the table is made, and the first row that it locks is looked at: two of one
organisation wait for each other, and take their locks in the same order.
"""

import re
from typing import Final

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from accounts.access.actors import SYSTEM
from accounts.single_sign_on import single_sign_on
from tests.config.writes import BEFORE, WRITES
from tests.config.writes.world import World, world

__all__ = ["world"]

_LOCKED: Final = re.compile(r'FROM "(\w+)".* FOR (?:NO KEY )?UPDATE')
# The table of the first row that a write locks.
FIRST: Final = {
    **dict.fromkeys(
        (
            "accounts.members.invitations.accept",
            "accounts.members.invitations.accept_as_new",
            "accounts.members.invitations.invite",
            "accounts.members.members.add_member",
            "accounts.members.members.remove_member",
            "accounts.members.members.set_member",
            "accounts.organisations.projects.create_project",
            "accounts.organisations.teams.archive_team",
            "accounts.organisations.teams.create_team",
            "notify.webhooks.endpoints.create_endpoint",
            "playground.erasure.departures.depart",
        ),
        "accounts_organisation",
    ),
    "accounts.keys.keys.change_key": "accounts_key",
    "accounts.keys.keys.end_former_secrets": "accounts_key",
    "accounts.keys.keys.revoke_key": "accounts_key",
    "accounts.keys.keys.rotate_key": "accounts_key",
    "accounts.members.departures.transfer_key": "accounts_key",
    "accounts.members.invitations.resend": "accounts_invitation",
    "accounts.members.invitations.withdraw": "accounts_invitation",
    "accounts.roles.custom_roles.change_role": "accounts_customrole",
    "accounts.roles.custom_roles.remove_role": "accounts_customrole",
}


@pytest.mark.parametrize("name", FIRST)
def test_a_write_locks_first_what_it_reads(world: World, name: str) -> None:
    if name in BEFORE:
        BEFORE[name](world)
    with CaptureQueriesContext(connection) as made:
        WRITES[name](world)
    found = [_LOCKED.search(query["sql"]) for query in made.captured_queries]
    locked = [one[1] for one in found if one is not None]
    assert locked[:1] == [FIRST[name]], locked


def test_single_sign_on_is_saved_by_one_at_a_time(world: World) -> None:
    """Two who set it up at once would each make one."""
    with CaptureQueriesContext(connection) as made:
        single_sign_on.save_single_sign_on(
            SYSTEM, world.people.acme, secret="s", issuer="https://a.example", client_id="c",
            domains=[], group_claim="", group_rules=[], default_role="", required=False,
        )  # fmt: skip
    assert any("accounts_organisation" in one["sql"] for one in made if "FOR UPDATE" in one["sql"])

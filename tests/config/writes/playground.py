"""Writes of the playground."""

from typing import Final

from lib.ids import id_text
from playground.chats import sharing
from playground.erasure import departures as all_departures
from playground.payers import payer_rules
from playground.preferences import preferences
from tests.config.writes.world import Writes

WRITES: Final[Writes] = {
    "playground.erasure.departures.depart": lambda w: all_departures.depart(
        w.alice, w.membership, all_departures.Departure()
    ),
    "playground.erasure.departures.leave_chats": lambda w: all_departures.leave_chats(
        w.alice, w.people.alice.memberships.get(), w.membership
    ),
    "playground.preferences.preferences.choose_organisation_model": lambda w: (
        preferences.choose_organisation_model(w.alice, "m")
    ),
    "playground.payers.payer_rules.change_rules": lambda w: payer_rules.change_rules(
        w.alice, {"developer": "own"}
    ),
    "playground.preferences.preferences.set_leaving_rule": lambda w: preferences.set_leaving_rule(
        w.alice, 30
    ),
    "playground.chats.sharing.revoke_link": lambda w: sharing.revoke_link(
        w.alice, id_text(w.link.id)
    ),
    "playground.chats.sharing.share_branch": lambda w: sharing.share_branch(
        w.alice, w.conversation, days=1, members_only=False, system_shown=True, cost_shown=True
    ),
}

"""Writes of the playground."""

from typing import Final

from content.prompts import prompts
from content.prompts.settings import Settings
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
    "content.prompts.prompts.delete_prompt": lambda w: prompts.delete_prompt(
        w.alice, w.prompt.prompt
    ),
    "content.prompts.prompts.share_prompt": lambda w: prompts.share_prompt(
        w.alice, w.prompt.prompt, shared=False
    ),
    "content.prompts.prompts.move_label": lambda w: prompts.move_label(
        w.alice, w.prompt, "staging"
    ),
    "content.prompts.prompts.remove_label": lambda w: prompts.remove_label(
        w.alice, w.prompt.prompt, "production"
    ),
    "content.prompts.prompts.roll_back_label": lambda w: prompts.roll_back_label(
        w.alice, w.prompt.prompt, "production", 2
    ),
    "content.prompts.prompts.save_prompt": lambda w: prompts.save_prompt(
        w.alice, "bye", "m-1", Settings(), note="", shared=False
    ),
    "playground.chats.sharing.revoke_link": lambda w: sharing.revoke_link(
        w.alice, id_text(w.link.id)
    ),
    "playground.chats.sharing.share_branch": lambda w: sharing.share_branch(
        w.alice, w.conversation, days=1, members_only=False, system_shown=True, cost_shown=True
    ),
}

"""Who pays for a chat: a key, and through it a team and a project label.

The playground's own key pays unless another is chosen. Another person's personal key can never be
chosen (`accounts.access.access.payable_keys`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404
from django.utils.translation import gettext

from accounts.access.access import get_by_id, require, scope_of
from accounts.access.actors import Actor, organisation_of, person_of
from accounts.keys.keys import playground_key
from accounts.models import Key, KeyKind
from accounts.names.labels import LABEL_LENGTH, is_label
from billing.models import Budget, BudgetScope
from lib.ids import id_text
from lib.refusal import Refused
from playground.models import Conversation, PayerRule, PaymentPreference
from playground.payers.payer_rules import check_playground_key, paying_keys, rule_of
from playground.relaying.relaying import ChatRelay
from relay.credentials.keys import Principal
from relay.requests.labels import NO_LABELS, Labels


@dataclass(frozen=True)
class Payer:
    """The payer of a request, whose budgets and limits apply. `project` is "" for none."""

    key: Key
    project: str = ""

    @property
    def chosen_key(self) -> Key | None:
        """Return the key to store: None for the playground's own."""
        return None if self.key.kind == KeyKind.PLAYGROUND else self.key

    @property
    def labels(self) -> Labels:
        return Labels(project=self.project) if self.project else NO_LABELS

    async def principal(self, actor: Actor, relay: ChatRelay) -> Principal:
        """Return the relay's principal for the key as the actor uses it. Raises RequestFault,
        DatabaseAway."""
        return await relay.principal_of_key(self.key.id, person_of(actor).id)


def read_payer(actor: Actor, key_id: str, project: str) -> Payer:
    """Return the payer that a form names; `key_id` "" is the playground's own key. Raises
    Refused."""
    project = check_project(project)
    if not key_id:
        check_playground_key(actor)
        return Payer(playground_key(organisation_of(actor)), project)
    try:
        return Payer(get_by_id(paying_keys(actor, rule_of(actor)), key_id), project)
    except Http404 as error:
        message = gettext("This key cannot pay for chats any more. Choose another one.")
        raise Refused("key", message) from error


def check_project(project: str) -> str:
    """Return the project that a form names, "" for none. Raises Refused."""
    project = project.strip()
    if project and not is_label(project):
        message = gettext("A project name can have up to %(n)s visible characters.")
        raise Refused("project", message % {"n": LABEL_LENGTH})
    return project


def payer_of_chat(actor: Actor, conversation: Conversation) -> Payer:
    """Return the chat's last payer, if the actor may still choose it. Raises Refused."""
    key_id = id_text(conversation.key_id) if conversation.key_id else ""
    return read_payer(actor, key_id, conversation.project)


def payer_of_form(
    actor: Actor, sent: Mapping[str, str], conversation: Conversation | None
) -> Payer:
    """Return the payer chosen in the form. A retry without a choice is paid as the chat was. Raises
    Refused."""
    if "key" in sent:
        return read_payer(actor, sent["key"], sent.get("project", ""))
    return payer_of_chat(actor, conversation) if conversation else checked_default(actor)


def displayed_payer(
    actor: Actor, sent: Mapping[str, str], conversation: Conversation | None
) -> Payer:
    """Return the payer to show in the composer: the default if the chosen one cannot pay."""
    try:
        return payer_of_form(actor, sent, conversation)
    except Refused:
        return default_payer(actor)


def stored_payer(conversation: Conversation) -> Payer:
    """Return the payer that was chosen for the chat's last turn."""
    key = conversation.key or playground_key(conversation.organisation)
    return Payer(key, conversation.project)


def default_payer(actor: Actor) -> Payer:
    """Return the payer of the actor's new chats."""
    chosen = _preference(actor)
    project = chosen.project if chosen else ""
    try:
        return read_payer(
            actor, id_text(chosen.key_id) if chosen and chosen.key_id else "", project
        )
    except Refused:  # the key has ended, belongs to somebody else now, or is not allowed
        rule = rule_of(actor)
        own = paying_keys(actor, rule).first() if rule == PayerRule.OWN else None
        return Payer(own or playground_key(organisation_of(actor)), project)


def chosen_default(actor: Actor) -> Payer:
    """Return the payer that the actor chose for new chats, even if it cannot pay now. A revoked key
    never can again, and is not chosen any more."""
    chosen = _preference(actor)
    if chosen and chosen.key and chosen.key.revoked_at is None:
        return Payer(chosen.key, chosen.project)
    return Payer(playground_key(organisation_of(actor)), chosen.project if chosen else "")


def checked_default(actor: Actor) -> Payer:
    """Return `default_payer` for a request without a choice. Raises Refused if no key may pay."""
    payer = default_payer(actor)
    if payer.chosen_key is None:
        check_playground_key(actor)
    return payer


def choose_default_payer(actor: Actor, payer: Payer) -> None:
    """Set the payer of the actor's new chats in the organisation."""
    require(actor, "playground.use")
    PaymentPreference.objects.update_or_create(
        user=person_of(actor),
        organisation=organisation_of(actor),
        defaults={"key": payer.chosen_key, "project": payer.project},
    )


def _preference(actor: Actor) -> PaymentPreference | None:
    return PaymentPreference.objects.filter(
        user=person_of(actor), organisation=organisation_of(actor)
    ).first()


# What a page shows about payers ----------------------------------------------------------------


def payers_context(
    actor: Actor, sent: Mapping[str, str], conversation: Conversation | None
) -> dict[str, Any]:
    """Build the context of the payers that a chat offers, and the chosen one."""
    payer, rule = displayed_payer(actor, sent, conversation), rule_of(actor)
    return {
        "payer": payer,
        "payer_id": id_text(payer.key.id) if payer.chosen_key else "",
        "own_key": None if rule == PayerRule.OWN else playground_key(organisation_of(actor)),
        "paying_keys": [(id_text(key.id), key) for key in paying_keys(actor, rule)],
        "projects": _projects(actor),
    }


def _projects(actor: Actor) -> Sequence[str]:
    """Return the projects with a budget, for readers of all budgets."""
    if scope_of(actor, "budgets.read") != "all":
        return ()
    budgets = Budget.objects.filter(
        organisation=organisation_of(actor), scope=BudgetScope.PROJECT, enabled=True
    )
    return sorted(set(budgets.values_list("subject", flat=True)))

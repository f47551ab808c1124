"""Every kind of object and of event of the audit log, in words.

A sentence has one or more forms, the most informative first. The first form whose facts are all
known is used.
"""

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

INSTALLATION_OBJECTS: Final[Mapping[str, Promise]] = {
    "feedback": _("Feedback"),
    "announcement": _("Announcement"),
    "billdifference": _("Bill difference"),
    "catalogueignorerule": _("Catalogue update"),
    "catalogueupdate": _("Catalogue update"),
    "channeltestrun": _("Channel test"),
    "exchangerate": _("Exchange rate"),
    "modelalias": _("Alias"),
    "modelentry": _("Model"),
    "modelproposal": _("Model"),
    "modelrule": _("Model rule"),
    "providerbill": _("Provider bill"),
    "setuplink": _("Set-up link"),
    "signupsetting": _("Sign-up"),
    "subscriptionplan": _("Subscription plan"),
    "authenticator": _("Two-factor authentication"),
    "channel": _("Channel"),
    "channelkey": _("Channel key"),
    "codebatch": _("Code batch"),
    "detachedmonth": _("Month of requests"),
    "finding": _("Ledger finding"),
    "installationsetting": _("Installation settings"),
    "jobrun": _("Background job"),
    "plan": _("Price plan"),
    "price": _("Price"),
    "pricepreview": _("Price preview"),
    "priceproposal": _("Price draft"),
    "priceversion": _("Price version"),
    "acceptedmember": _("Accepted usage member"),
    "sealcut": _("Audit log"),
    "trialsetting": _("Trial credit"),
    "secretcheck": _("Encryption keys"),
    "sellerdetail": _("Seller"),
    "signinlink": _("Sign-in link"),
    "taxrate": _("Tax"),
    "ownkeyoffer": _("Channel for own keys"),
}
"""These objects appear in the installation's log only: no organisation's log has events about
them."""
OBJECTS: Final[Mapping[str, Promise]] = {
    "account": _("Credit line"),
    "approval": _("Approval by two"),
    "chartnote": _("Note"),
    "redemption": _("Code"),
    "subscription": _("Subscription"),
    "budget": _("Budget"),
    "budgetraise": _("Increase request"),
    "endedsession": _("Session"),
    "entry": _("Content log"),
    "logrule": _("Content log"),
    "policy": _("Policies"),
    "buyerdetail": _("Billing details"),
    "conversation": _("Chat"),
    "credit": _("Correction"),
    "customrole": _("Role"),
    "delivery": _("Delivery"),
    "export": _("Export"),
    "invitation": _("Invitation"),
    "invoice": _("Invoice"),
    "key": _("API key"),
    "leavingrule": _("Playground rule"),
    "mailserver": _("Mail server"),
    "membership": _("Member"),
    "organisation": _("Organisation"),
    "organisationplan": _("Price plan"),
    "organisationpreference": _("Playground settings"),
    "preset": _("Preset"),
    "processorevent": _("Payment event"),
    "project": _("Project"),
    "promogrant": _("Promotional credit"),
    "prompt": _("Prompt"),
    "promptversion": _("Prompt version"),
    "reportschedule": _("Report by email"),
    "review": _("Review"),
    "safeguard": _("Safeguard"),
    "trial": _("Trial credit"),
    "savedview": _("Saved view"),
    "serviceaccount": _("Service account"),
    "sharelink": _("Share link"),
    "singlesignon": _("Single sign-on"),
    "team": _("Team"),
    "ownkey": _("Provider key"),
    "topup": _("Top-up"),
    "user": _("Person"),
    "walletsetting": _("Billing alerts"),
    "webhookendpoint": _("Webhook"),
    **INSTALLATION_OBJECTS,
}

Act = Literal["created", "changed", "removed", "decided", "security", "read", "ran"]
"""Groups of actions, for the filter of the log."""
ACTS: Final[Mapping[Act, Promise]] = {
    "created": _("Created or restored"),
    "changed": _("Changed"),
    "removed": _("Removed or ended"),
    "decided": _("Requested or decided"),
    "security": _("Sign-in and security"),
    "read": _("Read contents"),
    "ran": _("Ran or recorded"),
}


class Sentence(NamedTuple):
    """The sentence of a kind of event; `own` is used when people act on themselves."""

    act: Act
    forms: tuple[Promise, ...]
    own: Promise | None = None


def _of(act: Act, *forms: Promise, own: Promise | None = None) -> Sentence:
    return Sentence(act, forms, own)


SENTENCES: Final[Mapping[str, Sentence]] = {
    # Accounts: people and how they sign in.
    "user.created": _of(
        "created", _("%(who)s created an account for %(name)s"), own=_("%(who)s created an account")
    ),
    "user.named": _of("changed", _("%(who)s changed the name of %(email)s to %(name)s")),
    "user.operator": _of("security", _("%(who)s made %(name)s an operator")),
    "user.activated": _of("changed", _("%(who)s activated the account of %(name)s")),
    "user.deactivated": _of("changed", _("%(who)s deactivated the account of %(name)s")),
    "user.signed_in": _of("security", _("%(who)s signed in")),
    "device.allowed": _of("security", _("%(who)s signed in %(client)s on a device")),
    "device.denied": _of("security", _("%(who)s refused to sign in %(client)s on a device")),
    "user.data_downloaded": _of(
        "ran",
        _("%(who)s downloaded the personal data of %(name)s"),
        own=_("%(who)s downloaded their personal data"),
    ),
    "user.erasure_asked": _of(
        "decided",
        _("%(who)s requested the erasure of %(name)s"),
        own=_("%(who)s requested their own erasure"),
    ),
    "user.erased": _of("removed", _("%(who)s erased a person, who is now %(pseudonym)s")),
    "sign_in_link.made": _of("security", _("%(who)s created a sign-in link for %(name)s")),
    "sign_in_link.used": _of("security", _("%(who)s signed in with a link")),
    "sessions.ended": _of(
        "security",
        _("%(who)s ended %(count)s of the sessions of %(name)s"),
        own=_("%(who)s ended %(count)s of their own sessions"),
    ),
    "password.changed": _of("security", _("%(who)s changed their password")),
    "passkey.added": _of("security", _("%(who)s added a passkey")),
    "passkey.removed": _of("security", _("%(who)s removed a passkey")),
    "passkey.renamed": _of("security", _("%(who)s renamed a passkey")),
    "authenticator_app.added": _of("security", _("%(who)s set up an authenticator app")),
    "authenticator_app.removed": _of("security", _("%(who)s removed their authenticator app")),
    "recovery_codes.made": _of("security", _("%(who)s created new recovery codes")),
    "recovery_code.used": _of(
        "security", _("%(who)s signed in with a recovery code, %(left)s left")
    ),
    "second_factor.reset": _of(
        "security", _("%(who)s reset the two-factor authentication of %(name)s")
    ),
    "single_sign_on.saved": _of("changed", _("%(who)s changed the single sign-on settings")),
    "single_sign_on.removed": _of("removed", _("%(who)s removed single sign-on")),
    "single_sign_on.confirmed": _of(
        "decided",
        _("%(who)s confirmed %(domains)s for single sign-on"),
        _("%(who)s confirmed domains for single sign-on"),
    ),
    "single_sign_on.unconfirmed": _of(
        "decided",
        _("%(who)s withdrew the confirmation of %(domains)s for single sign-on"),
        _("%(who)s withdrew the confirmation of domains for single sign-on"),
    ),
    "single_sign_on.joined": _of(
        "security", _("%(who)s connected their account to the single sign-on of %(by)s")
    ),
    "view_as.began": _of("security", _("%(who)s started viewing organisation %(name)s")),
    "view_as.ended": _of("security", _("%(who)s stopped viewing organisation %(name)s")),
    "set_up_link.made": _of("security", _("%(who)s created the link for the first operator")),
    "installation.set_up": _of("created", _("%(who)s set up the installation")),
    "sign_up.changed": _of("changed", _("%(who)s changed who can sign up")),
    # Accounts: members, roles, invitations.
    "member.set": _of(
        "changed",
        _("%(who)s added %(name)s with the role %(first_role)s"),
        _("%(who)s changed the role of %(name)s from %(old_role)s to %(new_role)s"),
        _("%(who)s changed the teams of %(name)s"),
    ),
    "member.removed": _of(
        "removed",
        _("%(who)s removed %(name)s from the organisation"),
        own=_("%(who)s left the organisation"),
    ),
    "member.limited": _of("changed", _("%(who)s changed the limits of %(name)s")),
    "member.plan": _of(
        "changed",
        _("%(who)s put %(name)s on price plan %(plan)s"),
        _("%(who)s changed the price plan of %(name)s"),
    ),
    "invitation.created": _of(
        "created",
        _("%(who)s invited %(name)s as %(role)s"),
        _("%(who)s created an invite link for the role %(role)s"),
        _("%(who)s created an invitation"),
    ),
    "invitation.resent": _of(
        "ran", _("%(who)s resent the invitation of %(name)s"), _("%(who)s resent an invitation")
    ),
    "invitation.accepted": _of("created", _("%(who)s accepted an invitation as %(role)s")),
    "invitation.withdrawn": _of(
        "removed",
        _("%(who)s withdrew the invitation of %(name)s"),
        _("%(who)s withdrew an invitation"),
    ),
    "role.created": _of("created", _("%(who)s created role %(name)s")),
    "role.changed": _of(
        "changed",
        _("%(who)s renamed role %(old_name)s to %(new_name)s"),
        _("%(who)s changed role %(name)s"),
    ),
    "role.removed": _of("removed", _("%(who)s deleted role %(name)s")),
    # Accounts: keys.
    "key.created": _of("created", _("%(who)s created API key %(name)s")),
    "key.brought": _of("created", _("%(who)s imported API key %(name)s")),
    "key.changed": _of(
        "changed",
        _("%(who)s renamed API key %(old_name)s to %(new_name)s"),
        _("%(who)s changed API key %(name)s"),
    ),
    "key.rotated": _of("security", _("%(who)s rotated API key %(name)s")),
    "key.former_secrets_ended": _of(
        "security", _("%(who)s ended the old secrets of API key %(name)s")
    ),
    "key.end_user_secret_read": _of(
        "security", _("%(who)s read the end-user secret of API key %(name)s")
    ),
    "key.revoked": _of("removed", _("%(who)s revoked API key %(name)s")),
    "key.transferred": _of("changed", _("%(who)s transferred API key %(name)s to %(owner)s")),
    "service_account.created": _of("created", _("%(who)s created service account %(name)s")),
    "service_account.changed": _of("changed", _("%(who)s changed service account %(name)s")),
    # Accounts: organisations, teams, projects.
    "organisation.created": _of("created", _("%(who)s created organisation %(name)s")),
    "organisation.renamed": _of(
        "changed", _("%(who)s renamed organisation %(old_name)s to %(new_name)s")
    ),
    "organisation.changed": _of(
        "changed", _("%(who)s changed the settings of organisation %(name)s")
    ),
    "organisation.limited": _of(
        "changed", _("%(who)s changed the limits of organisation %(name)s")
    ),
    "organisation.archived": _of("removed", _("%(who)s archived organisation %(name)s")),
    "organisation.restored": _of("created", _("%(who)s restored organisation %(name)s")),
    "organisation.suspended": _of("decided", _("%(who)s suspended organisation %(name)s")),
    "organisation.unsuspended": _of(
        "decided", _("%(who)s lifted the suspension of organisation %(name)s")
    ),
    "organisation.plan": _of(
        "changed",
        _("%(who)s put organisation %(name)s on price plan %(plan)s"),
        _("%(who)s changed the price plan of organisation %(name)s"),
    ),
    "organisation.charge_rule_changed": _of(
        "changed",
        _(
            "%(who)s changed what organisation %(name)s is charged for abandoned and "
            "failed requests"
        ),
    ),
    "organisation.credit_line_changed": _of(
        "changed",
        _("%(who)s changed the credit line from %(old_credit_line)s to %(new_credit_line)s"),
    ),
    "team.created": _of("created", _("%(who)s created team %(name)s")),
    "team.renamed": _of("changed", _("%(who)s renamed team %(old_name)s to %(new_name)s")),
    "team.changed": _of("changed", _("%(who)s changed the settings of team %(name)s")),
    "team.limited": _of("changed", _("%(who)s changed the limits of team %(name)s")),
    "team.plan": _of(
        "changed",
        _("%(who)s put team %(name)s on price plan %(plan)s"),
        _("%(who)s changed the price plan of team %(name)s"),
    ),
    "team.archived": _of("removed", _("%(who)s archived team %(name)s")),
    "team.restored": _of("created", _("%(who)s restored team %(name)s")),
    "project.created": _of("created", _("%(who)s created project %(name)s")),
    "project.changed": _of("changed", _("%(who)s changed project %(name)s")),
    "project.archived": _of("removed", _("%(who)s archived project %(name)s")),
    "project.restored": _of("created", _("%(who)s restored project %(name)s")),
    # Billing: budgets.
    "budget.created": _of(
        "created",
        _("%(who)s created a budget of %(amount)s for %(subject)s"),
        _("%(who)s created a budget"),
    ),
    "budget.changed": _of(
        "changed",
        _("%(who)s raised the budget of %(subject)s from %(raised_amount)s to %(new_amount)s"),
        _("%(who)s lowered the budget of %(subject)s from %(lowered_amount)s to %(new_amount)s"),
        _("%(who)s changed the budget of %(subject)s"),
        _("%(who)s changed a budget"),
    ),
    "budget.removed": _of(
        "removed", _("%(who)s deleted the budget of %(subject)s"), _("%(who)s deleted a budget")
    ),
    "budget.restored": _of(
        "created", _("%(who)s restored the budget of %(subject)s"), _("%(who)s restored a budget")
    ),
    "budget.handed_over": _of(
        "changed",
        _("%(who)s handed over the budget of %(subject)s"),
        _("%(who)s handed over a budget"),
    ),
    "budget.end_user_changed": _of(
        "changed",
        _("%(who)s set the budget of end user %(end_user)s to %(new_amount)s"),
        _("%(who)s set the budget of end user %(end_user)s back to that of all"),
    ),
    "budget.alert_tested": _of("ran", _("%(who)s sent a test alert of a budget")),
    "agent_session.ended": _of(
        "removed", _("%(who)s ended session %(name)s"), _("%(who)s ended a session")
    ),
    "agent_session.reopened": _of(
        "created", _("%(who)s reopened session %(name)s"), _("%(who)s reopened a session")
    ),
    "raise.asked": _of("decided", _("%(who)s requested a budget increase of %(amount)s")),
    "raise.approved": _of("decided", _("%(who)s approved a budget increase of %(amount)s")),
    "raise.denied": _of("decided", _("%(who)s rejected a budget increase of %(amount)s")),
    "raise.ended": _of("removed", _("%(who)s ended a budget increase of %(amount)s")),
    # Billing: balance, payments, codes.
    "topup.ordered": _of("created", _("%(who)s started a top-up of %(amount)s")),
    "topup.confirmed": _of("decided", _("%(who)s confirmed a top-up of %(amount)s")),
    "topup.cancelled": _of("removed", _("%(who)s cancelled a top-up of %(amount)s")),
    "payment.paid": _of("ran", _("%(who)s received a payment of %(amount)s")),
    "payment.pending": _of("ran", _("%(who)s recorded a pending payment of %(amount)s")),
    "payment.failed": _of("ran", _("%(who)s recorded a failed payment of %(amount)s")),
    "payment.expired": _of("ran", _("%(who)s recorded an expired payment of %(amount)s")),
    "payment.refunded": _of("ran", _("%(who)s recorded a refund of %(amount)s")),
    "payment.unrefunded": _of("ran", _("%(who)s recorded a returned refund of %(amount)s")),
    "payment.disputed": _of("ran", _("%(who)s recorded a disputed payment of %(amount)s")),
    "payment.reinstated": _of("ran", _("%(who)s recorded a reinstated payment of %(amount)s")),
    "wallet.alert_set": _of(
        "changed",
        _("%(who)s set the low-balance alert to %(low)s"),
        _("%(who)s changed the low-balance alert"),
    ),
    "wallet.automatic_set": _of("changed", _("%(who)s changed automatic top-ups")),
    "wallet.automatic_stopped": _of("removed", _("%(who)s stopped automatic top-ups")),
    "code.redeemed": _of("ran", _("%(who)s redeemed a code of %(amount)s")),
    "codes.created": _of("created", _("%(who)s created %(count)s codes in batch %(name)s")),
    "codes.brought": _of("created", _("%(who)s imported %(count)s codes")),
    "codes.downloaded": _of("ran", _("%(who)s downloaded %(count)s codes")),
    "codes.killed": _of("removed", _("%(who)s disabled the codes of batch %(name)s")),
    "trial.given": _of("created", _("%(who)s got %(amount)s of trial credit")),
    "trial_setting.changed": _of("changed", _("%(who)s changed trial credit")),
    "credit.posted": _of("changed", _("%(who)s corrected the balance by %(amount)s")),
    "approval.asked": _of("decided", _("%(who)s requested a change: %(about)s")),
    "approval.approved": _of("decided", _("%(who)s approved a change: %(about)s")),
    "approval.rejected": _of("decided", _("%(who)s rejected a change: %(about)s")),
    "approval.withdrawn": _of("decided", _("%(who)s withdrew a change: %(about)s")),
    # Billing: invoices, subscriptions.
    "invoice.drafted": _of("created", _("%(who)s drafted the invoice for %(month)s")),
    "invoice.closed": _of("decided", _("%(who)s closed invoice %(number)s of %(total)s")),
    "invoice.payment_recorded": _of(
        "created", _("%(who)s recorded a payment of %(amount)s on invoice %(number)s")
    ),
    "seller.changed": _of("changed", _("%(who)s changed the seller on invoices")),
    "billing_details.changed": _of("changed", _("%(who)s changed the billing details")),
    "tax_rate.added": _of("created", _("%(who)s added tax rate %(name)s of %(percent)s%%")),
    "exchange_rate.added": _of("created", _("%(who)s added the exchange rate of %(currency)s")),
    "subscription.plan_chosen": _of("changed", _("%(who)s chose subscription plan %(after)s")),
    "subscription.renewed": _of("ran", _("%(who)s renewed subscription plan %(plan)s")),
    "subscription.unpaid": _of(
        "ran", _("%(who)s recorded that subscription plan %(plan)s is unpaid")
    ),
    "subscription.resumed": _of("changed", _("%(who)s resumed subscription plan %(plan)s")),
    "subscription.cancelled": _of("removed", _("%(who)s cancelled subscription plan %(plan)s")),
    "subscription.ended": _of("removed", _("%(who)s ended subscription plan %(plan)s")),
    "subscription_plan.written": _of("created", _("%(who)s created subscription plan %(name)s")),
    "subscription_plan.offered": _of("changed", _("%(who)s offered subscription plan %(name)s")),
    "subscription_plan.archived": _of("removed", _("%(who)s archived subscription plan %(name)s")),
    # Billing: prices.
    "price.set": _of("changed", _("%(who)s set the price of %(name)s from %(valid_from)s")),
    "price.ended": _of(
        "removed",
        _("%(who)s ended the price of %(name)s on %(valid_to)s"),
        _("%(who)s cleared the end of the price of %(name)s"),
    ),
    "price.removed": _of("removed", _("%(who)s removed a price of %(name)s")),
    "price.drafted": _of("created", _("%(who)s drafted a price of %(name)s")),
    "price.proposal_ignored": _of("decided", _("%(who)s ignored a price draft of %(name)s")),
    "plan.saved": _of("changed", _("%(who)s saved price plan %(name)s")),
    "plan.removed": _of("removed", _("%(who)s deleted price plan %(name)s")),
    "catalogue.loaded": _of("ran", _("%(who)s loaded the prices of %(source)s")),
    "catalogue.proposed": _of("created", _("%(who)s drafted price changes from %(source)s")),
    "upstream.prices_proposed": _of("created", _("%(who)s drafted price changes from %(source)s")),
    "audit.cut": _of("removed", _("%(who)s removed old events from the audit log")),
    # Gateway: channels.
    "own_key.added": _of("created", _("%(who)s added provider key %(name)s")),
    "own_key.rotated": _of("changed", _("%(who)s replaced provider key %(name)s")),
    "own_key.changed": _of("changed", _("%(who)s changed provider key %(name)s")),
    "own_key.removed": _of("removed", _("%(who)s deleted provider key %(name)s")),
    "own_key.forgotten": _of(
        "removed", _("%(who)s moved the channel of provider key %(name)s, which lost its secret")
    ),
    "own_key_offer.created": _of(
        "created", _("%(who)s offered channel %(name)s to organisations with their own keys")
    ),
    "own_key_offer.changed": _of(
        "changed", _("%(who)s changed who may use channel %(name)s with their own keys")
    ),
    "own_key_offer.ended": _of(
        "removed", _("%(who)s ended the offer of channel %(name)s for own keys")
    ),
    "channel.created": _of(
        "created",
        _("%(who)s created channel %(name)s as a copy of %(copy_of)s"),
        _("%(who)s created channel %(name)s"),
    ),
    "channel.changed": _of("changed", _("%(who)s changed channel %(name)s")),
    "channel.archived": _of("removed", _("%(who)s archived channel %(name)s")),
    "channel.restored": _of("created", _("%(who)s restored channel %(name)s")),
    "channel.removed": _of("removed", _("%(who)s deleted channel %(name)s")),
    "channel.taken_out": _of("changed", _("%(who)s took channel %(name)s out of service")),
    "channel.taken_in": _of("changed", _("%(who)s returned channel %(name)s to service")),
    "channel.balance_asked": _of("ran", _("%(who)s read the balance of channel %(name)s")),
    "channel.tested": _of("ran", _("%(who)s tested channel %(name)s with %(model)s")),
    "channels.tested": _of("ran", _("%(who)s tested channels: %(channels)s")),
    "channel.prices_followed": _of(
        "changed", _("%(who)s made channel %(name)s follow its provider's prices")
    ),
    "channel.prices_unfollowed": _of(
        "changed", _("%(who)s stopped channel %(name)s from following its provider's prices")
    ),
    "channel.models_changed": _of(
        "ran", _("%(who)s found that the provider changed the models of channel %(name)s")
    ),
    "channel.models_decided": _of(
        "decided", _("%(who)s decided on the changed models of channel %(name)s")
    ),
    # Gateway: models, routing, catalogue.
    "alias.saved": _of("changed", _("%(who)s pointed alias %(name)s to %(after)s")),
    "alias.removed": _of("removed", _("%(who)s removed alias %(name)s")),
    "model_rule.saved": _of("changed", _("%(who)s changed the rule of model %(name)s")),
    "model_rule.removed": _of("removed", _("%(who)s removed the rule of model %(name)s")),
    "model.saved": _of("changed", _("%(who)s changed the facts of model %(name)s")),
    "model.cleared": _of("removed", _("%(who)s cleared the own facts of model %(name)s")),
    "model.probed": _of(
        "ran", _("%(who)s probed the capabilities of model %(name)s on channel %(channel)s")
    ),
    "model.proposal_accepted": _of(
        "decided", _("%(who)s accepted a proposed fact of model %(name)s")
    ),
    "model.proposal_dismissed": _of(
        "decided", _("%(who)s dismissed a proposed fact of model %(name)s")
    ),
    "catalogue.compared": _of("ran", _("%(who)s compared the catalogue with %(source)s")),
    "catalogue.ignored": _of(
        "decided",
        _("%(who)s ignored catalogue updates of model %(name)s"),
        _("%(who)s ignored catalogue updates of a model"),
    ),
    "catalogue.not_ignored": _of(
        "decided", _("%(who)s stopped ignoring catalogue updates of model %(name)s")
    ),
    "preview.started": _of("ran", _("%(who)s started a price preview over %(days)s days")),
    "preview.cancelled": _of("removed", _("%(who)s cancelled a price preview")),
    "mail_server.changed": _of("changed", _("%(who)s changed the mail server")),
    "mail_server.removed": _of("removed", _("%(who)s removed the mail server")),
    "safeguard.changed": _of("changed", _("%(who)s set the safeguard %(name)s to %(after)s")),
    "settings.changed": _of("changed", _("%(who)s changed the installation settings")),
    "announcement.published": _of("created", _("%(who)s published an announcement")),
    "announcement.changed": _of("changed", _("%(who)s changed an announcement")),
    "announcement.ended": _of("removed", _("%(who)s ended an announcement")),
    "announcement.withdrawn": _of("removed", _("%(who)s withdrew an announcement")),
    # Notify.
    "webhook.created": _of("created", _("%(who)s added webhook %(name)s")),
    "webhook.changed": _of("changed", _("%(who)s changed webhook %(name)s")),
    "webhook.rotated": _of("security", _("%(who)s rotated the secret of webhook %(name)s")),
    "webhook.tested": _of("ran", _("%(who)s tested webhook %(name)s")),
    "webhook.removed": _of("removed", _("%(who)s deleted webhook %(name)s")),
    "delivery.repeated": _of("ran", _("%(who)s repeated a delivery")),
    # Playground.
    "chats.left": _of(
        "removed", _("%(who)s settled what happens to the chats of %(name)s, who left")
    ),
    "conversation.shared": _of("created", _("%(who)s shared a chat by link")),
    "conversation.unshared": _of("removed", _("%(who)s stopped sharing a chat")),
    "prompt.saved": _of("changed", _("%(who)s saved version %(version)s of prompt %(name)s")),
    "prompt.shared": _of("changed", _("%(who)s changed who sees prompt %(name)s")),
    "prompt.put_in_production": _of(
        "changed",
        _("%(who)s put version %(after)s of prompt %(name)s in production"),
        _("%(who)s changed the production version of prompt %(name)s"),
    ),
    "prompt.label_moved": _of(
        "changed", _("%(who)s put label %(label)s of prompt %(name)s on version %(after)s")
    ),
    "prompt.label_rolled_back": _of(
        "changed", _("%(who)s rolled label %(label)s of prompt %(name)s back to version %(after)s")
    ),
    "prompt.label_removed": _of("removed", _("%(who)s removed label %(label)s of prompt %(name)s")),
    "prompt.deleted": _of("removed", _("%(who)s deleted prompt %(name)s")),
    "playground.default_model_changed": _of(
        "changed",
        _("%(who)s set the playground's default model to %(new_default_model)s"),
        _("%(who)s changed the playground's default model"),
    ),
    "playground.leaving_rule_changed": _of(
        "changed", _("%(who)s changed how long the playground waits for someone who left")
    ),
    "playground.payer_rules_changed": _of(
        "changed", _("%(who)s changed who pays in the playground")
    ),
    # Usage.
    "export.started": _of("ran", _("%(who)s started an export")),
    "export.deleted": _of("removed", _("%(who)s deleted an export")),
    "view.saved": _of("created", _("%(who)s saved view %(name)s")),
    "view.changed": _of("changed", _("%(who)s changed view %(name)s")),
    "view.deleted": _of("removed", _("%(who)s deleted view %(name)s")),
    "report.scheduled": _of("created", _("%(who)s scheduled report %(name)s")),
    "report.ended": _of("removed", _("%(who)s ended report %(name)s")),
    "report.receivers_removed": _of(
        "changed", _("%(who)s removed recipients who may no longer get report %(name)s")
    ),
    "report.left": _of("changed", _("%(who)s unsubscribed from report %(name)s")),
    # Content.
    "content.read": _of(
        "read", _("%(who)s read the texts of request %(request)s"), _("%(who)s read kept texts")
    ),
    "content.searched": _of(
        "read",
        _("%(who)s searched the content log for “%(text)s” (hits: %(hits)s)"),
        _("%(who)s searched the content log"),
    ),
    "content.downloaded": _of(
        "read",
        _("%(who)s downloaded from the content log what contains “%(text)s”"),
        _("%(who)s downloaded the content log (requests: %(entries)s)"),
    ),
    "content.session_read": _of(
        "read",
        _("%(who)s read the texts of %(entries)s requests of session %(session)s"),
        _("%(who)s read the texts of a session"),
    ),
    "policy.created": _of("created", _("%(who)s created policy %(name)s")),
    "policy.changed": _of("changed", _("%(who)s changed policy %(name)s")),
    "policy.removed": _of("removed", _("%(who)s deleted policy %(name)s")),
    "log_rule.added": _of(
        "created",
        _("%(who)s added a rule to the content log for %(subject)s"),
        _("%(who)s added a rule to the content log"),
    ),
    "log_rule.changed": _of(
        "changed",
        _("%(who)s changed the content log's rule for %(subject)s"),
        _("%(who)s changed a rule of the content log"),
    ),
    "log_rule.removed": _of(
        "removed",
        _("%(who)s deleted the content log's rule for %(subject)s"),
        _("%(who)s deleted a rule of the content log"),
    ),
    "note.added": _of("created", _("%(who)s added a note: %(text)s")),
    "note.changed": _of("changed", _("%(who)s changed a note")),
    "note.deleted": _of("removed", _("%(who)s deleted a note: %(text)s")),
    "feedback.deleted": _of("removed", _("%(who)s deleted feedback about a request")),
    "request.reviewed": _of("decided", _("%(who)s settled a request under review for %(charge)s")),
    "usage_member.accepted": _of(
        "decided", _("%(who)s accepted %(member)s in the usage of %(provider)s")
    ),
    "usage_member.revoked": _of(
        "decided", _("%(who)s no longer accepts %(member)s in the usage of %(provider)s")
    ),
    "provider_bill.compared": _of(
        "ran", _("%(who)s compared a bill of %(provider)s with our costs")
    ),
    "bill_difference.settled": _of(
        "decided", _("%(who)s settled a difference to a provider's bill")
    ),
    "bill_difference.reopened": _of(
        "decided", _("%(who)s reopened a difference to a provider's bill")
    ),
    "finding.acknowledged": _of("decided", _("%(who)s acknowledged a finding in the ledger")),
    "month.detached": _of("ran", _("%(who)s moved the requests of %(month)s to a file")),
    "month.attached": _of("ran", _("%(who)s restored the requests of %(month)s")),
    # Config.
    "secrets.rotated": _of("security", _("%(who)s rotated the encryption keys")),
    "backup.made": _of("ran", _("%(who)s made a backup")),
    "backup.restored": _of("ran", _("%(who)s restored a backup")),
}


def object_word(object_type: str) -> str:
    """Return an object's type in the page's language."""
    return str(OBJECTS.get(object_type, object_type))

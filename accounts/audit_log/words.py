"""Display names of the object types of audit events."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

INSTALLATION_OBJECTS: Final[Mapping[str, Promise]] = {
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


def object_word(object_type: str) -> str:
    """Return an object's type in the page's language."""
    return str(OBJECTS.get(object_type, object_type))

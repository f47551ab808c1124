"""Display names of the object types of audit events."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

_OBJECTS: Final[Mapping[str, Promise]] = {
    "authenticator": _("Two-factor authentication"),
    "budget": _("Budget"),
    "budgetraise": _("Increase request"),
    "buyerdetail": _("Billing details"),
    "channel": _("Channel"),
    "channelkey": _("Channel key"),
    "codebatch": _("Code batch"),
    "conversation": _("Chat"),
    "credit": _("Correction"),
    "customrole": _("Role"),
    "delivery": _("Delivery"),
    "detachedmonth": _("Month of requests"),
    "export": _("Export"),
    "finding": _("Ledger finding"),
    "installationsetting": _("Installation settings"),
    "invitation": _("Invitation"),
    "invoice": _("Invoice"),
    "jobrun": _("Background job"),
    "key": _("API key"),
    "leavingrule": _("Playground rule"),
    "mailserver": _("Mail server"),
    "membership": _("Member"),
    "organisation": _("Organisation"),
    "organisationplan": _("Plan"),
    "organisationpreference": _("Playground settings"),
    "plan": _("Plan"),
    "preset": _("Preset"),
    "price": _("Price"),
    "pricepreview": _("Price preview"),
    "priceproposal": _("Price draft"),
    "priceversion": _("Price version"),
    "processorevent": _("Payment event"),
    "project": _("Project"),
    "promogrant": _("Promotional credit"),
    "prompt": _("Prompt"),
    "promptversion": _("Prompt version"),
    "reportschedule": _("Report by email"),
    "review": _("Review"),
    "acceptedmember": _("Accepted usage member"),
    "sealcut": _("Audit log"),
    "safeguard": _("Safeguard"),
    "savedview": _("Saved view"),
    "secretcheck": _("Encryption keys"),
    "sellerdetail": _("Seller"),
    "serviceaccount": _("Service account"),
    "sharelink": _("Share link"),
    "signinlink": _("Sign-in link"),
    "singlesignon": _("Single sign-on"),
    "taxrate": _("Tax"),
    "team": _("Team"),
    "topup": _("Top-up"),
    "user": _("Person"),
    "walletsetting": _("Billing alerts"),
    "webhookendpoint": _("Webhook"),
}


def object_word(object_type: str) -> str:
    """An object's type, in the language of the page."""
    return str(_OBJECTS.get(object_type, object_type))

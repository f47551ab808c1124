"""Display names of the object types of audit events."""

from collections.abc import Mapping
from typing import Final

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

OBJECTS: Final[Mapping[str, Promise]] = {
    "account": _("Credit line"),
    "announcement": _("Announcement"),
    "billdifference": _("Bill difference"),
    "catalogueignorerule": _("Catalogue update"),
    "catalogueupdate": _("Catalogue update"),
    "channeltestrun": _("Channel test"),
    "chartnote": _("Note"),
    "exchangerate": _("Exchange rate"),
    "modelalias": _("Alias"),
    "modelentry": _("Model"),
    "modelproposal": _("Model"),
    "modelrule": _("Model rule"),
    "plancut": _("Price plan"),
    "providerbill": _("Provider bill"),
    "redemption": _("Code"),
    "setuplink": _("Set-up link"),
    "signupsetting": _("Sign-up"),
    "subscription": _("Subscription"),
    "subscriptionplan": _("Subscription plan"),
    "authenticator": _("Two-factor authentication"),
    "budget": _("Budget"),
    "budgetraise": _("Increase request"),
    "endedsession": _("Session"),
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
    "organisationplan": _("Price plan"),
    "organisationpreference": _("Playground settings"),
    "plan": _("Price plan"),
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
    "ownkey": _("Provider key"),
    "ownkeyoffer": _("Channel for own keys"),
    "topup": _("Top-up"),
    "user": _("Person"),
    "walletsetting": _("Billing alerts"),
    "webhookendpoint": _("Webhook"),
}


# These objects appear in the installation's log only; no organisation's log has events about them.
INSTALLATION_OBJECTS: Final = frozenset({
    "announcement", "backup", "billdifference", "catalogueignorerule", "catalogueupdate", "channel",
    "channelkey", "channeltestrun", "codebatch", "detachedmonth", "exchangerate", "finding",
    "installationsetting", "jobrun", "modelalias", "modelentry", "modelproposal", "modelrule",
    "ownkeyoffer", "plan", "price", "pricepreview", "priceproposal", "priceversion",
    "providerbill", "sealcut",
    "secretcheck", "sellerdetail", "setuplink", "signinlink", "signupsetting", "subscriptionplan",
    "taxrate", "acceptedmember", "authenticator",
})  # fmt: skip


def object_word(object_type: str) -> str:
    """Return an object's type in the page's language."""
    return str(OBJECTS.get(object_type, object_type))

"""What the pages of all task services say."""

from typing import Final

from django.utils.translation import gettext_lazy as _

HELD: Final = _(
    "The price of the action is reserved when it is submitted, and charged once the task "
    "succeeds. A "
    "failed task costs nothing. A task without an end after 24 hours fails."
)
TEAM: Final = _("All API keys of the team can use a task; for all others it does not exist.")
ACCOUNT: Final = _("It is made by the account that made the task it begins with.")
CALLED: Final = _(
    "A public https address. When the task has ended, it gets a POST with the task as retrieving "
    "it shows it, in up to three tries. Verify it by webhook-signature: the secret is made of the "
    "API key."
)

"""Unused redemption codes and active subscriptions of New API and One API: money outside the
balances."""

import datetime as dt
from typing import Final

from billing.credits import code_format
from billing.currency.money import format_usd
from extensions.import_hubs import values
from extensions.import_hubs.converted import Code, Origin
from extensions.import_hubs.new_api.people import Terms
from extensions.import_hubs.reading import Reader, Skipped, field
from extensions.import_hubs.values import Row

CODES: Final = "redemptions"
SUBSCRIPTIONS: Final = "user_subscriptions"
_ENABLED: Final = 1
_ACTIVE: Final = "active"


def read_codes(reader: Reader, terms: Terms, now: dt.datetime) -> list[Code]:
    """Return the codes that could still be redeemed in the other hub."""

    def convert(row: Row, closed: tuple[str, ...]) -> Code:
        if not values.is_nothing(row.get("deleted_at")):
            raise Skipped("the code was deleted")
        if field(row, "status", values.integer) != _ENABLED:
            raise Skipped("the code was used or turned off")
        ends_at = field(row, "expired_time", values.instant)
        expires_at = None if ends_at is None or ends_at.timestamp() <= 0 else ends_at
        if expires_at is not None and expires_at <= now:
            raise Skipped("the code has expired")
        value_nano = terms.nano(field(row, "quota", values.integer))
        if closed or value_nano <= 0:
            raise Skipped(f"restricted there by {', '.join(closed) or 'its quota'}")
        text = field(row, "key", values.text).strip()
        if code_format.read(text) is None:
            worth = f"{format_usd(value_nano)} USD"
            raise Skipped(f"money that is left behind: not the form of a code ({worth})")
        name = field(row, "name", values.text).strip() or "redemption codes"
        return Code(
            Origin(CODES, field(row, "id", values.text)), name, text, value_nano, expires_at
        )

    return reader.each(CODES, convert, name="name")


def report_subscriptions(reader: Reader, terms: Terms) -> None:
    """List subscriptions that were paid in advance, by name. They are not imported."""

    def convert(row: Row, closed: tuple[str, ...]) -> None:
        if field(row, "status", values.text) != _ACTIVE:
            raise Skipped("the subscription has ended")
        left = field(row, "amount_total", values.integer) - field(
            row, "amount_used", values.integer
        )
        worth = f": {format_usd(terms.nano(left))} USD left" if left > 0 else ""
        raise Skipped(
            f"money that is left behind{worth}. Subscribe its user here, or credit it at "
            "/admin/credits"
        )

    reader.each(SUBSCRIPTIONS, convert, name="user_id")

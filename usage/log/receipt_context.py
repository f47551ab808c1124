"""The receipt of a request on a page: its lines, who paid, and its postings."""

import datetime as dt
from typing import Any

from django.utils.translation import gettext

from billing.currency.display import TOTAL_PLACES, exact_places, pad
from billing.currency.money import format_multiplier, format_usd
from billing.currency.words import money_symbol
from billing.prices.meters import find_meter, format_rate
from billing.prices.pricing import PPM
from billing.prices.words import PER_MILLION, condition_words, unit_word
from lib import clock
from lib.ids import id_text
from lib.numbers.formatting import MINUS
from usage.requests import receipts, words


def _charged_by(detail: receipts.RequestDetail) -> str:
    if detail.row.basis == "none" and detail.corrections:
        return ""  # a stored answer that was served, although its process was taken for dead
    return str(words.CHARGED_BY.get(detail.row.basis, ""))


def receipt_context(detail: receipts.RequestDetail) -> dict[str, Any]:
    """Return what the receipt and the attempts of a request show. Channels are hidden by the
    caller."""
    places = _receipt_places(detail)
    attempts = [_attempt(detail, attempt) for attempt in detail.attempts]
    return {
        "detail": detail,
        "row": detail.row,
        "rid": id_text(detail.row.request_id),
        "charged_by": _charged_by(detail),
        "attempts": attempts,
        "posted": any(attempt["postings"] for attempt in attempts),
        "paid_nano": detail.paid_nano,
        "corrections": [
            _usd(format_usd(posting.paid_nano), places) for posting in detail.corrections
        ],
        "paid": _usd(format_usd(detail.paid_nano), places),
        "own_correction": detail.own_change_nano
        and _usd(format_usd(detail.own_change_nano), places),
        **_payers(detail, places),
        **(_receipt(detail.receipt, detail.price, places) if detail.receipt else {}),
    }


def _attempt(detail: receipts.RequestDetail, attempt: receipts.AttemptDisplay) -> dict[str, Any]:
    """Return an attempt, and its bar on a time line of the whole request."""
    ends = [attempt.end_ms or attempt.start_ms for attempt in detail.attempts]
    passed = clock.now() - detail.row.admitted_at
    whole = max(1, *ends, passed // dt.timedelta(milliseconds=1) if detail.row.running else 0)
    end_ms = whole if attempt.end_ms is None else max(attempt.end_ms, attempt.start_ms)
    first_ms = min(max(attempt.ttft_ms or attempt.start_ms, attempt.start_ms), end_ms)
    return {
        "one": attempt,
        "kind": words.kind_text(attempt.display_kind),
        "basis": words.BASES.get(attempt.basis, attempt.basis),
        "why": words.CHOSEN.get(attempt.why, attempt.why),
        "skipped": [(name, words.SKIPPED.get(why, why)) for name, why in attempt.skipped],
        "whole": whole,
        "wait_ms": (end_ms if attempt.ttft_ms is None else first_ms) - attempt.start_ms,
        "first_ms": None if attempt.ttft_ms is None else first_ms,
        "answer_ms": 0 if attempt.ttft_ms is None else end_ms - first_ms,
        "took_ms": end_ms - attempt.start_ms,
        "postings": [
            {
                "id": id_text(posting.id),
                "kind": words.POSTINGS.get(posting.kind, posting.kind),
                "at": posting.at,
                "paid": _usd(format_usd(posting.paid_nano)) if posting.paid_nano else "",
            }
            for posting in attempt.postings
        ],
    }


def _receipt_places(detail: receipts.RequestDetail) -> int:
    """Return the number of decimals that show every amount of the receipt in full."""
    amounts = [format_usd(posting.paid_nano) for posting in detail.corrections]
    amounts.append(format_usd(detail.own_change_nano))
    if receipt := detail.receipt:
        amounts += [line.amount for line in receipt.lines]
        amounts += [receipt.rounding, receipt.above_hold, receipt.waived, receipt.own, receipt.fee]
        amounts.append(format_usd(receipt.charge_nano))
        if receipt.cached is not None:
            amounts.append(format_usd(receipt.cached.charge_nano))
    amounts += [format_usd(nano) for _, nano in _paid_by(detail)]
    return exact_places(amounts)


def _receipt(
    receipt: receipts.Receipt, price: receipts.PriceDisplay | None, places: int
) -> dict[str, Any]:
    """Return the receipt's figures as exact texts of USD."""
    multiplier_ppm = PPM if price is None else price.multiplier_ppm
    return {
        "receipt_lines": [
            {
                "word": " · ".join(_line_texts(line)),
                "quantity": line.quantity,
                "rate": _line_rate(line, multiplier_ppm),
                "amount": _usd(line.amount, places),
            }
            for line in receipt.lines
        ],
        "multiplier": "" if multiplier_ppm == PPM else format_multiplier(multiplier_ppm),
        "rounding": receipt.rounding and _usd(receipt.rounding, places),
        "above_hold": receipt.above_hold and _usd(f"-{receipt.above_hold}", places),
        "waived": receipt.waived and _usd(f"-{receipt.waived}", places),
        "own": receipt.own and _usd(f"-{receipt.own}", places),
        "fee": receipt.fee and _usd(receipt.fee, places),
        "charge": _usd(format_usd(receipt.charge_nano), places),
        "cached": receipt.cached
        and {
            **receipt.cached._asdict(),
            "of": _usd(format_usd(receipt.cached.charge_nano), places),
        },
    }


def _line_texts(line: receipts.ReceiptLine) -> list[str]:
    """Return the description of a line: its meter, its conditions, and the model that used it."""
    held = [condition_words(kind, value) for kind, value in line.conditions.items()]
    return [words.meter_word(line.meter), *held, *([line.model] if line.model else [])]


def _line_rate(line: receipts.ReceiptLine, multiplier_ppm: int) -> str:
    rate = _rate(line.meter, line.rate_nano_per_million)
    factors = [ppm for ppm in (multiplier_ppm, line.condition_ppm) if ppm != PPM]
    return " × ".join([rate, *map(format_multiplier, factors)])


def _payers(detail: receipts.RequestDetail, places: int) -> dict[str, Any]:
    """Return who paid the charge, if not the balance alone. `uncounted` means that this is not
    known yet."""
    paid = detail.payers
    if paid is None:
        return {"uncounted": detail.receipt is not None}
    return {"payers": [(word, _usd(format_usd(nano), places)) for word, nano in _paid_by(detail)]}


def _paid_by(detail: receipts.RequestDetail) -> list[tuple[str, int]]:
    """Return the amounts that each payer paid, the balance last."""
    paid = detail.payers
    if paid is None or not (paid.included_nano or paid.promo_nano):
        return []
    words_nano = (
        (gettext("Paid by included usage"), paid.included_nano),
        (gettext("Paid by promotional credit"), paid.promo_nano),
        (gettext("Paid from the balance"), paid.balance_nano),
    )
    return [(word, nano) for word, nano in words_nano if nano]


def recomputed_context(recomputed: receipts.Recomputed) -> dict[str, Any]:
    """Return what the receipt has after its cost was computed again."""
    computed = (
        None if recomputed.computed_nano is None else _usd(format_usd(recomputed.computed_nano))
    )
    return {
        "recomputed": recomputed,
        "computed": computed,
        "difference": _usd(format_usd(recomputed.difference_nano)),
    }


def _rate(meter: str, rate_nano_per_million: int) -> str:
    price = money_symbol() + pad(format_rate(meter, rate_nano_per_million))
    scale = find_meter(meter).scale
    if scale == "per_million":
        return f"{price} / {PER_MILLION}"
    if scale == "per_billion":
        return f"{price} / {unit_word(meter)}"
    return gettext("%(rate)s each") % {"rate": price}


def _usd(text: str, places: int = TOTAL_PLACES) -> str:
    """Format an exact decimal with its sign (a true minus) and at least that many decimals."""
    symbol = money_symbol()
    text = pad(text, places)
    return f"{MINUS}{symbol}{text[1:]}" if text.startswith("-") else f"{symbol}{text}"

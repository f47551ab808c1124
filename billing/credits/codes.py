"""Redemption codes: created in batches, shown in one download, redeemed once by each organisation.

A code has 140 random bits, of which only a keyed digest is stored. Unique indexes and one
conditional statement decide who may redeem it, never a prior read (I22, P3). All refusals except an
organisation's own second use have the same text, so that a valid code cannot be told from a guess.
After five refusals in ten minutes, by a person or from a network, further codes are not looked up.
If the batches that an operator created within 24 hours are worth more than one operator may credit,
another operator must download the codes, and so agree to them.
"""

import datetime as dt
import ipaddress
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.db.models import F, Sum
from django.utils.translation import gettext, ngettext

from accounts.access.actors import Actor
from accounts.audit import audit
from accounts.models import Organisation
from accounts.names.names import check_name
from accounts.secrets.sealing import pepper
from billing.credits import code_format, promo
from billing.currency.money import format_usd
from billing.ledger.ledger import lock_wallet
from billing.models import Code, CodeBatch, RedeemTry, Redemption
from billing.safeguards.rules import TOGETHER
from billing.safeguards.safeguards import credit_limit_nano
from lib import clock
from lib.ids import id_text, new_id
from lib.refusal import Refused
from outbox.facts import put

CODES_MAX: Final = 100_000
TRIES_MAX: Final = 5
TRIES_WITHIN: Final = dt.timedelta(minutes=10)


class CodeRefused(Refused):
    """The code cannot be redeemed, or the batch is invalid."""


class RedeemedAlready(CodeRefused):
    """The organisation has already redeemed this code. The attempt does not count as a wrong
    guess."""


class TooManyTries(Exception):
    """Five wrong codes in ten minutes. Further codes are refused for `wait_s` seconds."""

    def __init__(self, wait_s: int) -> None:
        minutes = -(-wait_s // 60)
        text = ngettext(
            "Too many incorrect codes. Try again in %(n)s minute.",
            "Too many incorrect codes. Try again in %(n)s minutes.",
            minutes,
        )
        super().__init__(text % {"n": minutes})
        self.wait_s = wait_s


@dataclass(frozen=True)
class Redeemed:
    """The result of redeeming a code."""

    redemption: Redemption
    amount_nano: int
    expires_at: dt.datetime | None


# Batches ----------------------------------------------------------------------------------------


def create_batch(
    actor: Actor,
    name: str,
    value_nano: int,
    count: int,
    *,
    max_uses: int = 1,
    expires_at: dt.datetime | None = None,
    credit_days: int | None = None,
) -> CodeBatch:
    """Create a batch. Its codes are created by the download. Raises CodeRefused, and Refused for an
    invalid name."""
    checked = check_name(name)
    if value_nano <= 0:
        raise CodeRefused("value", gettext("The value must be greater than zero."))
    if not 1 <= count <= CODES_MAX:
        text = gettext("A batch can have 1 to %(n)s codes.") % {"n": CODES_MAX}
        raise CodeRefused("count", text)
    if max_uses < 1:
        raise CodeRefused("max_uses", gettext("Each code needs at least one use."))
    if expires_at is not None and expires_at <= clock.now():
        raise CodeRefused("expires_at", gettext("The expiry date is in the past."))
    with transaction.atomic():
        batch = CodeBatch.objects.create(
            name=checked, value_nano=value_nano, count=count, max_uses=max_uses,
            expires_at=expires_at, credit_days=credit_days, created_by=actor.user,
        )  # fmt: skip
        audit.record(
            actor, None, "codes.created", batch, name=checked, value=format_usd(value_nano),
            count=count, max_uses=max_uses,
        )  # fmt: skip
    return batch


def need_another_operator(batches: Collection[CodeBatch]) -> set[UUID]:
    """Return the ids of those batches whose codes another operator than their author must
    download: the author's batches of the 24 hours before together exceed the credit limit."""
    unmade = [batch for batch in batches if batch_state(batch) == "unmade" and batch.created_by_id]
    if not unmade:
        return set()
    earliest = min(batch.created_at for batch in unmade) - TOGETHER
    rows = CodeBatch.objects.filter(
        created_by__in={batch.created_by_id for batch in unmade}, created_at__gt=earliest
    )
    # A batch that was switched off before its download has no codes.
    counted = list(rows.exclude(killed_at__isnull=False, downloaded_at__isnull=True))
    limit_nano = credit_limit_nano()

    def is_over(batch: CodeBatch) -> bool:
        since = batch.created_at - TOGETHER
        return limit_nano < sum(
            row.value_nano * row.count * row.max_uses
            for row in counted
            if row.created_by_id == batch.created_by_id
            and since < row.created_at <= batch.created_at
        )

    return {batch.id for batch in unmade if is_over(batch)}


def download_codes(actor: Actor, batch: CodeBatch) -> list[str]:
    """Create the codes of a batch and return their texts. Raises CodeRefused if they were
    downloaded before, the batch is switched off, or another operator must do it."""
    with transaction.atomic():
        locked = CodeBatch.objects.select_for_update().get(id=batch.id)
        if locked.downloaded_at is not None:
            raise CodeRefused("batch", gettext("These codes were already downloaded."))
        if locked.killed_at is not None:
            raise CodeRefused("batch", gettext("This batch is disabled."))
        if need_another_operator([locked]) and (
            actor.user is None or actor.user.id == locked.created_by_id
        ):
            text = gettext(
                "The batches that one operator creates within 24 hours exceed %(limit)s USD. "
                "Another operator has to download the codes."
            )
            raise CodeRefused("batch", text % {"limit": format_usd(credit_limit_nano())})
        texts = [
            code_format.compose(os.urandom(code_format.RANDOM_BYTES)) for _ in range(batch.count)
        ]
        Code.objects.bulk_create(
            (
                Code(id=new_id(), batch=locked, digest=_digest(text.replace("-", "")))
                for text in texts
            ),
            batch_size=5_000,
        )
        locked.downloaded_at = clock.now()
        locked.save(update_fields=["downloaded_at"])
        audit.record(actor, None, "codes.downloaded", locked, count=len(texts))
    return texts


def import_codes(
    actor: Actor,
    name: str,
    value_nano: int,
    texts: Sequence[str],
    *,
    expires_at: dt.datetime | None = None,
) -> CodeBatch:
    """Create a batch of imported codes. People already have the texts, so there is no download.
    Raises CodeRefused for a text that cannot be a code or is one already, and Refused for an
    invalid name."""
    letters = [code_format.read(text) for text in texts]
    if None in letters:
        raise _unknown_code()
    digests = [_digest(read or "") for read in letters]
    taken = len(set(digests)) < len(digests) or Code.objects.filter(digest__in=digests).exists()
    if taken:
        raise CodeRefused("code", gettext("One of these codes already exists."))
    with transaction.atomic():
        batch = create_batch(actor, name, value_nano, len(texts), expires_at=expires_at)
        batch.downloaded_at = clock.now()
        batch.save(update_fields=["downloaded_at"])
        codes = (Code(id=new_id(), batch=batch, digest=digest) for digest in digests)
        Code.objects.bulk_create(codes, batch_size=5_000)
        audit.record(actor, None, "codes.brought", batch, count=len(texts))
    return batch


def kill_batch(actor: Actor, batch: CodeBatch) -> CodeBatch:
    """Switch a batch off for good. Its codes can no longer be redeemed."""
    with transaction.atomic():
        locked = CodeBatch.objects.select_for_update().get(id=batch.id)
        if locked.killed_at is None:
            locked.killed_at = clock.now()
            locked.save(update_fields=["killed_at"])
            audit.record(actor, None, "codes.killed", locked, name=locked.name)
    return locked


def uses_of(batch_ids: Sequence[UUID]) -> dict[UUID, int]:
    """Return how often codes of each batch were redeemed."""
    counted = Code.objects.filter(batch__in=batch_ids).values("batch").annotate(used=Sum("uses"))
    return {row["batch"]: row["used"] for row in counted}


def batch_state(batch: CodeBatch) -> str:
    """Return `unmade`, `living`, `expired` or `killed`."""
    if batch.killed_at is not None:
        return "killed"
    if batch.expires_at is not None and batch.expires_at <= clock.now():
        return "expired"
    return "living" if batch.downloaded_at else "unmade"


# Redeeming --------------------------------------------------------------------------------------


@contextmanager
def count_redeem_attempt(actor: Actor, network: str) -> Iterator[None]:
    """Count the block as an attempt, which fails unless the block succeeds or the code was redeemed
    before. Raises TooManyTries before anything is looked up. An attempt counts from its start, so
    concurrent ones cannot bypass the limit."""
    tries = RedeemTry.objects.filter(id__in=_begin_try(_subjects(actor, network)))
    try:
        yield
    except RedeemedAlready:
        tries.delete()
        raise
    tries.delete()


def try_code(actor: Actor, organisation: Organisation, text: str, network: str) -> Redeemed:
    """Redeem a code that a person typed. Raises CodeRefused and TooManyTries."""
    with count_redeem_attempt(actor, network):
        return redeem(actor, organisation, text)


def redeem(actor: Actor, organisation: Organisation, text: str) -> Redeemed:
    """Redeem a code for an organisation; each organisation can do so once. Raises CodeRefused."""
    letters = code_format.read(text)
    code = Code.objects.filter(digest=_digest(letters or "")).first()
    if letters is None or code is None:
        raise _unknown_code()
    with transaction.atomic():
        # Lock the accounts before anything else: all transactions lock in this order.
        lock_wallet(organisation.id)
        batch = CodeBatch.objects.get(id=code.batch_id)
        if batch.killed_at is not None or (batch.expires_at and batch.expires_at <= clock.now()):
            raise _unknown_code()
        if Redemption.objects.filter(code=code, organisation=organisation).exists():
            raise RedeemedAlready("code", gettext("Your organisation already redeemed this code."))
        used = Code.objects.filter(id=code.id, uses__lt=batch.max_uses).update(uses=F("uses") + 1)
        if not used:
            raise _unknown_code()
        return _give(actor, organisation, code, batch)


def _give(actor: Actor, organisation: Organisation, code: Code, batch: CodeBatch) -> Redeemed:
    n = Code.objects.get(id=code.id).uses
    now = clock.now()
    expires_at = now + dt.timedelta(days=batch.credit_days) if batch.credit_days else None
    grant = promo.grant(
        organisation, batch.value_nano, f"redeem:{code.id}:{n}", "redeem",
        expires_at=expires_at, actor=actor.user.email if actor.user else "",
        cause={"batch": id_text(batch.id), "code": id_text(code.id)},
    )  # fmt: skip
    try:
        redemption = Redemption.objects.create(
            code=code, n=n, organisation=organisation, user=actor.user, grant=grant
        )
    except IntegrityError as error:
        raise _unknown_code() from error
    audit.record(
        actor, organisation, "code.redeemed", redemption,
        batch=batch.name, amount=format_usd(batch.value_nano),
    )  # fmt: skip
    put(
        "code.redeemed", organisation.id, redemption=id_text(redemption.id),
        amount=format_usd(batch.value_nano), currency="USD",
        expires_at=expires_at.isoformat() if expires_at else None,
    )  # fmt: skip
    return Redeemed(redemption, batch.value_nano, expires_at)


def drop_old_tries() -> int:
    """Delete the attempts that no limit counts any more. Return how many rows were deleted."""
    return RedeemTry.objects.filter(at__lt=clock.now() - TRIES_WITHIN).delete()[0]


def _begin_try(subjects: list[str]) -> list[int]:
    """Count an attempt for each subject, or raise TooManyTries. A lock per subject makes concurrent
    attempts wait for each other. Return the ids of the rows."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            for subject in sorted(subjects):
                cursor.execute(
                    "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"redeem|{subject}"]
                )
        since = clock.now() - TRIES_WITHIN
        for subject in subjects:
            recent = RedeemTry.objects.filter(subject=subject, at__gt=since).order_by("-at")
            over = list(recent.values_list("at", flat=True)[:TRIES_MAX])
            if len(over) == TRIES_MAX:
                raise TooManyTries(max(int((over[-1] - since).total_seconds()), 1))
        return [RedeemTry.objects.create(subject=subject).id for subject in subjects]


def _subjects(actor: Actor, network: str) -> list[str]:
    who = f"user:{actor.user.id}" if actor.user else f"key:{actor.key.id if actor.key else ''}"
    with suppress(ValueError):
        address = ipaddress.ip_address(network)
        # The holder of an IPv6 network has 2^64 addresses.
        prefix = 32 if address.version == 4 else 64
        network = str(ipaddress.ip_network((address, prefix), strict=False))
    return [who, f"network:{network}"[:80]]


def _unknown_code() -> CodeRefused:
    return CodeRefused(
        "code", gettext("This code does not exist, has already been used, or has expired.")
    )


def _digest(letters: str) -> bytes:
    return code_format.digest(pepper(), letters)

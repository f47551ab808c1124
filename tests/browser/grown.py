"""An organisation that is ten days old, beside the one that every test begins with.

What it shows is what people look for after a while: yesterday's requests, failures of two causes, a
key that spends more than another. It has an owner of its own, so that nobody else meets it.
"""

import datetime as dt
from dataclasses import dataclass
from uuid import UUID

from accounts.access.actors import SYSTEM
from accounts.members import members
from accounts.models import Key, Organisation
from accounts.organisations import organisations
from accounts.sign_in.sign_in import make_sign_in_link
from billing.balances import balances
from billing.credits import codes
from billing.models import PriceVersion
from lib import clock
from lib.ids import id_text
from tests.browser.installation import ECHO, MODEL, Installation
from tests.support import cast
from tests.usage.rows import happen

SLUG = "past"
DAYS = 10
_HOUR = dt.timedelta(hours=1)


@dataclass(frozen=True)
class Grown:
    """`code` can be redeemed once, `dearest` is the id of yesterday's most expensive request."""

    slug: str
    link: str
    code: str
    dearest: str

    @property
    def home(self) -> str:
        return f"/o/{self.slug}/"


def grown(site: Installation, slug: str = SLUG) -> Grown:
    """Make it, and wait until its usage is summed up."""
    created = site.beside.call(grow, slug)
    site.hub.wait(lambda: _summed(site, slug) == _ended(site, slug), "the usage is not summed up")
    return created


def grow(slug: str) -> Grown:
    """In a process of the installation: make it and say what a test has to know of it."""
    owner = members.add_person(f"{slug}@example.org", actor=SYSTEM)
    organisation = organisations.create_organisation(slug.title(), owner=owner, actor=SYSTEM)
    now = clock.now()
    Organisation.objects.filter(id=organisation.id).update(created_at=now - dt.timedelta(days=DAYS))
    balances.add_opening_credit(organisation, 100 * 10**9)
    team = organisation.teams.get()
    spender, _ = cast.make_key(team, "spender", user=owner)
    thrifty, _ = cast.make_key(team, "thrifty", user=owner)
    today = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    dearest = _answered(spender, today - 9 * _HOUR, cents=300)
    for hours, cents in ((3, 20), (5, 30), (20, 100), (70, 10)):
        _answered(thrifty, today - hours * _HOUR, cents=cents, model=ECHO)
    _answered(spender, now, cents=50)
    _answered(thrifty, now, cents=10, model=ECHO)
    _failed(thrifty, now, "timeout", times=2)
    _failed(thrifty, now, "upstream_error", times=1)
    batch = codes.create_batch(SYSTEM, slug.title(), 5 * 10**9, 1)
    (code,) = codes.download_codes(SYSTEM, batch)
    link = make_sign_in_link(owner)
    return Grown(slug, link, code, id_text(dearest))


def _answered(key: Key, at: dt.datetime, *, cents: int, model: str = MODEL) -> UUID:
    """A request of so many cents at the price of its model."""
    version = PriceVersion.objects.get(price__model=model, price__kind="charge")
    rate = version.rates["meters"]["out_text"]
    charge_nano = cents * 10**7
    record = happen(
        key,
        at,
        charge_nano,
        model=model,
        upstream_model=model,
        hold_nano=charge_nano,
        price_version_id=version.id,
        meters={"out_text": charge_nano * 10**6 // rate},
    )
    return record.request_id


def _failed(key: Key, at: dt.datetime, kind: str, *, times: int) -> None:
    for _ in range(times):
        happen(key, at, 0, status=502, kind=kind, finish_reason="", meters={})


def _summed(site: Installation, slug: str) -> int:
    text = """
        SELECT coalesce(sum(r.requests), 0) AS n FROM usage_rollup r
        JOIN accounts_organisation o ON o.id = r.organisation_id WHERE o.slug = %s"""
    return int(site.row(text, slug)["n"])


def _ended(site: Installation, slug: str) -> int:
    text = """
        SELECT count(*) AS n FROM usage_usagerecord r
        JOIN accounts_organisation o ON o.id = r.organisation_id WHERE o.slug = %s AND r.final"""
    return int(site.row(text, slug)["n"])

"""The lists of usage and what they say of their rows."""

import datetime as dt
from typing import Any, Final

from accounts.access.actors import SYSTEM
from accounts.keys import keys as key_writes
from accounts.keys import service_accounts
from accounts.members import members as member_writes
from accounts.models import Key, Membership, Organisation, Role, User
from accounts.organisations import organisations as organisation_writes
from accounts.organisations import teams
from billing.limits import budgets as budget_reads
from billing.models import Budget, BudgetRaise, BudgetWindow
from billing.price_plans import price_plans
from lib import clock
from lib.ids import id_text, new_id
from tests.config.list_texts import (
    DAY,
    ENDED,
    LAST,
    LATER,
    MADE,
    NANO,
    SOON,
    Listed,
    chosen,
    in_api,
    in_file,
    shows,
)
from tests.support import cast
from tests.usage.rows import admit, credit, end, happen
from usage.limits import budget_simulation
from usage.limits.budget_forms import ACTION_NAMES, PERIOD_NAMES, SCOPE_NAMES
from usage.models import (
    Export,
    Feedback,
    Finding,
    ReportSchedule,
    SavedView,
    ViewPage,
)
from usage.requests import words

HOUR: Final = dt.timedelta(hours=1)

# What is doubtful, and what is not ----------------------------------------------------------------


@shows
def findings(people: cast.Cast) -> Listed:
    open_ = Finding.objects.create(
        invariant="holds add up", object="account 7", expected="5", found="6", walk="new",
        first_seen_at=MADE, last_seen_at=LATER,
    )  # fmt: skip
    right = Finding.objects.create(
        invariant="books balance", object="posting 8", walk="new", holds=False, first_seen_at=ENDED,
        last_seen_at=LAST,
    )  # fmt: skip
    done = Finding.objects.create(
        invariant="seals hold", object="day 9", expected="a", found="b", walk="new", holds=False,
        first_seen_at=MADE + DAY, last_seen_at=ENDED + DAY, acknowledged_at=LAST + DAY,
        acknowledged_by=people.dora, acknowledged_as="dora@example.org", reason="A restored backup",
    )  # fmt: skip
    # It was acknowledged, and is wrong still.
    again = Finding.objects.create(
        invariant="prices cover", object="model 3", expected="c", found="d", walk="new",
        first_seen_at=MADE + 2 * DAY, last_seen_at=ENDED + 2 * DAY, acknowledged_at=LATER + DAY,
        acknowledged_as="otto@example.org", reason="Known",
    )  # fmt: skip

    def row(one: Finding, state: str) -> dict[str, str]:
        return {
            "invariant": one.invariant, "object": one.object, "state": state,
            "expected": one.expected, "found": one.found, "first": in_file(one.first_seen_at),
            "last": in_file(one.last_seen_at), "acknowledged": in_file(one.acknowledged_at),
            "by": one.acknowledged_as, "reason": one.reason,
        }  # fmt: skip

    def item(one: Finding) -> dict[str, Any]:
        return {
            "id": str(one.id), "invariant": one.invariant, "object": one.object,
            "expected": one.expected, "found": one.found,
            "first_seen_at": in_api(one.first_seen_at), "last_seen_at": in_api(one.last_seen_at),
            "holds": one.holds, "acknowledged_at": in_api(one.acknowledged_at),
            "acknowledged_by": one.acknowledged_as, "reason": one.reason,
        }  # fmt: skip

    wrong, acknowledged = (chosen("findings", "state", name) for name in ("wrong", "acknowledged"))
    return Listed(
        "findings",
        "/admin/findings",
        [
            row(again, wrong), row(done, acknowledged), row(right, "No longer wrong"),
            row(open_, wrong),
        ],
        {
            "state=open": [2, 3], "state=wrong": [0, 3], "state=acknowledged": [0, 1],
            "q=holds+add": [3], "q=day+9": [1], "q=backup": [1],
        },
        who="dora",
        api="/findings",
        items=[item(open_), item(right), item(done), item(again)],
        api_kept={"open=true": [0, 1], "open=false": [2, 3]},
    )  # fmt: skip


@shows
def reviews(people: cast.Cast) -> Listed:
    key, _ = cast.make_key(people.core, "mine")
    other, _ = cast.make_key(people.stranger.teams.get(), "other")
    for one in (key, other):
        credit(one)
    charged = happen(
        key, MADE, 45 * 10**6, hold_nano=3 * NANO, model="m-charged", channel_name="east",
        flags=["quarantine", "implausible"],
    )  # fmt: skip
    held = happen(
        other, ENDED, 0, hold_nano=2 * NANO, model="m-held", channel_name="west",
        flags=["quarantine"], basis="held", raw_usage={"new_tokens": 5},
    )  # fmt: skip

    def row(record: Any, organisation: Organisation, flags: str) -> dict[str, str]:
        return {
            "started": in_file(record.admitted_at), "organisation": organisation.name,
            "slug": organisation.slug, "model": record.model, "channel": record.channel_name,
            "flags": flags, "id": id_text(record.request_id),
        }  # fmt: skip

    def item(record: Any, organisation: str, **over: Any) -> dict[str, Any]:
        return {
            "request": id_text(record.request_id), "created_at": in_api(record.admitted_at),
            "organisation": organisation, "model": record.model, "channel": record.channel_name,
            "unknown": [], **over,
        }  # fmt: skip

    return Listed(
        "reviews",
        "/admin/reviews",
        [row(held, people.stranger, ""), row(charged, people.acme, "implausible")],
        {
            "state=held": [0], "state=charged": [1], "q=stranger": [0], "q=m-char": [1],
            "q=west": [0],
        },
        who="dora",
        api="/reviews",
        items=[
            item(held, "stranger", flags=[], charge="0.00", bound="2.00", kept=True),
            item(charged, "acme", flags=["implausible"], charge="0.045", bound="3.00", kept=False),
        ],
    )  # fmt: skip


@shows
def feedback(people: cast.Cast) -> Listed:
    second = teams.create_team(people.acme, "Second", actor=SYSTEM)
    key, _ = cast.make_key(people.core, "sends")
    common: dict[str, Any] = {"organisation": people.acme, "author_key_id": new_id()}
    good = Feedback.objects.create(
        request_id=new_id(), team_id=second.id, key_id=key.id, model="m-good", prompt="greeting",
        prompt_version=4, score=81, label="helpful", comment="Just so", author=people.bob,
        created_at=MADE, updated_at=ENDED, **common,
    )  # fmt: skip
    bad = Feedback.objects.create(
        request_id=new_id(), team_id=people.core.id, key_id=key.id, model="m-bad", score=12,
        label="wrong", prompt="farewell", prompt_version=4, created_at=LATER, updated_at=LAST,
        **common,
    )  # fmt: skip
    mute = Feedback.objects.create(
        request_id=new_id(), team_id=people.core.id, key_id=key.id, model="m-mute",
        comment="Silence", created_at=LAST, updated_at=LAST + DAY, **common,
    )  # fmt: skip

    def row(one: Feedback, team: str, author: str = "") -> dict[str, str]:
        return {
            "time": in_file(one.created_at), "label": one.label, "comment": one.comment,
            "model": one.model, "team": team, "prompt": one.prompt, "author": author,
            "id": id_text(one.request_id),
        }  # fmt: skip

    def item(one: Feedback, team: str, author: str | None = None) -> dict[str, Any]:
        return {
            "id": id_text(one.id), "request": id_text(one.request_id), "model": one.model,
            "team": team, "prompt": one.prompt or None, "prompt_version": one.prompt_version,
            "key": id_text(one.author_key_id), "author": author, "score": one.score,
            "label": one.label, "comment": one.comment, "created_at": in_api(one.created_at),
            "updated_at": in_api(one.updated_at),
        }  # fmt: skip

    return Listed(
        "feedback",
        "/o/acme/usage/feedback",
        [row(mute, "core"), row(bad, "core"), row(good, "Second", people.bob.email)],
        {
            "score=good": [2], "score=bad": [1], "q=helpf": [2], "q=silence": [0],
            "model=m-bad": [1],
            "prompt=greet": [2], "prompt=farewell%404": [1], "prompt=farewell%403": [],
            f"since={LATER:%Y-%m-%d}": [0, 1], f"until={LATER:%Y-%m-%d}": [1, 2],
        },
        api="/feedback",
        items=[item(mute, "core"), item(bad, "core"), item(good, "Second", people.bob.email)],
        api_kept={
            "model=m-good": [2], "model=m-goo": [], "team=core": [0, 1], "team=cor": [],
            "prompt=farewell": [1], "prompt=farewel": [],
            "prompt_version=4": [1, 2], f"request={id_text(mute.request_id)}": [0],
            f"since={in_api(LATER)}": [0, 1],
            f"until={in_api(LAST)}": [1, 2],
        },
    )  # fmt: skip


# Budgets and limits -------------------------------------------------------------------------------


@shows
def increase_requests(people: cast.Cast) -> Listed:
    budget = budget_simulation.create_budget(
        SYSTEM, people.acme, scope="team", subject=str(people.core.id), amount_nano=9 * NANO,
        period="week", timezone="UTC",
    )  # fmt: skip
    denied = BudgetRaise.objects.create(
        budget=budget, amount_nano=2 * NANO, until=LAST, reason="A demo", state="denied",
        asked_by=people.alice, asked_at=MADE, decided_by=people.dora, decided_at=ENDED,
        answer="Too late",
    )  # fmt: skip
    ended = BudgetRaise.objects.create(
        budget=budget, amount_nano=4 * NANO, until=LATER, reason="A launch", state="ended",
        asked_by=people.bob, asked_at=MADE + DAY, decided_by=people.alice, decided_at=ENDED + DAY,
    )  # fmt: skip
    approved = BudgetRaise.objects.create(
        budget=budget, amount_nano=3 * NANO, until=SOON, reason="A fair", state="approved",
        asked_by=people.bob, asked_at=LATER, decided_by=people.alice, decided_at=LAST,
    )  # fmt: skip
    waiting = BudgetRaise.objects.create(
        budget=budget, amount_nano=NANO, until=SOON + DAY, reason="A batch", asked_by=people.bob,
        asked_at=LAST,
    )  # fmt: skip

    def row(one: BudgetRaise) -> dict[str, str]:
        return {
            "budget": f"{SCOPE_NAMES['team']} · core · {PERIOD_NAMES['week']}",
            "state": chosen("raises", "state", one.state), "by": one.asked_by.email,
            "until": in_file(one.until), "reason": one.reason, "reply": one.answer,
            "requested": in_file(one.asked_at), "decided": in_file(one.decided_at),
            "decided_by": one.decided_by.email if one.decided_by else "", "id": id_text(one.id),
        }  # fmt: skip

    def item(one: BudgetRaise, amount: str) -> dict[str, Any]:
        return {
            "id": id_text(one.id), "budget": str(budget.id), "amount": amount,
            "until": in_api(one.until), "reason": one.reason, "state": one.state,
            "asked_by": one.asked_by.email, "asked_at": in_api(one.asked_at),
            "decided_by": one.decided_by.email if one.decided_by else None,
            "decided_at": in_api(one.decided_at), "answer": one.answer,
        }  # fmt: skip

    return Listed(
        "raises",
        "/o/acme/budgets/requests",
        # Those to decide come first, then those in effect.
        [row(waiting), row(approved), row(denied), row(ended)],
        {
            "state=waiting": [0], "state=approved": [1], "state=denied": [2], "state=ended": [3],
            "q=alice": [2], "q=launch": [3],
        },
        api="/budget-requests",
        items=[
            item(waiting, "1.00"), item(approved, "3.00"), item(ended, "4.00"), item(denied, "2.00")
        ],
        api_kept={"state=waiting": [0], "state=approved": [1], "state=denied": [3]},
    )  # fmt: skip


@shows
def budgets(people: cast.Cast) -> Listed:
    def made(subject: str, over: dict[str, Any], spent_nano: int, **terms: Any) -> Budget:
        budget = budget_simulation.create_budget(
            SYSTEM, people.acme, scope=over.pop("scope", "tag"), subject=subject,
            amount_nano=100 * NANO, period=over.pop("period", "month"),
            timezone=over.pop("timezone", "UTC"), **terms,
        )  # fmt: skip
        Budget.objects.filter(id=budget.id).update(**over)
        BudgetWindow.objects.filter(budget=budget).update(spent_nano=spent_nano)
        return Budget.objects.get(id=budget.id)

    # Without spending or without an end, no day of the month has a forecast.
    calm = made("calm", {}, 0, action="warn")
    full = made("full", {"raised_nano": 0, "raised_until": SOON}, 100 * NANO)
    low = made("low", {"timezone": "Asia/Tokyo", "period": "total"}, 81 * NANO, action="slow")
    off = made("off", {"enabled": False}, 100 * NANO)
    raised = made("raised", {"raised_nano": NANO, "raised_until": SOON}, 0)
    team = made(str(people.core.id), {"scope": "team", "period": "total"}, 0)
    every = [calm, full, low, off, raised, team]
    ends = {usage.budget.id: usage.resets_at for usage in budget_reads.current_usage(every)}

    def row(one: Budget, subject: str, until: dt.datetime | None = None) -> dict[str, str]:
        return {
            "subject": subject, "scope": str(SCOPE_NAMES[one.scope]),
            "period": str(PERIOD_NAMES[one.period]), "resets": in_file(ends[one.id]),
            "forecast": "", "raised": in_file(until), "action": str(ACTION_NAMES[one.action]),
            "timezone": one.timezone,
        }  # fmt: skip

    return Listed(
        "budgets",
        "/o/acme/budgets",
        [
            row(calm, "calm"), row(team, "core"), row(full, "full"), row(low, "low"),
            row(off, "off"), row(raised, "raised", SOON),
        ],
        {
            "scope=team": [1], "state=low": [3], "state=full": [2], "state=off": [4], "q=rais": [5],
        },
    )  # fmt: skip


@shows
def limits(people: cast.Cast) -> Listed:
    second = teams.create_team(people.acme, "Second", actor=SYSTEM)
    teams.rename_team(second, "Renamed", actor=SYSTEM)
    second.refresh_from_db()
    bob = Membership.objects.get(user=people.bob, organisation=people.acme)
    key_writes.change_limits(SYSTEM, people.acme, rpm=100)
    key_writes.change_limits(SYSTEM, second, tpm=200)
    key_writes.change_limits(SYSTEM, bob, parallel=3)

    def row(scope: str, name: str) -> dict[str, str]:
        return {"name": name, "scope": chosen("limits", "scope", scope)}

    return Listed(
        "limits",
        "/o/acme/limits",
        [row("organisation", "Acme"), row("team", "Renamed"), row("user", "Bob")],
        {
            "scope=organisation": [0], "scope=team": [1], "scope=user": [2], "q=renam": [1],
            "q=bob@": [2], f"q={second.slug}": [1],
        },
    )  # fmt: skip


# Who uses it --------------------------------------------------------------------------------------


@shows
def keys(people: cast.Cast) -> Listed:
    robot = service_accounts.create_service_account(people.core, "robot", actor=SYSTEM)
    nameless = cast.member(people.acme, "ann", Role.DEVELOPER)
    User.objects.filter(id=nameless.id).update(name="")

    def made(name: str, **over: Any) -> Key:
        maker = {one: over.pop(one) for one in ("user", "service_account") if one in over}
        key, _ = cast.make_key(people.core, name, **maker)
        Key.objects.filter(id=key.id).update(**over)
        return Key.objects.get(id=key.id)

    now = clock.now().replace(microsecond=0)
    old = made("old", user=people.bob, created_at=now - 40 * DAY, model_patterns=["a", "b*"])
    stale = made("stale", user=nameless, created_at=now - 91 * DAY)
    soon = made("soon", service_account=robot, expires_at=now + 6 * DAY, created_at=now - DAY)
    later = made("later", expires_at=now + 8 * DAY, created_at=now - 2 * DAY)
    over = made("over", expires_at=now - DAY, disabled=True, created_at=now - 3 * DAY)
    off = made("off", disabled=True, created_at=now - 4 * DAY)
    gone = made("gone", revoked_at=now - DAY, created_at=now - 5 * DAY)
    every = [gone, off, over, later, soon, stale, old]
    states = {gone: "revoked", off: "disabled", over: "expired"}
    owners = {soon: "robot", stale: "ann@example.org", old: "Bob"}

    def row(key: Key) -> dict[str, str]:
        return {
            "name": key.name, "secret": f"{key.prefix}…{key.last4}",
            "state": chosen("keys", "state", states.get(key, "active")),
            "owner": owners.get(key, ""), "team": "core", "project": "",
            "models": ", ".join(key.model_patterns), "used": "", "client": "", "address": "",
            "expires": in_file(key.expires_at), "created": in_file(key.created_at),
        }  # fmt: skip

    return Listed(
        "keys",
        "/o/acme/keys",
        [row(key) for key in every],
        {
            "state=living": [1, 2, 3, 4, 5, 6], "state=active": [3, 4, 5, 6], "state=expired": [2],
            "state=disabled": [1], "state=revoked": [0], "stale=30": [5, 6], "stale=90": [5],
            "stale=soon": [4], "q=robot": [4], "q=bob@": [6], f"q={old.last4}": [6],
            f"q={stale.prefix}": [5], "q=lat": [3],
        },
        whole="state=all",
    )  # fmt: skip


@shows
def members(people: cast.Cast) -> Listed:
    second = teams.create_team(people.acme, "Second", actor=SYSTEM)
    ann = cast.member(people.acme, "ann", Role.VIEWER)
    member_writes.set_member(people.acme, ann.email, Role.VIEWER, teams=[second], actor=SYSTEM)
    zoe = cast.member(people.acme, "zoe", Role.BILLING)
    User.objects.filter(id=people.bob.id).update(last_login=MADE)
    User.objects.filter(id=zoe.id).update(is_active=False, last_login=ENDED, name="Nobody")
    joined = dict(Membership.objects.values_list("user__email", "created_at"))
    client = cast.signed_in(people.alice)
    people.alice.refresh_from_db()
    here = in_file(people.alice.last_login)

    def row(name: str, email: str, role: str, state: str, **over: str) -> dict[str, str]:
        return {
            "name": name, "email": email, "role": str(Role(role).label), "teams": "All teams",
            "state": chosen("members", "state", state), "second_factor": "Off", "last": "",
            "joined": in_file(joined[email]), **over,
        }  # fmt: skip

    return Listed(
        "members",
        "/o/acme/team",
        [
            row("Alice", "alice@example.org", "owner", "active", last=here),
            row("Ann", "ann@example.org", "viewer", "new", teams="Second"),
            row("Bob", "bob@example.org", "developer", "active", last=in_file(MADE)),
            row("Nobody", "zoe@example.org", "billing", "deactivated", last=in_file(ENDED)),
        ],
        {
            "role=viewer": [1], "role=developer": [2], "team=second": [0, 1, 2, 3],
            "team=core": [0, 2, 3], "state=new": [1], "state=deactivated": [3], "q=zoe@": [3],
            "q=nobod": [3],
        },
        client=client,
    )  # fmt: skip


# What is kept -------------------------------------------------------------------------------------


@shows
def views(people: cast.Cast) -> Listed:
    def made(user: User, page: str, name: str, at: dt.datetime, **over: Any) -> SavedView:
        return SavedView.objects.create(
            organisation=people.acme, user=user, page=page, name=name, created_at=at, **over
        )

    mine = made(people.alice, "usage", "A month", LATER, query="range=30d")
    theirs = made(people.bob, "explore", "By team", MADE, shared=True, query="group=team")
    made(people.bob, "usage", "Not hers", ENDED)
    for view, due_at in ((mine, SOON), (theirs, SOON + DAY)):
        ReportSchedule.objects.create(view=view, every="week", hour=8, zone="UTC", due_at=due_at)

    def row(view: SavedView, who: str, report: dt.datetime | None = None) -> dict[str, str]:
        return {
            "name": view.name, "page": str(ViewPage(view.page).label), "who": who,
            "report": in_file(report), "by": view.user.email, "created": in_file(view.created_at),
        }  # fmt: skip

    def item(view: SavedView) -> dict[str, Any]:
        return {
            "id": id_text(view.id), "page": view.page, "name": view.name, "query": view.query,
            "shared": view.shared, "owner": view.user.email,
            "created_at": in_api(view.created_at),
        }  # fmt: skip

    return Listed(
        "saved_views",
        "/o/acme/views",
        # To whom a colleague sends a view, nobody else knows.
        [row(mine, "Only you", SOON), row(theirs, "Shared")],
        {"q=month": [0], "q=team": [1]},
        api="/saved-views",
        items=[item(theirs), item(mine)],
        api_kept={"name=By+team": [0]},
    )  # fmt: skip


@shows
def exports(people: cast.Cast) -> Listed:
    common: dict[str, Any] = {
        "organisation": people.acme, "user": people.alice, "language": "en",
    }  # fmt: skip
    span = "range=custom&from=2026-01-05&to=2026-01-09&tz=UTC"
    done = Export.objects.create(
        form="csv", query=span, state="done", done=7, total=9, size=11, created_at=MADE,
        ended_at=ENDED, expires_at=SOON, detached_months=["2025-12"], **common,
    )  # fmt: skip
    over = Export.objects.create(
        form="xlsx", query="range=custom&from=2026-01-05&to=2026-01-05&tz=UTC", state="done",
        done=5, size=3, created_at=LATER, ended_at=LAST, expires_at=LAST + DAY, **common,
    )  # fmt: skip
    running = Export.objects.create(
        form="focus", query=span, state="running", done=2, total=4, created_at=ENDED, **common
    )
    failed = Export.objects.create(
        form="jsonl", query=span, state="failed", done=1, message="Interrupted", created_at=LAST,
        ended_at=LAST + DAY, **common,
    )  # fmt: skip
    Export.objects.create(
        form="csv", query="", language="en", organisation=people.acme, user=people.bob
    )

    def row(one: Export, name: str, state: str, period: str = "") -> dict[str, str]:
        return {
            "name": name, "state": state, "period": period or "2026-01-05 – 2026-01-09",
            "expires": in_file(SOON) if one == done else "", "created": in_file(one.created_at),
        }  # fmt: skip

    def item(one: Export, name: str, state: str) -> dict[str, Any]:
        return {
            "id": id_text(one.id), "file": name, "state": state, "rows": one.done,
            "total": one.total, "size": one.size, "created_at": in_api(one.created_at),
            "ended_at": in_api(one.ended_at), "expires_at": in_api(one.expires_at),
            "detached_months": one.detached_months or [],
        }  # fmt: skip

    names = {
        done: "requests-2026-01-04-without-2025-12.csv", over: "requests-2026-03-06.xlsx",
        running: "focus-2026-02-05.csv", failed: "requests-2026-04-07.jsonl",
    }  # fmt: skip
    return Listed(
        "exports",
        "/o/acme/exports",
        [
            row(failed, names[failed], "Failed"), row(running, names[running], "Running"),
            row(over, names[over], "Expired", "2026-01-05"), row(done, names[done], "Ready"),
        ],
        api="/exports",
        items=[
            item(failed, names[failed], "failed"), item(running, names[running], "running"),
            item(over, names[over], "expired"), item(done, names[done], "done"),
        ],
    )  # fmt: skip


# Requests ---------------------------------------------------------------------------------------


@shows
def requests(people: cast.Cast) -> Listed:
    User.objects.filter(id=people.alice.id).update(operator=True)
    second = teams.create_team(people.acme, "Second", actor=SYSTEM)
    key, _ = cast.make_key(second, "prod", user=people.bob)
    other, _ = cast.make_key(people.core, "test")
    credit(key)
    now = clock.now().replace(microsecond=0)
    session, channel = new_id(), new_id()
    full = happen(
        key, now - 5 * HOUR, 7 * 10**6, model="m-full", channel_id=channel, channel_name="east",
        source="playground", upstream_model="m-full-2026", project="Bots", customer="Megacorp",
        tags=["blue", "red"], end_user="ana@chat", prompt="greeting", prompt_version=3,
        client_app="aider", session_id=session, stream=False, finish_reason="length",
        basis="estimated", ttft_ms=310, total_ms=4_100, cost_nano=3 * 10**6, saved_nano=2 * 10**6,
        meters={"in_text": 5},
    )  # fmt: skip
    bare = happen(
        other, now - 2 * HOUR, 0, model="m-bare", channel_name="west", upstream_model="m-b",
        status=502, kind="upstream_error", finish_reason="", ttft_ms=None, basis="none",
        total_ms=90, cost_nano=None, meters={}, saved_nano=None,
    )  # fmt: skip

    def row(one: Any, key: Key, team: str, **over: str) -> dict[str, str]:
        return {
            "time": in_file(one.admitted_at), "status": words.status_text(one.status, one.kind),
            "model": one.model, "key": key.name, "person": "", "channel": one.channel_name,
            "upstream": one.upstream_model, "basis": str(words.BASES[one.basis]),
            "source": str(words.source_name(one.source, one.client_app)), "team": team,
            "project": one.project, "customer": one.customer, "tags": ", ".join(one.tags or []),
            "end_user": one.end_user, "prompt": one.prompt or "",
            "app": str(words.app_name(one.client_app)), "session": "",
            "id": id_text(one.request_id), **over,
        }  # fmt: skip

    def item(one: Any, key: Key, team: str, **over: Any) -> dict[str, Any]:
        return {
            "id": id_text(one.request_id), "created_at": in_api(one.admitted_at),
            "organisation": "acme", "team": team, "key": id_text(key.id), "user": None,
            "model": one.model, "channel": one.channel_name, "dialect": "openai",
            "stream": one.stream, "status": one.status, "kind": one.kind,
            "finish_reason": one.finish_reason or None, "meters": one.meters, "basis": one.basis,
            "paid_to_provider": None, "price_version": None, "ttft_ms": one.ttft_ms,
            "total_ms": one.total_ms, "attempts": 1, "project": one.project or None,
            "tags": one.tags or [], "customer": one.customer or None,
            "end_user": one.end_user or None, "end_user_verified": False, "prompt": one.prompt,
            "prompt_version": one.prompt_version, "app": one.client_app or None, "session": None,
            "dropped_params": [], "upstream_request_id": None, **over,
        }  # fmt: skip

    mail, day = people.bob.email, f"{now - 5 * HOUR:%Y-%m-%d}"
    same: dict[str, list[int]] = {
        "model=m-full": [1], f"key={id_text(key.id)}": [1], f"user={mail}": [1], "team=core": [0],
        "project=Bots": [1], "customer=Megacorp": [1], "tag=red": [1], "end_user=ana@chat": [1],
        "app=aider": [1], "status=error": [0], f"session={id_text(session)}": [1],
    }  # fmt: skip
    later = in_api(now - 3 * HOUR)
    return Listed(
        "requests",
        "/o/acme/requests",
        [
            row(bare, other, "core"),
            row(full, key, "Second", person=mail, session=id_text(session)),
        ],
        {
            **same, f"channel={id_text(channel)}": [1],
            f"range=custom&from={day}&to={day}&tz=UTC": [1] if bare.admitted_at.date() != (
                full.admitted_at.date()) else [0, 1],
        },
        api="/requests",
        items=[
            item(bare, other, "core", charge="0.00", cost=None, saved_by_cache=None),
            item(full, key, "second", charge="0.007", cost="0.003", saved_by_cache="0.002",
                 user=mail, session=id_text(session)),
        ],
        api_kept={f"from={later}": [0], f"to={later}": [1]},
    )  # fmt: skip


@shows
def reserved(people: cast.Cast) -> Listed:
    key, _ = cast.make_key(people.core, "Prod")
    other, _ = cast.make_key(people.core, "spare")
    credit(key)
    now = clock.now().replace(microsecond=0)
    late = admit(key, now - 3 * HOUR, model="m-late")
    running = admit(other, now - 1 * HOUR / 2, model="m-runs")
    kept = admit(other, now - 1 * HOUR / 4, model="m-kept")
    end(kept, basis="held")

    def row(one: Any, key: Key, state: str) -> dict[str, str]:
        return {
            "since": in_file(one.admitted_at), "state": chosen("holds", "state", state),
            "model": one.model, "key": key.name, "request": id_text(one.request_id),
        }  # fmt: skip

    return Listed(
        "holds",
        "/o/acme/billing/holds",
        [row(late, key, "late"), row(running, other, "running"), row(kept, other, "kept")],
        {
            "state=late": [0], "state=running": [1], "state=kept": [2], "q=PROD": [0],
            "q=m-r": [1], f"q={id_text(kept.request_id)}": [2],
        },
    )  # fmt: skip


# Organisations and teams --------------------------------------------------------------------------


@shows
def organisations(people: cast.Cast) -> Listed:
    def made(name: str, slug: str, at: dt.datetime, **over: Any) -> Organisation:
        one = organisation_writes.create_organisation(name, owner=people.charlie, actor=SYSTEM)
        Organisation.objects.filter(id=one.id).update(slug=slug, created_at=at, **over)
        return Organisation.objects.get(id=one.id)

    old = made("Older", "before", MADE, archived_at=ENDED, suspended_at=ENDED)
    held = made("Held", "stopped", LATER, suspended_at=LAST)
    plan = price_plans.save_plan(SYSTEM, "Gold", multiplier_ppm=900_000)
    price_plans.assign_plan(SYSTEM, held, plan.name)

    def row(one: Organisation, state: str, plan: str = "Standard") -> dict[str, str]:
        return {
            "name": one.name, "state": chosen("organisations", "state", state), "plan": plan,
            "created": in_file(one.created_at),
        }  # fmt: skip

    return Listed(
        "organisations",
        "/admin/organisations",
        [
            row(held, "suspended", "Gold"), row(old, "archived"),
            row(people.stranger, "active"), row(people.acme, "active"),
        ],
        {
            "state=active": [2, 3], "state=suspended": [0], "state=archived": [1], "q=befor": [1],
            "q=hel": [0],
        },
        who="dora",
    )  # fmt: skip


@shows
def teams_of_an_organisation(people: cast.Cast) -> Listed:
    gone = teams.create_team(people.acme, "Bygone", actor=SYSTEM)
    teams.archive_team(gone, actor=SYSTEM)
    type(gone).objects.filter(id=gone.id).update(created_at=MADE)

    def row(name: str, state: str, at: dt.datetime) -> dict[str, str]:
        return {"name": name, "state": chosen("teams", "state", state), "created": in_file(at)}

    return Listed(
        "teams",
        "/o/acme/teams",
        [row("Bygone", "archived", MADE), row("core", "active", people.core.created_at)],
        {"state=active": [1], "state=archived": [0], "q=byg": [0]},
        whole="state=all",
    )

"""The steps that erase a person in the background (P36): everywhere, or in the organisation of the
erasure (P12).

Each step can be repeated without harm, and is marked as done in its own last transaction, so that
an interrupted erasure resumes. A step that must wait for a running request is tried again at the
next run.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from allauth.usersessions.models import UserSession
from django.db import connection, transaction
from django.db.models import QuerySet

from accounts.access.actors import SYSTEM
from accounts.audit import audit
from accounts.members.pseudonym import replace_person, searched_in_json
from accounts.models import (
    DeviceSignIn,
    Erasure,
    Invitation,
    Key,
    SecretUse,
    SignInLink,
    SignInNetwork,
    TablePreference,
    User,
)
from accounts.secrets.key_ring import seal_key
from accounts.sessions import sessions
from billing.limits.erased_end_users import rename_end_users
from billing.models import BudgetRaise
from billing.seals.rewrites import rewrite_sealed
from content.data_keys.data_keys import destroy_data_keys
from content.models import Prompt, PromptVersion
from gateway.models import AnnouncementDismissal
from lib import clock
from lib.database.advisory_locks import AdvisoryLock
from notify.models import Delivery
from outbox.models import Fact
from playground.erasure.address_search import sweep
from playground.erasure.erasure_requests import FIRST_STEP, Row, rows_of, traces_of
from playground.media.media import delete_media
from playground.models import (
    Attachment,
    Conversation,
    MediaRun,
    PaymentPreference,
    Preference,
    Preset,
    RealtimeTicket,
    Run,
    ShareLink,
    Vote,
)
from usage.models import ChartNote, Export, Feedback, ReportReceiver, SavedView
from usage.sinks.sinks import sinks_off, used_sinks

FAILED: Final = "failed"
"""What an erasure waits for after an unexpected error: the next attempt."""

log = logging.getLogger(__name__)

_RUN_S: Final = 40
_ID_LENGTH: Final = 26
# Only the process that holds this lock erases.
_LOCK: Final = f"SELECT pg_try_advisory_lock({AdvisoryLock.ERASE_PEOPLE})"
_UNLOCK: Final = f"SELECT pg_advisory_unlock({AdvisoryLock.ERASE_PEOPLE})"

Counts = Mapping[str, int]
Step = Callable[[Erasure], Counts]


class Waits(Exception):
    """A step cannot be finished yet, because `what` has to end first."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


def erase_people() -> int:
    """Continue every unfinished erasure, for a limited time. Return how many ended."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
        ((free,),) = cursor.fetchall()
        if not free:
            return 0
        try:
            until = time.monotonic() + _RUN_S
            pending = list(Erasure.objects.filter(done_at=None).order_by("id"))
            return sum(_run_step(erasure, until) for erasure in pending)
        finally:
            cursor.execute(_UNLOCK)


def _run_step(erasure: Erasure, until: float) -> bool:
    """Continue one erasure. Return whether it has ended. One that fails is tried again at the next
    run, and does not stop the others."""
    while erasure.done_at is None and time.monotonic() < until:
        try:
            _do_step(erasure)
        except Waits as waits:
            Erasure.objects.filter(pk=erasure.pk).update(waits_for=waits.what)
            return False
        except Exception as error:
            # The text of an error may contain the person's words. The next runs log no more.
            if erasure.waits_for != FAILED:
                name = type(error).__name__
                log.error("erasure %s failed: %s: %s", erasure.pk, erasure.step, name)
            Erasure.objects.filter(pk=erasure.pk).update(waits_for=FAILED)
            return False
    return erasure.done_at is not None


def _do_step(erasure: Erasure) -> None:
    name = erasure.step
    step, apart = _STEPS[name]
    # Each seal is rewritten in its own transaction. The step is done after the last one.
    counts = step(erasure) if apart else {}
    with transaction.atomic():
        counts = counts if apart else step(erasure)
        names = list(_STEPS)
        following = names[names.index(name) + 1 :]
        erasure.counts = {**erasure.counts, **{key: n for key, n in counts.items() if n}}
        erasure.waits_for = ""
        if following:
            erasure.step = following[0]
        else:
            _finish(erasure)
        erasure.save()


def _finish(erasure: Erasure) -> None:
    erasure.done_at = clock.now()
    erasure.addresses, erasure.names, erasure.texts = [], [], []
    erasure.objects_named, erasure.organisations = [], []
    audit.record(
        SYSTEM, erasure.organisation, "user.erased", erasure.user,
        pseudonym=erasure.pseudonym, **erasure.counts,
    )  # fmt: skip


# The steps --------------------------------------------------------------------------------------


def _end_requests(erasure: Erasure) -> Counts:
    """Stop the person's running requests and wait for them, because they write the person's texts
    when they end."""
    now, some_run = clock.now(), False
    for rows in (_own(erasure, Run, path="conversation__"), _own(erasure, MediaRun)):
        running = rows.filter(ended_at=None)
        running.filter(stop_at=None).update(stop_at=now)
        some_run |= running.exists()
    if some_run or _execute(_OPEN_HOLDS, erasure):
        raise Waits("requests")
    return {}


def _delete_chats(erasure: Erasure) -> Counts:
    chats = _own(erasure, Conversation)
    count = chats.count()
    ShareLink.objects.filter(conversation__in=chats).delete()
    _own(erasure, ShareLink, path="conversation__").delete()
    for chat in chats.iterator(chunk_size=100):
        chat.delete()
    # What others transferred to them before now stays with the new owner.
    _own(erasure, Run, path="conversation__").delete()
    return {"chats": count, "votes": _delete_rows(_own(erasure, Vote))}


def _delete_files(erasure: Erasure) -> Counts:
    media = _own(erasure, MediaRun)
    count = media.count()
    delete_media(media)
    return {"media": count, "files": _delete_rows(_own(erasure, Attachment))}


def _delete_prompts(erasure: Erasure) -> Counts:
    versions = _own(erasure, PromptVersion, path="prompt__")
    PromptVersion.objects.filter(
        id__in=versions.exclude(prompt__user=erasure.user).values("id")
    ).update(user=None)
    _own(erasure, PaymentPreference).delete()
    _own(erasure, RealtimeTicket).delete()
    if erasure.organisation is None:
        Preference.objects.filter(user=erasure.user).delete()
    presets = _delete_rows(_own(erasure, Preset))
    prompts = _own(erasure, Prompt)
    count = prompts.count()
    prompts.delete()
    return {"prompts": count, "presets": presets}


def _delete_content(erasure: Erasure) -> Counts:
    """Delete content that is kept for later requests, and that of media tasks. What the content log
    keeps is sealed with keys that are destroyed."""
    keys = destroy_data_keys(erasure.user, erasure.organisation)
    answers = sum(_replace_in_rows(text, erasure) for text in _CONTENT)
    return {"answers": answers, "data_keys": keys}


def _delete_usage(erasure: Erasure) -> Counts:
    """Delete views, reports and exports, including exports of others in the same organisations,
    because their files name people."""
    _own(erasure, ReportReceiver, path="schedule__view__").delete()
    views = _delete_rows(_own(erasure, SavedView))
    notes = _delete_rows(_own(erasure, ChartNote))
    # The score stays in the sums, without its author.
    feedback = _own(erasure, Feedback, by="author").update(author=None, label="", comment="")
    addresses = _replace_in_rows(_CLIENT_ADDRESSES, erasure)
    _open(erasure)
    ends = _replace_in_rows(_END_USERS_OF_ATTEMPTS, erasure)
    ends += _replace_in_rows(_TEXTS_OF_RECORDS, erasure)
    _replace_in_rows(_LATE_END_USERS, erasure)
    return {
        "views": views, "notes": notes, "feedback": feedback, "exports": _delete_exports(erasure),
        "addresses": addresses, "end_users": ends,
    }  # fmt: skip


def _delete_exports(erasure: Erasure) -> int:
    return _delete_rows(
        _own(erasure, Export) | Export.objects.filter(organisation__in=erasure.organisations)
    )


def _forget_in_sinks(erasure: Erasure) -> Counts:
    person = (erasure.user_id, erasure.addresses, erasure.pseudonym, erasure.organisations)
    for sink in used_sinks():
        sink.forget_person(*person)
    erasure.unreached = [sink.name for sink in sinks_off()]
    return {}


def _delete_letters(erasure: Erasure) -> Counts:
    """Delete emails to the person, facts for the person alone, and texts about the person in facts
    for others."""
    user, traces = erasure.user, traces_of(erasure)
    here = Fact.objects.filter(organisation_id__in=erasure.organisations)
    if erasure.organisation is None:
        nobody = Fact.objects.filter(organisation_id=None)
        nobody.filter(people=[user.pk]).delete()
        here |= nobody
    words = searched_in_json((*traces.addresses, *traces.names, *traces.texts))
    # Leave out the numbers of memberships and views, because others have the same numbers.
    things = {name.split(":", 1)[1] for name in erasure.objects_named if len(name) > _ID_LENGTH}
    for fact in here.filter(id__in=[id for (id,) in _execute(_FACTS, erasure, words=words)]):
        about = (
            user.pk in fact.people
            or not things.isdisjoint(_strings(fact.body))
            or replace_person(fact.body, traces, about=False) != fact.body
        )
        fact.body = replace_person(fact.body, traces, about=about)
        fact.save(update_fields=["body"])
    letters = Delivery.objects.filter(user=user)
    if erasure.organisation is not None:
        letters = letters.filter(fact__organisation_id=erasure.organisation.pk)
    return {"letters": _delete_rows(letters)}


def _delete_sign_ins(erasure: Erasure) -> Counts:
    """Delete invitations and budget requests; with the account, also how the person signs in, which
    is no organisation's."""
    for address in erasure.addresses:
        rows_of(Invitation, address, erasure.organisation, by="email__iexact").delete()
    _own(erasure, Invitation, by="invited_by").update(message="")
    _own(erasure, BudgetRaise, by="asked_by", path="budget__").delete()
    if erasure.organisation is not None:
        return {}
    user = erasure.user
    sessions.end(user, "user.erased")
    counts = {"sign_ins": _delete_rows(SignInNetwork.objects.filter(user=user))}
    for rows in (
        UserSession, SignInLink, DeviceSignIn, EmailAddress, Authenticator, SocialAccount,
        TablePreference, AnnouncementDismissal,
    ):  # fmt: skip
        rows.objects.filter(user=user).delete()
    return counts


def _rename_keys(erasure: Erasure) -> Counts:
    """Remove the names of keys and the addresses from which they were used. Their ids, which usage
    refers to, stay."""
    own = _own(erasure, Key)
    SecretUse.objects.filter(key__in=own).delete()
    return {"keys": own.update(name=erasure.pseudonym, networks=[])}


def _rename_end_users(erasure: Erasure) -> Counts:
    for organisation_id in erasure.organisations:
        rename_end_users(organisation_id, traces_of(erasure))
    return {}


def _sweep(erasure: Erasure) -> Counts:
    _open(erasure)
    whole = erasure.organisation is None
    return {"texts": sweep(traces_of(erasure), erasure.organisations, whole=whole)}


def _rewrite_sealed(erasure: Erasure) -> Counts:
    return {"sealed": rewrite_sealed(erasure, traces_of(erasure), seal_key())}


def _erase_person(erasure: Erasure) -> Counts:
    if erasure.organisation is None:
        _rename_person(erasure)
    # Until now, a new export named the person. One that starts after the rename does not.
    return {"exports": erasure.counts.get("exports", 0) + _delete_exports(erasure)}


@transaction.atomic
def _rename_person(erasure: Erasure) -> None:
    user = User.objects.select_for_update(no_key=True).get(pk=erasure.user_id)
    user.email, user.name = erasure.pseudonym, ""
    user.language = user.theme = ""
    user.last_login, user.is_active, user.operator = None, False, False
    user.erased_at = clock.now()
    user.set_unusable_password()
    user.save()
    erasure.user = user


SINKS_STEP: Final = "clickhouse"
"""The step in the sinks of usage. Rows store its name, which is that of the first sink."""
_STEPS: Final[Mapping[str, tuple[Step, bool]]] = {
    # While it waits for the requests, their stops are committed.
    FIRST_STEP: (_end_requests, True),
    "chats": (_delete_chats, False),
    "files": (_delete_files, False),
    "prompts": (_delete_prompts, False),
    "answers": (_delete_content, False),
    "usage": (_delete_usage, False),
    "letters": (_delete_letters, False),
    "sign_ins": (_delete_sign_ins, False),
    "keys": (_rename_keys, False),
    # A transaction for each organisation, because its requests wait for its budgets.
    "end_users": (_rename_end_users, True),
    "texts": (_sweep, False),
    SINKS_STEP: (_forget_in_sinks, True),
    # If the worker is killed here, the next one repeats the rest.
    "sealed": (_rewrite_sealed, True),
    # The rename is committed before the last exports are deleted.
    "person": (_erase_person, True),
}
STEPS: Final = tuple(_STEPS)
STEPS_AFTER_SINKS: Final = STEPS[STEPS.index(SINKS_STEP) + 1 :]


def _strings(value: Any) -> Iterator[str]:
    """Yield the texts in a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _strings(inner)


def _open(erasure: Erasure) -> None:
    """Permit this transaction to change append-only rows for an erasure."""
    _execute("SELECT set_config('weir.erasure', %(erasure)s, true)", erasure)


def _own(erasure: Erasure, model: type[Row], *, by: str = "user", path: str = "") -> QuerySet[Row]:
    return rows_of(model, erasure.user, erasure.organisation, by=by, path=path)


def _delete_rows(rows: QuerySet[Any]) -> int:
    count = rows.count()
    rows.delete()
    return count


def _execute(text: str, erasure: Erasure, **values: Any) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(text, {**_parameters(erasure), "erasure": str(erasure.pk), **values})
        rows: list[Any] = cursor.fetchall()
    return rows


def _replace_in_rows(text: str, erasure: Erasure) -> int:
    with connection.cursor() as cursor:
        cursor.execute(text, _parameters(erasure))
        return int(cursor.rowcount)


def _parameters(erasure: Erasure) -> dict[str, Any]:
    return {"user": erasure.user_id, "part": erasure.organisation_id}


_OPEN_HOLDS: Final = """
    SELECT FROM billing_hold h JOIN usage_attempt a ON a.id = h.id
    WHERE h.state = 'open' AND a.user_id = %(user)s
      AND (%(part)s::uuid IS NULL OR a.organisation_id = %(part)s) LIMIT 1"""
_FACTS: Final = """
    SELECT id FROM outbox_fact
    WHERE EXISTS (SELECT FROM unnest(%(words)s::text[]) word
                  WHERE strpos(lower(body::text), word) > 0)"""
_CONTENT: Final = (
    """
    DELETE FROM gateway_keptstate
    WHERE user_id = %(user)s AND (%(part)s::uuid IS NULL OR organisation_id = %(part)s)""",
    """
    DELETE FROM gateway_cachedanswer
    WHERE user_id = %(user)s AND (%(part)s::uuid IS NULL OR organisation_id = %(part)s)""",
    """
    DELETE FROM gateway_answerpiece p USING usage_attempt a
    WHERE a.user_id = %(user)s AND a.request_id = p.request_id
      AND a.organisation_id = p.organisation_id
      AND (%(part)s::uuid IS NULL OR a.organisation_id = %(part)s)""",
    """
    DELETE FROM gateway_idempotentanswer i USING usage_attempt a
    WHERE a.user_id = %(user)s AND a.request_id = i.request_id
      AND a.organisation_id = i.organisation_id
      AND (%(part)s::uuid IS NULL OR a.organisation_id = %(part)s)""",
    """
    UPDATE gateway_mediatask t SET request = NULL, result = NULL, hook = NULL,
        deleted_at = coalesce(t.deleted_at, now())
    FROM usage_attempt a WHERE a.id = t.id AND a.user_id = %(user)s
      AND (%(part)s::uuid IS NULL OR a.organisation_id = %(part)s)""",
)
_CLIENT_ADDRESSES: Final = """
    DELETE FROM usage_clientaddress c USING usage_usagerecord r
    WHERE r.id = c.record_id AND r.organisation_id = c.organisation_id
      AND r.user_id = %(user)s AND (%(part)s::uuid IS NULL OR r.organisation_id = %(part)s)"""
# A person's own requests may name the person as the end user, and sessions have names that the
# person chose.
_END_USERS_OF_ATTEMPTS: Final = """
    UPDATE usage_attempt SET end_user = '', session = session - 'name'
    WHERE user_id = %(user)s AND (%(part)s::uuid IS NULL OR organisation_id = %(part)s)
      AND (end_user <> '' OR session ? 'name')"""
# A message may quote the prompt.
_TEXTS_OF_RECORDS: Final = """
    UPDATE usage_usagerecord SET end_user = '', message = '', session = session - 'name'
    WHERE user_id = %(user)s AND (%(part)s::uuid IS NULL OR organisation_id = %(part)s)
      AND (end_user <> '' OR message <> '' OR session ? 'name')"""
_LATE_END_USERS: Final = """
    UPDATE usage_laterecord SET row = row || '{"end_user": "", "message": ""}'::jsonb
    WHERE row->>'user_id' = %(user)s::text
      AND (%(part)s::uuid IS NULL OR organisation_id = %(part)s)"""

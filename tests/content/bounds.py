"""Bounds of content, at the bound and one beyond it: guards, policies, prompts, the content log and
its rules."""

import datetime as dt
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.db import connection

from accounts.access.actors import SYSTEM, Actor
from accounts.models import Role
from accounts.secrets.sealing import vault
from content.access import visible_entries
from content.data_keys import sealing
from content.detectors.own import Expression, words
from content.detectors.patterns import EMAIL
from content.detectors.prefixes import needed
from content.detectors.registry import GUARDS
from content.detectors.tools import ToolCondition, ToolRule, ToolRules, check_tool_rules
from content.guards.rules import GuardRule
from content.log import log, session_log
from content.log.kept import Kept, pack
from content.log.media import media_of
from content.models import DataKey, Entry, LogRule, Policy, Prompt
from content.policies import policies
from content.policies.limits import is_model_pattern
from content.policies.rules import check_rules
from content.prompts import prompts
from content.prompts.settings import Settings
from content.prompts.variables import is_too_long
from content.rules import log_rules
from content.rules.forms import RuleForm
from content.rules.rules import drop_at
from lib import clock
from lib.ids import new_id
from tests.support.bounds import Bound, agreed
from tests.support.cast import Cast, actor
from usage.limits.budget_simulation import look_back

# Guards ------------------------------------------------------------------------------------------


def express(length: int) -> Expression:
    """An expression of so many characters that matches one."""
    return Expression("a" * length if length < 3 else f"[{'a' * (length - 2)}]")


def match_long(length: int) -> Expression:
    # A repeat alone may not be longer than the bound in RE2 either.
    half = length // 2
    return Expression(f"a{{{half}}}a{{{length - half}}}")


def check_tools(count: int = 1, *, name: str = "t", **conditions: Any) -> None:
    rule = ToolRule(name, "allow", **conditions)
    check_tool_rules(ToolRules([rule] * count))


def condition_of(pointer: str = "/a", pattern: str = "a") -> ToolCondition:
    return ToolCondition(pointer, pattern)


def check_guards(count: int) -> None:
    """Rules of so many guards: an installation has that many by its extensions."""
    names = [f"guard {n}" for n in range(count)]
    with patch.dict(GUARDS, dict.fromkeys(names, GUARDS["email"])):
        check_rules([GuardRule(name, {}, ["request"], "flag", "code") for name in names])


# Policies ----------------------------------------------------------------------------------------


def limit(people: Cast, name: str = "new", **limits: Any) -> Policy:
    return policies.create_policy(SYSTEM, people.acme, look_back, name=name, **limits)


def list_together(people: Cast, field: str, value: str, count: int) -> Policy:
    """List one value more, so that all policies list so many."""
    Policy.objects.create(
        organisation=people.acme, name=f"before {field}", **{field: [value] * (count - 1)}
    )
    return limit(people, f"new {field}", **{field: [value]})


def add_policy(people: Cast, count: int) -> Policy:
    """Add the last of so many policies."""
    Policy.objects.bulk_create(
        Policy(organisation=people.acme, name=f"policy {n}") for n in range(count - 1)
    )
    return limit(people)


# Prompts -----------------------------------------------------------------------------------------


def add_label(people: Cast, count: int) -> Prompt:
    """Add the last of so many labels."""
    alice = actor(people.alice, people.acme)
    version = prompts.save_prompt(alice, "hello", "m-1", Settings(), note="", shared=True)
    labels = {f"label-{n}": [1] for n in range(count - 1)}
    Prompt.objects.filter(id=version.prompt_id).update(labels=labels)
    return prompts.move_label(alice, version, "new")


# The content log ---------------------------------------------------------------------------------


def add_log_rule(people: Cast, count: int) -> LogRule:
    """Add the last of so many rules."""
    with connection.cursor() as cursor:
        cursor.execute(
            """INSERT INTO content_logrule (id, organisation_id, scope, subject, keep,
                   share_percent, retention_hours, callers_may_opt_out)
               SELECT gen_random_uuid(), %s, 'model', 'm-' || n, 'everything', 100, 24, true
               FROM generate_series(1, %s) n""",
            [people.acme.id, count - 1],
        )
    return log_rules.add_rule(SYSTEM, people.acme, scope="organisation")


def reader(people: Cast) -> Actor:
    bob = actor(people.bob, people.acme)
    return replace(bob, role=Role.CUSTOM, permissions=("content.read",))


def keep(people: Cast, *sizes: int, data_key: DataKey | None = None, **over: Any) -> None:
    """Keep requests with texts of these sizes. Without a data key, nobody can read them."""
    at = clock.now()
    dropped_at = drop_at(at, 24)
    with connection.cursor() as cursor:
        cursor.execute("SELECT content_make_partition(%s)", [dropped_at])
    entries = [
        Entry(
            created_at=at, expires_at=at + dt.timedelta(hours=24), drop_at=dropped_at,
            request_id=new_id(), organisation=people.acme, team_id=people.core.id, key_id=new_id(),
            model="m-1", dialect="openai", operation="chat_completions", status=200,
            data_key_id=data_key.id if data_key else UUID(int=1), content_bytes=size, sealed=b"-",
            **over,
        )
        for size in sizes
    ]  # fmt: skip
    if data_key:
        secret = vault().open_bytes(bytes(data_key.sealed), sealing.place_of_key(data_key.id))
        for entry in entries:
            place = sealing.place_of_entry(people.acme.id, entry.request_id)
            entry.sealed = sealing.seal(AESGCM(secret), pack(Kept(b"needle")), place)
    Entry.objects.bulk_create(entries)


def finds_all(people: Cast, count: int) -> bool:
    """Whether a search shows all of so many texts that contain something."""
    id = new_id()
    sealed = vault().seal_bytes(sealing.new_data_key(), sealing.place_of_key(id))
    data_key = DataKey.objects.create(id=id, organisation=people.acme, owner="key:1", sealed=sealed)
    keep(people, *[6] * count, data_key=data_key)
    bob = reader(people)
    found = log.search(bob, visible_entries(bob), "needle", "why")
    return len(found.hits) == count and found.next is None


def reads_session(people: Cast, *sizes: int) -> bool:
    """Whether a session with texts of these sizes is read as a whole."""
    session = new_id()
    keep(people, *sizes, session_id=session)
    return not session_log.read_session_log(reader(people), session, "why").older


BOUNDS: Final[dict[str, Bound]] = {
    # Beyond it, RE2 is asked before: whether a text without any address needs to be searched.
    "content/detectors/detector.py:_may_match:_SEARCHED_MIN": Bound(
        lambda _, n: not EMAIL._may_match("a" * n, 0), 200, None
    ),
    "content/detectors/own.py:__init__:EXPRESSION_CHARACTERS_MAX": Bound(
        lambda _, n: express(n), 1, 1_000
    ),
    "content/detectors/own.py:__init__:MATCH_CHARACTERS_MAX": Bound(
        lambda _, n: match_long(n), 1, 1_000
    ),
    "content/detectors/own.py:words:WORDS_MAX": Bound(
        lambda _, n: words([f"word {one}" for one in range(n)]), 1, 1_000
    ),
    "content/detectors/own.py:words:WORD_CHARACTERS_MAX": Bound(
        lambda _, n: words(["w" * n]), 1, 60
    ),
    "content/detectors/prefixes.py:_members:_NEEDED_MAX": Bound(
        lambda _, n: bool(needed(f"[{''.join(chr(0x4E00 + one) for one in range(n))}]")), None, 64
    ),
    "content/detectors/tools.py:check_tool_rules:CONDITIONS_MAX": Bound(
        lambda _, n: check_tools(arguments=[condition_of()] * n), None, 10
    ),
    "content/detectors/tools.py:check_tool_rules:RULES_MAX": Bound(
        lambda _, n: check_tools(n), 1, 100
    ),
    "content/detectors/tools.py:check_tool_rules:TEXT_MAX": Bound(
        lambda _, n: agreed(
            lambda: check_tools(name="t" * n),
            lambda: check_tools(arguments=[condition_of(pointer="/" + "a" * (n - 1))]),
            lambda: check_tools(arguments=[condition_of(pattern="a" * n)]),
        ),
        None,
        200,
    ),
    "content/log/log.py:search:HITS_MAX": Bound(finds_all, None, 50),
    "content/log/media.py:media_of:_DATA_MIN": Bound(
        lambda _, n: media_of("text", "a" * (n - 1) + "A", {}) is not None, 1024, None
    ),
    "content/log/session_log.py:_newest:BYTES_MAX": Bound(
        lambda people, n: reads_session(people, 1, n - 1), None, 33_554_432
    ),
    "content/log/session_log.py:_newest:ENTRIES_MAX": Bound(
        lambda people, n: reads_session(people, *[1] * n), None, 200
    ),
    "content/policies/limits.py:is_model_pattern:_PATTERN_MAX": Bound(
        lambda _, n: is_model_pattern("m" * n), 1, 200
    ),
    "content/policies/policies.py:_set_limits:LISTED_MAX": Bound(
        lambda people, n: limit(people, model_patterns=[f"m-{one}" for one in range(n)]), None, 100
    ),
    "content/policies/policies.py:_set_limits:LISTED_TOGETHER_MAX": Bound(
        lambda people, n: agreed(
            lambda: list_together(people, "model_patterns", "m-1", n),
            lambda: list_together(people, "networks", "10.0.0.1/32", n),
        ),
        None,
        300,
    ),
    "content/policies/policies.py:_set_limits:RETENTION_HOURS_MAX": Bound(
        lambda people, n: limit(people, retention_hours=n), 0, 8_760
    ),
    "content/policies/policies.py:create_policy:POLICIES_MAX": Bound(add_policy, None, 100),
    "content/policies/rules.py:check_rules:RULES_MAX": Bound(
        lambda _, n: check_guards(n), None, 50
    ),
    "content/prompts/prompts.py:move_label:LABELS_MAX": Bound(add_label, None, 20),
    "content/prompts/variables.py:is_too_long:FILLED_MAX": Bound(
        lambda _, n: not is_too_long("{{a}}.", {"a": "x" * (n - 1)}), None, 1_000_000
    ),
    "content/rules/forms.py:clean:RETENTION_HOURS_MAX": Bound(
        lambda _, n: "retention" not in RuleForm({"retention": n, "unit": "1"}).errors, 1, 8_760
    ),
    "content/rules/log_rules.py:_check:RETENTION_HOURS_MAX": Bound(
        lambda people, n: log_rules.add_rule(
            SYSTEM, people.acme, scope="organisation", retention_hours=n
        ),
        1,
        8_760,
    ),
    "content/rules/log_rules.py:add_rule:RULES_MAX": Bound(add_log_rule, None, 500),
}
# None has a test of its own that goes up to it and one beyond.
ELSEWHERE: Final[dict[str, str]] = {}
UNSEEN: Final[dict[str, str]] = {}

"""Whatever of content an address names: rules of the content log, and what it keeps."""

import datetime as dt
import json
from typing import Final

from accounts.access.actors import SYSTEM
from content.log.kept import Kept
from content.policies import policies
from content.rules import log_rules
from lib import clock
from lib.ids import id_text, new_id
from tests.content.log.entries import REQUEST, keep
from tests.isolation.world import IN_ORGANISATION, Kind, Place, World
from tests.usage.rows import happen
from usage.limits.budget_simulation import look_back


def _log_rule(world: World, at: Place) -> str:
    rule = log_rules.add_rule(SYSTEM, at.organisation, scope="model", subject=f"model-{at.word}")
    return id_text(rule.id)


def _policy(world: World, at: Place) -> str:
    policy = policies.create_policy(
        SYSTEM, at.organisation, look_back, name=f"policy-{at.word}", rules=[]
    )
    return id_text(policy.id)


def _entry(world: World, at: Place) -> str:
    record = happen(at.key, clock.now() - dt.timedelta(hours=1))
    asked = {"role": "user", "content": f"Asked {at.word}"}
    keep(record, Kept(json.dumps({**REQUEST, "messages": [asked]}).encode()))
    return id_text(record.request_id)


def _kept_session(world: World, at: Place) -> str:
    session = new_id()
    record = happen(at.key, clock.now() - dt.timedelta(hours=1), session_id=session)
    asked = {"role": "user", "content": f"Asked {at.word}"}
    body = json.dumps({**REQUEST, "messages": [asked]}).encode()
    keep(record, Kept(body), session_id=session)
    return id_text(session)


POLICY: Final = Kind(
    "policy", "organisation.write", _policy, wheres=IN_ORGANISATION, of_organisation=True
)
ENTRY: Final = Kind("entry of the content log", "content.read", _entry)
KEPT_SESSION: Final = Kind("session of the content log", "content.read", _kept_session)
LOG_RULE: Final = Kind(
    "rule of the content log",
    "organisation.write",
    _log_rule,
    wheres=IN_ORGANISATION,
    of_organisation=True,
)

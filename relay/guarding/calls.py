"""The calls of guards to services: their time, their connections, and what their failures mean.

A failure is of one of three classes (`content.detectors.call.Failure`). Its rule says for each
whether texts then pass unchecked, which is counted and reported, or are rejected.
"""

import asyncio
import base64
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import msgspec

from content.detectors.call import (
    CallFailed,
    CallSettings,
    Failure,
    Question,
    Reach,
    Verdict,
)
from content.detectors.registry import read_settings
from content.guards.rules import GuardRule, Place
from content.policies.guards import KNOWN
from content.policies.rules import secret_place
from lib.ids import id_text, new_id
from lib.network.egress import (
    AsyncClient,
    EgressError,
    EgressFailed,
    EgressPolicy,
    TooLarge,
    Unusable,
    guarded_async_client,
)
from lib.network.named_post import post_to_named
from lib.process.waiting import timeout
from lib.vault import Vault, VaultError
from relay.guarding.asking import Answered, AskModel, Caller, PassedUnchecked

log = logging.getLogger(__name__)

_ANSWER_BYTES_MIN: Final = 64 * 1024
# A changed text may be longer, and its JSON may escape each character.
_ANSWER_PER_BYTE: Final = 4
_SETTINGS_MAX: Final = 1_000
_CALLS_MAX: Final = 8


class _Reach(NamedTuple):
    """The `Reach` of one question."""

    post: Callable[[str, Mapping[str, str], bytes], Awaitable[bytes]]
    ask_model: AskModel


class GuardCalls:
    """The calls of one process. `passed` counts the texts' questions that no guard answered, and
    that passed all the same.
    """

    def __init__(self, vault: Vault, networks: Sequence[str]) -> None:
        self._vault = vault
        self._egress = EgressPolicy(networks)
        self._client: AsyncClient | None = None
        self._settings: dict[tuple[str, str, str, str], CallSettings] = {}
        self._passed: Counter[PassedUnchecked] = Counter()

    async def ask(
        self,
        caller: Caller,
        ask_model: AskModel,
        rule: GuardRule,
        place: Place,
        texts: Sequence[str],
    ) -> list[Answered] | None:
        """See `Ask`."""
        failure: Failure = "connection"
        settings: CallSettings | None = None
        try:
            settings = self._read(rule)
            async with timeout(settings.deadline_ms / 1000):
                reach = _Reach(self._post, ask_model)
                return await self._ask(rule, settings, caller, place, texts, reach)
        except TimeoutError:
            failure, why = "deadline", "no answer in time"
        except CallFailed as failed:
            failure, why = failed.failure, str(failed)
        except Exception as error:
            # An extension's own defect. Its message is not logged: it may contain the text.
            failure, why = "answer", type(error).__name__
        log.warning("guard %s of policy %s: %s: %s", rule.guard, rule.policy, failure, why)
        if settings is None or failure not in settings.passes_on:
            raise CallFailed(failure, why)
        self._passed[PassedUnchecked(rule.policy, rule.guard, failure)] += 1
        return None

    def take_passed(self) -> Counter[PassedUnchecked]:
        """Return and clear the failures after which texts passed unchecked."""
        passed, self._passed = self._passed, Counter()
        return passed

    def put_back(self, passed: Mapping[PassedUnchecked, int]) -> None:
        """Add back what could not be reported."""
        self._passed.update(passed)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _read(self, rule: GuardRule) -> CallSettings:
        """Return a rule's settings with its secret. Raises CallFailed."""
        key = rule.guard, repr(rule.settings), rule.policy, rule.sealed
        known = self._settings.get(key)
        if known is None:
            settings: dict[str, Any] = dict(rule.settings)
            try:
                if rule.sealed:
                    sealed = base64.b64decode(rule.sealed)
                    place = secret_place(rule.policy, rule.guard)
                    settings["secret"] = self._vault.open(sealed, place)
                known = read_settings(rule.guard, settings)
            except (VaultError, ValueError) as error:
                # Another version of an extension, or another KEK.
                raise CallFailed("connection", f"its settings cannot be read: {error}") from error
            if len(self._settings) >= _SETTINGS_MAX:
                self._settings.clear()
            self._settings[key] = known
        return known

    async def _ask(
        self,
        rule: GuardRule,
        settings: CallSettings,
        caller: Caller,
        place: Place,
        texts: Sequence[str],
        reach: Reach,
    ) -> list[Answered]:
        guard = KNOWN[rule.guard]
        call = guard.call
        if call is None:
            raise CallFailed("connection", "it makes no call")
        slots = asyncio.Semaphore(_CALLS_MAX)

        async def ask_about(some: Sequence[str]) -> Verdict:
            question = Question(
                id=id_text(new_id()),
                asked_at=int(time.time()),
                request_id=caller.request_id,
                place=place,
                texts=some,
                model=caller.model,
                key=caller.key,
                team=caller.team,
            )
            async with slots:
                verdict = await call(settings, question, reach)
            _check_verdict(verdict, len(some))
            return verdict

        step = guard.texts_max or len(texts)
        groups = [texts[begin : begin + step] for begin in range(0, len(texts), step)]
        tasks = [asyncio.ensure_future(ask_about(group)) for group in groups]
        try:
            return list(zip(groups, await asyncio.gather(*tasks), strict=True))
        finally:
            for task in tasks:
                task.cancel()

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
        """See `Reach`."""
        if self._client is None:
            self._client = guarded_async_client(self._egress, schemes=("https", "http"))
        bytes_max = _ANSWER_BYTES_MIN + _ANSWER_PER_BYTE * len(body)
        post = partial(post_to_named, self._client, self._egress, url, headers, body)
        try:
            return await post(bytes_max=bytes_max)
        except (TooLarge, Unusable) as error:
            raise CallFailed("answer", str(error)) from error
        except EgressError as error:
            late = isinstance(error, EgressFailed) and error.reason == "timeout"
            raise CallFailed("deadline" if late else "connection", str(error)) from error


def report_passed(passed: Iterable[PassedUnchecked]) -> tuple[str, dict[str, object]]:
    """Return the statement that reports failures after which texts passed unchecked: each of them
    once an hour, while they last."""
    rows = msgspec.json.encode([one._asdict() for one in passed]).decode()
    return _REPORT, {"rows": rows}


_REPORT: Final = """
    INSERT INTO outbox_fact (id, kind, organisation_id, body)
    SELECT md5(concat_ws('|', 'guard.failing', policy.id, failed.guard, failed.failure,
                         date_trunc('hour', now() AT TIME ZONE 'UTC')))::uuid,
           'guard.failing', policy.organisation_id,
           jsonb_build_object('policy', policy.name, 'guard', failed.guard,
                              'failure', failed.failure)
    FROM jsonb_to_recordset(%(rows)s::jsonb) AS failed (policy uuid, guard text, failure text)
    JOIN content_policy policy ON policy.id = failed.policy
    ON CONFLICT (id) DO NOTHING"""


def _check_verdict(verdict: object, texts: int) -> None:
    """Raise CallFailed for what an extension's guard may not return."""
    if not isinstance(verdict, Verdict):
        raise CallFailed("answer", "it returns no verdict")
    changed = texts if verdict.action == "change" else 0
    if len(verdict.texts) != changed or len(verdict.matches) not in (0, texts):
        raise CallFailed("answer", "the verdict does not fit the texts")

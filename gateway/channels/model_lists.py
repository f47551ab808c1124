"""Read the models that a provider lists for a key, recorded stage by stage.

address, connect   as in every call (gateway/channels/channel_tests/staged_calls.py)
accept             the provider takes the key
list               it answers with a list of models
"""

import json
import re
from dataclasses import dataclass, field
from typing import Final, Literal

from dialects.chat.chat import Dialect
from gateway.channels.bounds import MODEL_MAX, MODEL_PATTERN
from gateway.channels.channel_tests.staged_calls import (
    CallFailed,
    CallResult,
    StagedCall,
    Target,
    fault_of_answer,
    first_text,
)
from gateway.providers.codecs import codec_for
from gateway.providers.model_list import ListedPage, first_query, read_page
from gateway.providers.provider import BadAddress, NotOffered, Provider
from gateway.settings.installation import egress_policy
from lib.network.egress import Answer, EgressPolicy

ListStage = Literal["address", "connect", "accept", "list"]
LIST_STAGES: Final[tuple[ListStage, ...]] = ("address", "connect", "accept", "list")

_NAME: Final = re.compile(MODEL_PATTERN)
_BODY_BYTES_MAX: Final = 8 << 20
_PAGES_MAX: Final = 20
NAMES_MAX: Final = 2000


@dataclass
class ModelList(CallResult):
    """The models that a provider lists, by their unique names, in order. `complete` means that the
    list was read to its end, so a missing name is not listed."""

    names: list[str] = field(default_factory=list)
    complete: bool = False


def list_models(target: Target) -> ModelList:
    """Read a provider's list of models for a key. Takes at most a minute. Nothing is stored."""
    result = ModelList()
    _Listing(target, egress_policy(), result).run()
    return result


class _Listing:
    def __init__(self, target: Target, policy: EgressPolicy, result: ModelList) -> None:
        self._call = StagedCall(target, policy, LIST_STAGES, result)
        self._target = target
        self._result = result

    def run(self) -> None:
        with self._call.recorded():
            provider = self._call.provider()
            url, dialect = self._address(provider)
            headers = self._headers(provider, dialect)
            names: dict[str, None] = {}
            query = first_query(dialect)
            for _ in range(_PAGES_MAX):
                page = self._page(f"{url}?{query}" if query else url, headers, dialect)
                names.update((name, None) for name in page.names if is_model_name(name))
                query = page.next_query
                if not query or len(names) >= NAMES_MAX or self._call.late:
                    break
            self._result.names = sorted(names)[:NAMES_MAX]
            self._result.complete = not query and len(names) <= NAMES_MAX
            self._call.reach("list")

    def _address(self, provider: Provider) -> tuple[str, Dialect]:
        try:
            url = self._target.address(provider).url("models")
        except NotOffered as error:
            raise CallFailed("no_list") from error
        except BadAddress as error:
            raise CallFailed("configuration", str(error)) from error
        spoken = provider.dialects.items()
        return url, next(dialect for dialect, how in spoken if "models" in how.paths)

    def _headers(self, provider: Provider, dialect: Dialect) -> dict[str, str]:
        try:
            return self._target.headers(provider, dialect)
        except BadAddress as error:
            raise CallFailed("configuration", str(error)) from error

    def _page(self, url: str, headers: dict[str, str], dialect: Dialect) -> ListedPage:
        with self._call.send("GET", url, headers) as answer:
            status = answer.status_code
            if status != 200:
                body = first_text(answer.iter_raw())
                codec = codec_for(self._call.provider(), dialect)
                fault = fault_of_answer(answer, body, codec)
                raise CallFailed(
                    "no_list" if status in (404, 405) else fault, status=status, body=body
                )
            self._call.reach("accept")
            content = self._read_body(answer)
        try:
            return read_page(dialect, json.loads(content))
        except (ValueError, RecursionError) as error:
            excerpt = content[:400].decode("utf-8", "replace")
            raise CallFailed("not_list", status=200, body=excerpt) from error

    def _read_body(self, answer: Answer) -> bytes:
        body = b""
        for piece in answer.iter_raw():
            body += piece
            if len(body) > _BODY_BYTES_MAX or self._call.late:
                raise CallFailed("not_list", "the list does not come to its end", status=200)
        return body


def is_model_name(name: str) -> bool:
    """Return whether a route can contain the name. JSON can contain unpaired surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return len(name) <= MODEL_MAX and _NAME.fullmatch(name) is not None

"""The question for the balance of a key, stage by stage.

address, connect   as in every call (gateway/channels/channel_tests/staged_calls.py)
accept             the provider takes the key
balance            it answers with a balance
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import SplitResult, urlsplit

from gateway.channels.channel_tests.staged_calls import (
    CallFailed,
    CallResult,
    StagedCall,
    Target,
    fault_of_answer,
    first_text,
)
from gateway.provider_accounts.balances.rules import (
    PATHS,
    Balance,
    BalanceRefused,
    BalanceUnknown,
    read_balance,
)
from gateway.providers.codecs import codec_for
from gateway.providers.provider import BadAddress, NotOffered
from lib.network.egress import EgressPolicy

Stage = Literal["address", "connect", "accept", "balance"]
STAGES: Final[tuple[Stage, ...]] = ("address", "connect", "accept", "balance")
_BODY_BYTES_MAX: Final = 64 << 10
_ABSENT: Final = (404, 405, 410)


@dataclass
class BalanceAnswer(CallResult):
    """A provider's answer for one key."""

    balance: Balance | None = None


def ask(source: str, target: Target, policy: EgressPolicy) -> BalanceAnswer:
    """Read the balance of a key from a provider. Takes at most a minute."""
    result = BalanceAnswer()
    call = StagedCall(target, policy, STAGES, result)
    with call.recorded():
        try:
            root = urlsplit(target.address(call.provider()).url("models"))
            headers = target.headers(call.provider(), "openai")
        except NotOffered as error:
            raise CallFailed("no_balance", str(error)) from error
        except BadAddress as error:
            raise CallFailed("configuration", str(error)) from error
        bodies = [_body(call, root, path, headers) for path in PATHS[source]]
        result.balance = _read(source, bodies, root.hostname or "")
        call.reach("balance")
    return result


def _body(call: StagedCall, root: SplitResult, path: str, headers: Mapping[str, str]) -> bytes:
    """Return the provider's response at a path below its base URL, which is `…/v1` or has no
    version."""
    base = root.path.removesuffix("/models").removesuffix("/v1")
    url = root._replace(path=base + path, query="").geturl()
    with call.send("GET", url, headers) as answer:
        status, pieces = answer.status_code, answer.iter_raw()
        if status != 200:
            text = first_text(pieces)
            fault = fault_of_answer(answer, text, codec_for(call.provider(), "openai"))
            raise CallFailed("no_balance" if status in _ABSENT else fault, status=status, body=text)
        call.reach("accept")
        body = bytearray()
        for piece in pieces:
            body += piece
            if len(body) > _BODY_BYTES_MAX or call.late:
                raise CallFailed("not_balance", "the response does not come to its end", status=200)
    return bytes(body)


def _read(source: str, bodies: Sequence[bytes], host: str) -> Balance:
    try:
        return read_balance(source, bodies, host)
    except BalanceRefused as error:
        raise CallFailed("failed", str(error), status=200) from error
    except BalanceUnknown as error:
        excerpt = bodies[-1][:400].decode("utf-8", "replace")
        raise CallFailed("not_balance", str(error), status=200, body=excerpt) from error

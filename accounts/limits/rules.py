"""The limits that a key or a team can have, and their validation."""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from types import MappingProxyType
from typing import Final

from accounts.limits.answer_cache import SECONDS_MAX, SECONDS_MIN
from accounts.limits.data_policy import REGION_MAX, is_region
from accounts.limits.end_users import is_end_user_header
from accounts.names.labels import LABEL_LENGTH, LABELS, is_label
from lib.extensions.installed import extend

Network = IPv4Network | IPv6Network

_ENDPOINTS: Final[dict[str, str]] = {
    "batch_embed_contents": "/v1beta/models/{model}:batchEmbedContents",
    "chat_completions": "/v1/chat/completions",
    "completions": "/v1/completions",
    "converse": "/model/{model}/converse",
    "converse_stream": "/model/{model}/converse-stream",
    "count_tokens": "/v1/messages/count_tokens",
    "edits": "/v1/edits",
    "embed_content": "/v1beta/models/{model}:embedContent",
    "embeddings": "/v1/embeddings",
    "gemini_count_tokens": "/v1beta/models/{model}:countTokens",
    "generate_content": "/v1beta/models/{model}:generateContent",
    "image_edits": "/v1/images/edits",
    "image_generations": "/v1/images/generations",
    "image_variations": "/v1/images/variations",
    "interactions": "/v1beta/interactions",
    "live_sessions": "/v1/live/sessions",
    "messages": "/v1/messages",
    "moderations": "/v1/moderations",
    "passthrough": "/passthrough/{channel}/{path}",
    "predict_long_running": "/v1beta/models/{model}:predictLongRunning",
    "realtime": "/v1/realtime",
    "rerank": "/v1/rerank",
    "responses": "/v1/responses",
    "responses_compact": "/v1/responses/compact",
    "responses_input_tokens": "/v1/responses/input_tokens",
    "speech": "/v1/audio/speech",
    "stream_generate_content": "/v1beta/models/{model}:streamGenerateContent",
    "transcriptions": "/v1/audio/transcriptions",
    "translations": "/v1/audio/translations",
    "video_generations": "/v1/video/generations",
    "videos": "/v1/videos",
}
extend(_ENDPOINTS, "key_endpoints", str, dict)
for _name in sorted(_ENDPOINTS):
    _ENDPOINTS[_name] = _ENDPOINTS.pop(_name)
ENDPOINTS: Final[Mapping[str, str]] = MappingProxyType(_ENDPOINTS)
"""The model endpoints by their names in records, with a path of each. Endpoints without a request
body are open to all keys."""

LIMIT_MAX: Final = 2**31 - 1
_COUNTS: Final = ("rpm", "tpm", "parallel")
LISTED_MAX: Final = 100


class LimitInvalid(ValueError):
    """An invalid limit. `field` is the input to correct; the text says what is expected."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        self.message = message


def check_limits(limits: Mapping[str, object]) -> None:
    """Raise LimitInvalid for the first invalid one of these fields of a key or team."""
    for name in _COUNTS:
        count = limits.get(name)
        if count is None:
            continue
        if type(count) is not int or not 1 <= count <= LIMIT_MAX:
            raise LimitInvalid(name, f"expected a whole number from 1 to {LIMIT_MAX}")
    seconds = limits.get("cache_seconds") or 0
    if type(seconds) is not int or not (seconds == 0 or SECONDS_MIN <= seconds <= SECONDS_MAX):
        what = f"expected 0, or a whole number from {SECONDS_MIN} to {SECONDS_MAX}"
        raise LimitInvalid("cache_seconds", what)
    percent = limits.get("cache_price_percent") or 0
    if type(percent) is not int or not 0 <= percent <= 100:
        raise LimitInvalid("cache_price_percent", "expected a whole number from 0 to 100")
    for name in _list_values(limits, "endpoints"):
        if name not in ENDPOINTS:
            what = f"expected names of endpoints, which are {', '.join(ENDPOINTS)}; found {name!r}"
            raise LimitInvalid("endpoints", what)
    for field in ("networks", "end_user_networks"):
        for text in _list_values(limits, field):
            try:
                ipaddress.ip_network(text)
            except ValueError as error:
                what = f'expected networks such as "10.0.0.0/8" or addresses: {error}'
                raise LimitInvalid(field, what) from error
    for text in _list_values(limits, "end_user_networks"):
        if ipaddress.ip_network(text).prefixlen == 0:
            what = f"expected the application's own networks; every address is in {text}"
            raise LimitInvalid("end_user_networks", what)
    header = limits.get("end_user_header") or ""
    if header and not (isinstance(header, str) and is_end_user_header(header)):
        what = "expected the name of a header in lower case, such as x-openwebui-user-email"
        raise LimitInvalid("end_user_header", what)
    for tag in _list_values(limits, "tags"):
        if not is_label(tag):
            what = f"expected tags of 1 to {LABEL_LENGTH} visible characters, no space at an end"
            raise LimitInvalid("tags", f"{what}; found {tag[:LABEL_LENGTH]!a}")
    for label in _list_values(limits, "required_labels"):
        if label not in LABELS:
            what = f"expected labels, which are {', '.join(LABELS)}; found {label!r}"
            raise LimitInvalid("required_labels", what)
    for region in _list_values(limits, "data_regions"):
        if not is_region(region):
            what = f"expected regions such as eu or us-east-1; found {region[:REGION_MAX]!a}"
            raise LimitInvalid("data_regions", what)


def is_address_in(address: str, networks: Iterable[Network]) -> bool:
    """Return whether an address is in one of the networks. An invalid address is in none."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return any(parsed in network for network in networks)


def _list_values(limits: Mapping[str, object], field: str) -> Sequence[str]:
    values = limits.get(field) or ()
    if not isinstance(values, list | tuple) or not all(isinstance(value, str) for value in values):
        raise LimitInvalid(field, "expected a list of words")
    if len(values) > LISTED_MAX:
        raise LimitInvalid(field, f"expected {LISTED_MAX} at the most")
    return values

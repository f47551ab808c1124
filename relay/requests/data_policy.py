"""The client's rules for its data: `x-weir-data-policy`.

{"zero_retention": true, "regions": ["eu"]}
"""

from typing import Annotated, Final

import msgspec

from accounts.limits.data_policy import REGIONS_MAX, DataPolicy, is_region, policy_of
from dialects.errors.errors import RequestFault
from dialects.json.not_json import NOT_JSON

DATA_POLICY_HEADER: Final = "x-weir-data-policy"


class _PolicyHeader(msgspec.Struct, forbid_unknown_fields=True):
    zero_retention: bool = False
    regions: Annotated[tuple[str, ...], msgspec.Meta(max_length=REGIONS_MAX)] = ()


_decoder: Final = msgspec.json.Decoder(_PolicyHeader)


def read_data_policy(header: bytes) -> DataPolicy:
    """Parse the header. Raises RequestFault: `invalid_type` for another structure, `invalid_value`
    for an unknown region. An unreadable header never counts as no policy."""
    try:
        policy = _decoder.decode(header)
    except NOT_JSON as error:
        raise RequestFault(
            "invalid_type",
            DATA_POLICY_HEADER,
            f'{DATA_POLICY_HEADER} must be a JSON object such as {{"zero_retention": true, '
            f'"regions": ["eu"]}}: {error}',
        ) from None
    for region in policy.regions:
        if not is_region(region):
            what = f"regions in {DATA_POLICY_HEADER} must be names such as eu or us-east-1"
            raise RequestFault("invalid_value", DATA_POLICY_HEADER, what)
    return policy_of(zero_retention=policy.zero_retention, regions=policy.regions)

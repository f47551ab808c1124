"""What a client sets outside the body of a request."""

from typing import Final, Literal

import msgspec

from accounts.limits.data_policy import NO_POLICY, DataPolicy
from relay.requests.labels import NO_LABELS, Labels
from relay.requests.sessions import Session

Source = Literal["api", "playground"]
"""Where a request comes from."""


class RequestOptions(msgspec.Struct, frozen=True):
    """What a client sets outside the body: `max_cost_nano` is the most that it pays, `labels`
    classify the request, and `data_policy` restricts where its data may go; it may ask for the
    charge in the answer's usage. Also recorded are its application, its address ("" if addresses
    are not recorded), the session that its headers or its realtime connection name, and the most
    that the session may cost. `end_user` is the name of the end user, "" unless it is accepted;
    `flags` are what the record says of it (`relay/credentials/end_users.py`)."""

    max_cost_nano: int | None = None
    labels: Labels = NO_LABELS
    include_cost: bool = False
    data_policy: DataPolicy = NO_POLICY
    client_app: str = ""
    address: str = ""
    session: Session | None = None
    session_cap_nano: int | None = None
    end_user: str = ""
    flags: tuple[str, ...] = ()


NO_OPTIONS: Final = RequestOptions()

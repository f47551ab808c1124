"""Names of channel states for operators' pages."""

from typing import Literal, NamedTuple

from dialects.errors.kinds import ErrorKind

Condition = Literal["good", "open", "half_open", "keys_out", "models_out", "limited"]


class ChannelStatus(NamedTuple):
    """A channel's state in this process. `seconds` is the time until it is tried again; `kind` is
    the kind of the last failure that took a part out of use."""

    condition: Condition
    seconds: int = 0
    kind: ErrorKind | None = None


KeyCondition = Literal["good", "paused", "limited"]
KeyReason = Literal["key_refused", "no_credit"]


class KeyStatus(NamedTuple):
    """The state of a key in this process. `seconds` is the time until it is tried again; `reason`
    is why the provider refuses it, if it does: for all models if it is paused, for some if it is
    limited; `for_s` is how long it has been out."""

    condition: KeyCondition
    seconds: int = 0
    reason: KeyReason | None = None
    for_s: int = 0


ModelCondition = Literal["limited", "model_unknown", "key_refused"]


class ModelStatus(NamedTuple):
    """One model of a channel, by its upstream name, that some keys of the channel cannot be used
    for: it is at its provider's limit, or unknown or forbidden to an organisation. `seconds` is the
    time until the first of these keys is tried again; `keys` is their number."""

    condition: ModelCondition
    seconds: int
    keys: int

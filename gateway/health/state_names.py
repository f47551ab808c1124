"""Names of channel states for operators' pages."""

from typing import Literal, NamedTuple

from dialects.errors.errors import ErrorKind

Condition = Literal["good", "open", "half_open", "keys_out", "models_out", "limited"]


class ChannelStatus(NamedTuple):
    """A channel as this process sees it. `seconds`: until it is asked again; `kind`: of the last
    failure that took something out."""

    condition: Condition
    seconds: int = 0
    kind: ErrorKind | None = None


KeyCondition = Literal["good", "paused", "limited"]
KeyReason = Literal["key_refused", "no_credit"]


class KeyStatus(NamedTuple):
    """The state of a key in this process. `seconds` is the time until it is tried again; `reason`
    is the provider's message, if any; `for_s` is how long it has been out."""

    condition: KeyCondition
    seconds: int = 0
    reason: KeyReason | None = None
    for_s: int = 0


ModelCondition = Literal["limited", "model_unknown", "key_refused"]


class ModelStatus(NamedTuple):
    """One model of a channel, by its upstream name, that some of the channel's keys are not asked
    for: at its provider's limit, or not known or forbidden to an organisation. `seconds`: until the
    first of these keys is asked again; `keys`: how many they are."""

    condition: ModelCondition
    seconds: int
    keys: int

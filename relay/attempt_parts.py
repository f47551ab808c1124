"""What relaying the answer of an attempt works with, whichever form the answer has."""

from typing import NamedTuple

from relay.admitted_attempt import AdmittedAttempt
from relay.attempt_end import AttemptEnd
from relay.channel_health import HealthProbe
from relay.large_events import Gathering
from relay.request_context import RequestContext
from relay.usage_meter import UsageMeter


class AttemptParts(NamedTuple):
    """Of one attempt. `gathering` is the memory that an unfinished event of its answer takes of the
    process."""

    context: RequestContext
    admitted: AdmittedAttempt
    usage_meter: UsageMeter
    probe: HealthProbe
    end: AttemptEnd
    gathering: Gathering

"""The advisory locks whose number is fixed. Postgres has one space of numbers for a database, so
two jobs with the same number would hold each other up, each taking the other for itself."""

from enum import IntEnum, unique


@unique
class AdvisoryLock(IntEnum):
    """The number of each lock. What `hashtext` gives is smaller, so it is none of these."""

    SWEEP_HOLDS = 8113072025
    SEALS = 8113072026
    JOB_ALARMS = 8113072027
    COUNT_TRAFFIC = 8113072028
    MOVE_MONTH = 8113072029
    SCHEDULED_BACKUP = 8113072030
    ERASE_PEOPLE = 8113072031
    FINDINGS = 8113072041
    CLICKHOUSE = 8113072042
    RECORD_SINK = 8113072043
    RECORD_SINK_TEXTS = 8113072044
    CLICKHOUSE_BATCH = 8113072045
    """Held while a batch is read and sent, and while a person is erased. Each waits for at most one
    of the others."""

"""A hub whose keys have the rules that a test writes into `test_guard_rules`: see `guarded_hub`."""

from relay.credentials import keys
from tests.support.soon import application

__all__ = ["application"]
_PLACE = "'endpoints', key.endpoints,"
_RULES = """'guard_rules', coalesce((
    SELECT rules FROM test_guard_rules named WHERE named.key_id = key.id), '[]'::jsonb), """

for _name in ("_BY_DIGEST", "_BY_ID"):
    _statement = vars(keys)[_name]
    vars(keys)[_name] = _statement.replace(_PLACE, _RULES + _PLACE)

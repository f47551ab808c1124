import pytest

from accounts.limits.rules import ENDPOINTS, LimitInvalid, check_limits
from relay.endpoints import cloud_rows
from relay.endpoints import table as endpoints


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"rpm": None, "tpm": 1, "parallel": 2**31 - 1},
        {"endpoints": ["messages"], "networks": ["10.0.0.0/8", "::1"], "tags": ["a b", "测试"]},
        {"name": "anything", "endpoints": ()},
        {"required_labels": ["project", "tags", "customer"], "data_regions": ["eu", "us-east-1"]},
    ],
)
def test_valid_limits(limits: dict[str, object]) -> None:
    check_limits(limits)


@pytest.mark.parametrize(
    ("limits", "field"),
    [
        ({"rpm": 0}, "rpm"),
        ({"tpm": 2**31}, "tpm"),
        ({"parallel": True}, "parallel"),
        ({"rpm": "60"}, "rpm"),
        ({"endpoints": ["chat"]}, "endpoints"),
        ({"endpoints": "messages"}, "endpoints"),
        ({"networks": ["10.0.0.1/8"]}, "networks"),
        ({"networks": ["example.org"]}, "networks"),
        ({"tags": [""]}, "tags"),
        ({"tags": ["a\n"]}, "tags"),
        ({"tags": ["t"] * 101}, "tags"),
        ({"required_labels": ["project", "colour"]}, "required_labels"),
        ({"required_labels": "project"}, "required_labels"),
        ({"data_regions": ["eu", "no region"]}, "data_regions"),
        ({"data_regions": [7]}, "data_regions"),
    ],
)
def test_invalid_limits_name_their_field(limits: dict[str, object], field: str) -> None:
    with pytest.raises(LimitInvalid, match="expected") as refused:
        check_limits(limits)
    assert refused.value.field == field
    assert str(refused.value) == refused.value.message


def test_endpoints_are_those_of_the_relay() -> None:
    rows = [*endpoints.ENDPOINTS.values(), *endpoints._GEMINI.values(), endpoints._ENGINE]
    rows += [endpoints._PASS_THROUGH, *cloud_rows.LISTED.values()]
    sessions = {"realtime", "live_sessions"}
    takes = [row for row in rows if row.body_bytes_max or row.operation in sessions]
    # An estimate is allowed where the endpoint is that it estimates.
    assert {row.operation for row in takes} - {"estimate"} == set(ENDPOINTS)

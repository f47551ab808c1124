import pytest

from accounts.limits.data_policy import (
    NO_POLICY,
    DataPolicy,
    combine_policies,
    is_region,
    is_region_within,
    policy_of,
)


@pytest.mark.parametrize(
    ("policy", "zero_retention", "region", "reason"),
    [
        (NO_POLICY, False, "", None),
        (DataPolicy(True), False, "eu", "retention"),
        (DataPolicy(True), True, "", None),
        (policy_of(zero_retention=False, regions=["eu", "us"]), False, "us-east-1", None),
        (policy_of(zero_retention=False, regions=["eu"]), False, "us", "region"),
        # Where it is not known, it is nowhere.
        (policy_of(zero_retention=False, regions=["eu"]), True, "", "region"),
        (policy_of(zero_retention=True, regions=["eu"]), False, "us", "retention"),
    ],
)
def test_requirements_on_a_channel(
    policy: DataPolicy, zero_retention: bool, region: str, reason: str | None
) -> None:
    assert policy.why_not(zero_retention=zero_retention, region=region) == reason


def test_all_requirements_apply_together() -> None:
    of_organisation = policy_of(zero_retention=False, regions=["eu", "us"])
    of_key = policy_of(zero_retention=True, regions=[])
    of_request = policy_of(zero_retention=False, regions=["us-east"])
    policy = combine_policies([of_organisation, of_key, of_request, of_request])
    assert policy == DataPolicy(True, (("eu", "us"), ("us-east",)))
    assert policy.why_not(zero_retention=True, region="us-east-1") is None
    assert policy.why_not(zero_retention=True, region="us-west-1") == "region"
    assert str(policy) == "zero data retention, region eu or us, region us-east"
    assert combine_policies([NO_POLICY, policy_of(zero_retention=False, regions=[])]) == NO_POLICY


def test_regions_contain_smaller_ones_by_whole_words() -> None:
    assert is_region_within("eu-west-1", "eu")
    assert is_region_within("eu", "eu")
    assert not is_region_within("eu", "eu-west")
    assert not is_region_within("europe", "eu")
    named = ("eu", "us-east-1", "EU", "", "eu west", "eu-", "-eu", "e" * 41, "eu\0", "欧")
    assert [is_region(name) for name in named] == [True, True] + 8 * [False]

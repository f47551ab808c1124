"""A setting that cannot be read is named, before anything runs by it."""

import pytest

from lib import env


@pytest.mark.parametrize("value", ["15s", "-1", "0.01", "nan", "inf", "1e400"])
def test_a_time_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("KEEP_ALIVE_SECONDS", value)
    with pytest.raises(env.ConfigurationError, match=r"KEEP_ALIVE_SECONDS is .* 0\.1 or more"):
        env.seconds("KEEP_ALIVE_SECONDS", 15, least=0.1)


@pytest.mark.parametrize("value", ["587.0", "-1", "port", "\u0663"])
def test_a_number_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("EMAIL_PORT", value)
    with pytest.raises(env.ConfigurationError, match=r"EMAIL_PORT is .* whole number"):
        env.number("EMAIL_PORT", 587)


def test_an_empty_one_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compose passes it for what .env leaves out."""
    monkeypatch.setenv("KEEP_ALIVE_SECONDS", "")
    assert (env.seconds("KEEP_ALIVE_SECONDS", 15), env.number("EMAIL_PORT", 587)) == (15, 587)
    monkeypatch.setenv("KEEP_ALIVE_SECONDS", "0.2")
    assert env.seconds("KEEP_ALIVE_SECONDS", 15, least=0.1) == 0.2

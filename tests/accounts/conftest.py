"""The time stands still for codes of authenticator apps."""

from types import SimpleNamespace

import pytest

from tests.accounts.factors import MOMENT_S


@pytest.fixture(autouse=True)
def _no_step_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    still = SimpleNamespace(time=lambda: MOMENT_S)
    monkeypatch.setattr("allauth.mfa.totp.internal.auth.time", still)

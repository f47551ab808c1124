"""The two forms of a statement that writes for a single request."""

from types import ModuleType
from typing import Final

import pytest

from billing.holds import resolve_holds
from relay.ledger import admission
from usage.records import sql

_OF_TWO_FORMS: Final[tuple[ModuleType, ...]] = (admission, resolve_holds, sql)


@pytest.fixture(params=["alone", "in arrays"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a request that comes alone: its own one, and that of many."""
    if request.param == "in arrays":
        for module in _OF_TWO_FORMS:
            monkeypatch.setattr(
                module, "_alone", lambda one, in_arrays=module._in_arrays: in_arrays([one])
            )

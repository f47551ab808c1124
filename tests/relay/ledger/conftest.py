"""The two forms in which a request without limits is admitted."""

import pytest

from relay.ledger import admission


@pytest.fixture(params=["alone", "in arrays"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of a request that comes alone: its own one, and that of many."""
    if request.param == "in arrays":
        monkeypatch.setattr(admission, "_alone", lambda one: admission._in_arrays([one]))

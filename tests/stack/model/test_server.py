"""What the local model needs; that it serves, and whom, shows tests/stack/test_up.py."""

import pytest

from stack.model import server as model


def test_missing_weights_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "find_spec", lambda _name: None)
    with pytest.raises(FileNotFoundError, match="Start again: make run"):
        model.weights()

"""One rule for what a label is: that of keys' tags and of budgets holds for requests, too."""

import json

import pytest

from dialects.errors.errors import KINDS, RequestFault
from relay.requests.labels import Labels, read_labels
from tests.accounts.names.test_labels import BAD, GOOD

# Half of a character is no text that JSON can hold.
SAYABLE = [label for label in BAD if label != "\ud83d"]
_PLACES = {"project": "project", "customer": "customer", "tags[1]": "tags"}


def header(place: str, label: str) -> bytes:
    name = _PLACES[place]
    return json.dumps({name: ["eu", label] if name == "tags" else label}).encode()


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("label", GOOD)
def test_labels_of_keys_and_budgets_are_valid_on_requests(place: str, label: str) -> None:
    labels = read_labels(header(place, label))
    assert label in (labels.project, *labels.tags, labels.customer)


@pytest.mark.parametrize("place", _PLACES)
@pytest.mark.parametrize("label", SAYABLE, ids=ascii)
def test_invalid_label_is_rejected_by_its_place(place: str, label: str) -> None:
    with pytest.raises(RequestFault, match="visible characters") as refused:
        read_labels(header(place, label))
    fault = refused.value
    assert (KINDS[fault.kind].status, fault.param) == (422, "x-weir-labels")
    assert f"{place} in x-weir-labels" in fault.message


@pytest.mark.parametrize("raw", [b"search", b'{"team": "x"}', b'{"tags": "x"}', b'"\xff"', b"[]"])
def test_non_object_labels_have_the_wrong_type(raw: bytes) -> None:
    with pytest.raises(RequestFault, match="must be a JSON object") as refused:
        read_labels(raw)
    assert (KINDS[refused.value.kind].status, refused.value.param) == (400, "x-weir-labels")


def test_no_label_is_left_out() -> None:
    assert read_labels(b"{}") == read_labels(b'{"project": null}') == Labels()

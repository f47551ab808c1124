"""What changed in a provider's list of models, and what is known of it afterwards."""

import pytest

from gateway.catalogue.model_change_rules import known_after, known_decided, model_changes

KNOWN = ["gpt-4o", "gpt-4o-mini", "text-3"]


def ids(models: dict[str, str], listed: list[str], *, complete: bool = True) -> list[str]:
    return [change.id for change in model_changes(models, listed, KNOWN, complete=complete)]


@pytest.mark.parametrize(
    ("models", "listed", "wanted"),
    [
        # What nobody serves may come and go; what was not known is new.
        ({}, KNOWN, []),
        ({}, ["gpt-4o"], []),
        ({}, [*KNOWN, "gpt-5"], ["added gpt-5"]),
        # It is served by now, by its name, by another or by a pattern.
        ({"gpt-5": ""}, [*KNOWN, "gpt-5"], []),
        ({"best": "gpt-5"}, [*KNOWN, "gpt-5"], []),
        ({"gpt-*": ""}, [*KNOWN, "gpt-5"], []),
        # Gone is what is asked for by its upstream name; a pattern asks for nothing by itself.
        ({"text-3": "", "own": "text-3"}, ["gpt-4o", "gpt-4o-mini"], ["gone text-3"]),
        ({"text-3": "gpt-4o"}, ["gpt-4o"], []),
        ({"text-*": ""}, ["gpt-4o", "gpt-4o-mini"], []),
        # What was never listed is not gone: a deployment, an undocumented name.
        ({"hidden": ""}, KNOWN, []),
        # A date, an owner, a word for how far it is.
        ({"gpt-4o": ""}, ["gpt-4o-2024-08-06", "gpt-5"],
         ["renamed gpt-4o gpt-4o-2024-08-06", "added gpt-5"]),
        ({"fast": "gpt-4o"}, ["openai/GPT-4o-latest"], ["renamed gpt-4o openai/GPT-4o-latest"]),
        ({"gpt-4o": ""}, ["gpt-4o-2024-08-06", "gpt-4o-1"],
         ["added gpt-4o-1", "renamed gpt-4o gpt-4o-2024-08-06"]),
        # Each new name for one that is gone, the nearest.
        ({"text-3": ""}, ["gpt-4o", "gpt-4o-mini", "text-3-0613", "text-3-latest"],
         ["renamed text-3 text-3-0613", "added text-3-latest"]),
    ],
)  # fmt: skip
def test_changes_between_two_lists(
    models: dict[str, str], listed: list[str], wanted: list[str]
) -> None:
    assert sorted(ids(models, listed)) == sorted(wanted)


def test_new_name_replaces_the_one_that_is_nearest_and_no_second() -> None:
    nearest = ids({"text-3": ""}, ["gpt-4o", "gpt-4o-mini", "azure/text-3-preview", "text-3-0613"])
    assert sorted(nearest) == ["added azure/text-3-preview", "renamed text-3 text-3-0613"]
    models, known = {"a-0301": "", "a-0613": ""}, ["a-0301", "a-0613"]
    changes = model_changes(models, ["a-latest"], known, complete=True)
    assert [one.id for one in changes] == ["renamed a-0301 a-latest", "gone a-0613"]


def test_a_truncated_list_removes_no_model() -> None:
    assert ids({"gpt-4o": ""}, ["text-9"], complete=False) == ["added text-9"]
    assert known_after({}, ["text-9"], KNOWN, complete=False) == KNOWN


def test_a_change_says_which_public_names_ask_for_it() -> None:
    models = {"best": "gpt-4o", "gpt-4o": "", "other": "text-3"}
    (change,) = model_changes(models, ["gpt-4o-0613", "text-3"], KNOWN, complete=True)
    assert change.serves == ("best", "gpt-4o")
    assert change.signs == {"-gpt-4o", "+gpt-4o-0613"}


def test_unlisted_unserved_models_are_forgotten() -> None:
    models = {"gpt-4o": "", "own": "gpt-5"}
    known = known_after(models, ["gpt-5", "gpt-6"], KNOWN, complete=True)
    assert known == ["gpt-4o", "gpt-5"]
    assert [one.id for one in model_changes(models, ["gpt-5", "gpt-6"], known, complete=True)] == [
        "gone gpt-4o", "added gpt-6",
    ]  # fmt: skip


def test_decided_change_is_not_reported_until_it_reverts() -> None:
    models, listed = {"gpt-4o": "", "text-3": ""}, ["text-3-0613", "gpt-5"]
    changes = model_changes(models, listed, KNOWN, complete=True)
    known = known_decided(KNOWN, changes)
    assert model_changes(models, listed, known, complete=True) == []
    # It is listed again: no news of a model that is served, until it is gone once more.
    back = [*listed, "gpt-4o"]
    assert model_changes(models, back, known, complete=True) == []
    known = known_after(models, back, known, complete=True)
    assert [one.id for one in model_changes(models, listed, known, complete=True)] == [
        "gone gpt-4o"
    ]

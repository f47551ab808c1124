from gateway.aliases.rules import find_cycle, resolve_aliases


def test_chain_ends_at_its_last_step() -> None:
    chain = {"fast": "small", "small": "gpt-4o-mini", "other": "gpt-4o"}
    assert find_cycle(chain) is None
    assert resolve_aliases(chain) == {
        "fast": "gpt-4o-mini",
        "small": "gpt-4o-mini",
        "other": "gpt-4o",
    }


def test_a_cycle_is_named_from_where_it_begins() -> None:
    chain = {"a": "b", "b": "c", "c": "d", "d": "b", "x": "y"}
    assert find_cycle(chain) == ["b", "c", "d", "b"]
    assert find_cycle({"a": "a"}) == ["a", "a"]
    # Whatever leads into it stands for itself, so that nothing is asked twice.
    assert resolve_aliases(chain) == {"a": "a", "b": "b", "c": "c", "d": "d", "x": "y"}


def test_long_chain_is_resolved_quickly() -> None:
    chain = {f"m{n}": f"m{n + 1}" for n in range(2_000)}
    assert find_cycle(chain) is None
    assert set(resolve_aliases(chain).values()) == {"m2000"}

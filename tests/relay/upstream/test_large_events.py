from relay.config import MIB
from relay.upstream.large_events import Gathering, LargeEvents


def test_the_first_mebibyte_is_free_and_the_rest_is_shared() -> None:
    events = LargeEvents(4 * MIB)
    one, other = Gathering(events), Gathering(events)
    assert one.more(MIB)
    assert one.more(3 * MIB)
    assert other.more(2 * MIB)
    assert not one.more(1)
    one.whole()
    assert other.more(3 * MIB)
    other.whole()
    other.whole()
    assert one.more(5 * MIB)
    assert not one.more(1)

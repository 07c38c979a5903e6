import numpy as np

from fl.nesting import nested, of_party


def test_arrays_of_several_parties_come_apart_again() -> None:
    # Numbers stand for names, so a party may be called anything, and one number is no other one's beginning.
    parties = tuple(f"party/{number}" for number in range(12))
    arrays = {party: {"a/b": np.array([number])} for number, party in enumerate(parties)}
    found = nested(arrays, parties)
    assert [of_party(found, number)["a/b"].tolist() for number in range(12)] == [[n] for n in range(12)]
    assert all(list(of_party(found, number)) == ["a/b"] for number in range(12))


def test_a_party_that_sent_nothing_has_nothing() -> None:
    found = nested({"tax": {"x": np.array([1])}}, ("bank", "tax"))
    assert of_party(found, 0) == {}
    assert list(of_party(found, 1)) == ["x"]

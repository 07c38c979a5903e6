import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from fl.tables import Table

# NumPy's fixed-width texts cannot tell a trailing NUL from padding; no column has one in its name.
names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)


@st.composite
def tables(draw: st.DrawFn) -> Table:
    rows, numeric, categorical = draw(st.tuples(*[st.integers(0, 5)] * 3))
    known = draw(arrays.arrays(bool, rows))
    return Table(
        draw(arrays.arrays(np.float64, (rows, numeric))),
        tuple(draw(st.lists(names, min_size=numeric, max_size=numeric))),
        draw(arrays.arrays(np.int32, (rows, categorical))),
        tuple(draw(st.lists(names, min_size=categorical, max_size=categorical))),
        tuple(tuple(draw(st.lists(names, max_size=4))) for _ in range(categorical)),
        known,
    )


@given(table=tables())
def test_arrays_hold_the_whole_table(table: Table) -> None:
    again = Table.from_arrays(table.to_arrays())

    np.testing.assert_array_equal(again.numeric, table.numeric)
    np.testing.assert_array_equal(again.codes, table.codes)
    np.testing.assert_array_equal(again.known, table.known)
    assert again.numeric_names == table.numeric_names
    assert again.categorical_names == table.categorical_names
    assert again.levels == table.levels
    assert len(again) == len(table.known)


@given(table=tables())
def test_no_array_needs_pickle(table: Table) -> None:
    assert not any(array.dtype.hasobject for array in table.to_arrays().values())

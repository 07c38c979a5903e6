"""Common bins from added counts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl.banks.grid import CELLS, Grid, Schema, edges
from fl.binning import Binning
from fl.errors import ProtocolError
from fl.records import decode, encode
from fl.tables import Table

SCHEMA = Schema(
    numeric=("amount", "share"),
    categorical=("sector",),
    levels=(("retail", "transport"),),
    special=((-9.0, -8.0), ()),
)


def table_of(rows: int, seed: int, on_edges: bool = False) -> Table:
    """A bank's own table: its levels in its own order, one of them not in the schema, some values missing."""
    rng = np.random.default_rng(seed)
    amounts, shares = np.exp(rng.normal(8, 3, rows)), rng.normal(0, 0.2, rows)
    numeric = np.stack([amounts, shares], 1)
    if on_edges:
        ends = edges(CELLS)
        numeric = ends[np.searchsorted(ends, numeric)]
    codes_apart = rng.choice([-9.0, -8.0, np.nan], rows, p=[0.2, 0.01, 0.79])
    numeric[:, 0] = np.where(np.isnan(codes_apart), numeric[:, 0], np.nan)
    numeric[rng.random(rows) < 0.1, 1] = np.nan
    return Table(
        numeric,
        SCHEMA.numeric,
        rng.integers(-1, 3, (rows, 1)).astype(np.int32),
        SCHEMA.categorical,
        (("transport", "mining", "retail"),),
        np.ones(rows, bool),
        {"amount": codes_apart},
    )


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.booleans())
def test_bins_do_not_depend_on_which_bank_has_which_row(sizes: list[int], special: bool) -> None:
    grid, whole = Grid(SCHEMA, special), SCHEMA.table(table_of(sum(sizes), 1))
    parts = np.split(np.random.default_rng(2).permutation(sum(sizes)), np.cumsum(sizes)[:-1])
    total = np.sum([grid.addend(whole.take(rows)) for rows in parts], axis=0)
    np.testing.assert_array_equal(total, grid.addend(whole))


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize(("bins", "minimum"), [(12, 10), (255, 1), (2, 40)])
def test_values_on_the_grid_get_the_bins_of_one_table(special: bool, bins: int, minimum: int) -> None:
    table, grid = SCHEMA.table(table_of(600, 3, on_edges=True)), Grid(SCHEMA, special)
    signs = np.array([1, -1, 0], np.int8)
    common = grid.binning(grid.addend(table), bins, minimum, signs)
    exact = Binning.fit(table, np.arange(600), bins, minimum, {"amount": 1, "share": -1}, special)
    assert encode(common) == encode(exact)


def test_cuts_are_near_the_quantiles() -> None:
    table, grid = SCHEMA.table(table_of(20_000, 4)), Grid(SCHEMA)
    cuts = grid.binning(grid.addend(table), 10, 10, np.zeros(3, np.int8)).cuts
    exact = Binning.fit(table, np.arange(20_000), 10, 10, {}).cuts
    for common, of_rows in zip(cuts, exact, strict=True):
        np.testing.assert_allclose(common, of_rows, rtol=3 / CELLS, atol=2.0**-9)


def test_a_level_that_is_not_declared_is_an_other_one() -> None:
    table, grid = table_of(300, 5), Grid(SCHEMA)
    common = SCHEMA.table(table)
    assert common.levels == SCHEMA.levels
    assert (common.codes[table.codes == 1] == 2).all()  # mining
    binning = grid.binning(grid.addend(common), 12, 10, np.zeros(3, np.int8))
    assert (binning.levels[0] >= 0).all()
    rare = replace(common, codes=np.where(common.codes == 2, -1, common.codes))
    binning = grid.binning(grid.addend(rare), 12, 10, np.zeros(3, np.int8))
    assert binning.levels[0][2] == -1


def test_extreme_values_and_empty_tables_have_a_place() -> None:
    schema = Schema(numeric=("a",), categorical=(), levels=(), special=((),))
    numbers = np.array([[-np.inf], [-1e300], [0.0], [1e-300], [1e300], [np.inf]])
    table = Table(numbers, ("a",), np.empty((6, 0), np.int32), (), (), np.ones(6, bool))
    grid = Grid(schema)
    binning = grid.binning(grid.addend(table), 12, 1, np.zeros(1, np.int8))
    assert binning.transform(table).ravel().tolist() == [0, 0, 1, 2, 3, 3]
    nobody = grid.binning(grid.addend(table.take(np.empty(0, int))), 12, 1, np.zeros(1, np.int8))
    assert nobody.bins.tolist() == [1]


def test_what_does_not_fit_the_schema_is_refused() -> None:
    table, grid = table_of(30, 6), Grid(SCHEMA)
    with pytest.raises(ProtocolError, match="columns"):
        replace(SCHEMA, numeric=("amount", "other")).table(table)
    with pytest.raises(ProtocolError, match="numbers"):
        grid.binning(grid.addend(SCHEMA.table(table))[1:], 12, 10, np.zeros(3, np.int8))
    assert decode(Schema, encode(SCHEMA)) == SCHEMA

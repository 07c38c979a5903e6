import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fl import metrics
from fl.errors import ProtocolError
from fl.evaluation import METRICS, Evaluation
from fl.evaluation.measures import evaluate
from fl.records import decode, encode


def applicants(rows: int = 3_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    pd = 1 / (1 + np.exp(2.5 - generator.normal(size=rows)))
    return (generator.random(rows) < pd).astype(int), pd


def levels(**sizes: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, PDs and one segment column with levels of the given numbers of goods and bads."""
    names = np.concatenate([np.full(sum(counts), name) for name, counts in sizes.items()])
    labels = np.concatenate([np.repeat([0, 1], counts) for counts in sizes.values()])
    return labels, np.random.default_rng(0).random(len(labels)), names


def reported(labels: np.ndarray, pd: np.ndarray, names: np.ndarray) -> list[str]:
    table = evaluate(labels, pd, {"region": names}).tables["segments"]
    return table["level"][table["withheld"] == ""].tolist()


def test_metrics_are_those_promised_and_agree_with_the_metrics_module():
    labels, pd = applicants()
    found = evaluate(labels, pd).metrics
    assert tuple(found) == METRICS
    assert len(METRICS) <= 10
    assert found["auc"] == metrics.auc(labels, pd)
    assert found["auc_low"] < found["auc"] < found["auc_high"]
    assert found["gini"] == pytest.approx(metrics.gini(labels, pd))
    assert found["ks"] == metrics.ks(labels, pd)
    assert found["brier"] == metrics.brier(labels, pd)
    assert found["bad_rate"] == labels.mean()
    assert found["bad_rate_at_60"] == metrics.bad_rate_at_approval(labels, pd, 0.6)


@pytest.mark.parametrize("rows", [40, 300, 3_000])
def test_curves_are_short_and_no_step_holds_fewer_than_ten_applicants(rows):
    tables = evaluate(*applicants(rows)).tables
    for name in ("roc", "ks", "gain"):
        assert all(len(column) == min(101, rows // 10 + 1) for column in tables[name].values())
    assert tables["calibration"]["applicants"].min() >= 10
    assert tables["deciles"]["applicants"].min() >= 10


@given(st.integers(0, 200), st.sampled_from([1, 2, 6]))
def test_ties_make_no_bin_smaller_than_ten(seed, digits):
    labels, pd = applicants(120, seed)
    labels[:4] = 0, 0, 1, 1
    tables = evaluate(labels, pd.round(digits)).tables
    assert tables["calibration"]["applicants"].min() >= 10
    assert tables["deciles"]["applicants"].min() >= 10


def test_no_applicant_s_own_pd_is_reported_at_the_ends_of_the_scale():
    labels, pd = applicants(500)
    tables = evaluate(labels, pd).tables
    ends = [*tables["distribution"]["low"], *tables["distribution"]["high"], *tables["ks"]["pd"][[0, -1]]]
    assert not np.isin(ends, pd).any()


def test_short_curves_stay_close_to_the_exact_ones():
    labels, pd = applicants()
    tables = evaluate(labels, pd).tables
    roc, exact = tables["roc"], metrics.auc(labels, pd)
    assert np.trapezoid(roc["tpr"], roc["fpr"]) == pytest.approx(exact, abs=0.005)
    ks = np.max(tables["ks"]["goods"] - tables["ks"]["bads"])
    assert ks == pytest.approx(metrics.ks(labels, pd), abs=0.02)
    for x, y in ((roc["fpr"], roc["tpr"]), tables["gain"].values()):
        assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
        assert (np.diff(x) >= 0).all()
        assert (np.diff(y) >= 0).all()


def test_distribution_and_deciles_account_for_everyone():
    labels, pd = applicants()
    tables = evaluate(labels, pd).tables
    assert tables["distribution"]["bads"].sum() == pytest.approx(1)
    assert tables["distribution"]["goods"].sum() == pytest.approx(1)
    np.testing.assert_array_equal(tables["distribution"]["high"][:-1], tables["distribution"]["low"][1:])
    deciles = tables["deciles"]
    assert deciles["bads"].sum() == labels.sum()
    assert deciles["decile"].tolist() == list(range(1, 11))
    assert deciles["bad_rate"][0] > deciles["bad_rate"][-1]
    assert deciles["bads_captured"][-1] == 1


def test_a_constant_pd_is_evaluated_like_any_other():
    evaluation = evaluate([0, 0, 1, 1] * 10, np.full(40, 0.5))
    assert evaluation.metrics["auc"] == 0.5
    assert evaluation.tables["deciles"]["applicants"].tolist() == [40]
    np.testing.assert_allclose(evaluation.tables["roc"]["tpr"], evaluation.tables["roc"]["fpr"])


def test_segments_are_measured_by_themselves():
    labels, pd = applicants()
    region = np.where(np.arange(len(labels)) % 3 == 0, "county", "urban")
    table = evaluate(labels, pd, {"region": region}).tables["segments"]
    assert table["level"].tolist() == ["county", "urban"]
    inside = region == "county"
    assert table["auc"][0] == metrics.auc(labels[inside], pd[inside])
    assert table["bad_rate"][0] == labels[inside].mean()
    assert table["size"].tolist() == ["1,000–1,999", "2,000–4,999"]


def test_two_small_levels_hide_each_other():
    assert reported(*levels(a=(90, 20), b=(60, 6), c=(60, 7))) == ["a"]


def test_a_single_small_level_takes_the_next_smallest_with_it():
    assert reported(*levels(a=(90, 20), b=(60, 12), c=(9, 30), d=(300, 30))) == ["a", "d"]


def test_a_withheld_level_shows_its_size_class_and_no_figures():
    labels, pd, names = levels(a=(90, 20), b=(60, 6), c=(60, 7))
    table = evaluate(labels, pd, {"region": names}).tables["segments"]
    assert table["size"].tolist() == ["100–199", "50–99", "50–99"]
    assert table["withheld"].tolist() == ["", *["fewer than 10 goods or bads"] * 2]
    assert np.isnan(table["auc"][1:]).all()
    assert np.isnan(table["bad_rate"][1:]).all()


def test_an_evaluation_survives_the_journey_as_bytes():
    labels, pd = applicants(400)
    sent = evaluate(labels, pd, {"size": np.where(pd > 0.1, "小", "micro")})
    received = decode(Evaluation, encode(sent))
    assert received.metrics == sent.metrics
    assert tuple(received.metrics) == METRICS
    assert received.tables.keys() == sent.tables.keys()
    for name, table in sent.tables.items():
        assert received.tables[name].keys() == table.keys()
        for column, values in table.items():
            assert values.dtype.kind in "fiU"
            np.testing.assert_array_equal(received.tables[name][column], values)


@pytest.mark.parametrize(
    ("fpr", "message"),
    [
        (np.zeros(()), "the columns of table 'roc' are not of one length"),
        (np.zeros((2, 2)), "the columns of table 'roc' are not of one length"),
        (np.zeros(3), "the columns of table 'roc' are not of one length"),
    ],
)
def test_columns_that_make_no_table_are_refused(fpr, message):
    sent = evaluate(*applicants(200))
    with pytest.raises(ProtocolError, match=message):
        Evaluation(sent.metrics, {**sent.tables, "roc": {**sent.tables["roc"], "fpr": fpr}})


def test_missing_metrics_are_named():
    sent = evaluate(*applicants(200))
    some = {name: value for name, value in sent.metrics.items() if name not in ("auc", "ks")}
    with pytest.raises(ProtocolError, match="lacks the metrics auc, ks"):
        Evaluation(some, sent.tables)


def test_a_segment_column_of_another_length_is_refused():
    labels, pd = applicants(200)
    with pytest.raises(ValueError, match="segment 'region' has shape"):
        evaluate(labels, pd, {"region": np.array(["a", "b"])})

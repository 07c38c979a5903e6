import numpy as np
import pandas as pd
import pytest

from experiments.comparison import summary
from server.tracking.pages import markdown_table


def comparison(**aucs: float) -> pd.DataFrame:
    """One row per contender, named with underscores here; uplift is over the first."""
    frame = pd.DataFrame({"contender": [name.replace("_", "-") for name in aucs], "auc": list(aucs.values())})
    for name in summary.COLUMNS[2:]:
        frame[name] = 0.25
    frame["uplift_auc"] = frame["auc"] - frame["auc"][0]
    frame["p_value"] = 0.0001
    frame.loc[0, ["uplift_auc", "p_value"]] = np.nan
    return frame


def test_the_headline_names_the_winner_and_its_margin():
    frame = comparison(bank_only_network=0.75, federated_network=0.802, pooled_trees=0.81, true_pd=0.84)
    assert summary.headline(frame) == "federated-network +0.052 AUC over bank-only"


def test_the_headline_says_when_the_margin_may_be_luck():
    frame = comparison(bank_only_network=0.75, federated_network=0.752)
    frame["p_value"] = 0.4
    assert (
        summary.headline(frame) == "federated-network +0.002 AUC over bank-only (not significant, p = 0.40)"
    )


def test_the_headline_admits_that_the_bank_alone_is_ahead():
    frame = comparison(bank_only_network=0.75, bank_only_trees=0.77, federated_network=0.76)
    assert summary.headline(frame) == "bank-only-trees ahead: federated-network -0.010 AUC"


def test_a_study_without_rivals_has_a_headline_too():
    assert summary.headline(comparison(bank_only_trees=0.77)) == "bank-only-trees AUC 0.770"
    assert summary.headline(comparison(pooled_trees=0.8)) == "pooled-trees AUC 0.800"


def test_an_incomplete_comparison_is_refused():
    frame = comparison(true_pd=0.8)
    with pytest.raises(ValueError, match="lacks the columns gini, seconds"):
        summary.headline(frame.drop(columns=["gini", "seconds"]))
    with pytest.raises(ValueError, match="has no contender"):
        summary.headline(frame[:0])


def test_the_table_puts_the_winner_first_and_yardsticks_last():
    frame = comparison(bank_only_network=0.75, federated_network=0.80, pooled_trees=0.81, true_pd=0.84)
    rows = markdown_table(summary.comparison_table(frame, summary.QUALITY)).splitlines()[2:]
    names = [row.split("|")[1].strip() for row in rows]
    assert names == ["**federated-network**", "bank-only-network", "true-pd", "pooled-trees"]


def test_the_table_shows_a_dash_for_what_does_not_apply():
    frame = comparison(bank_only_network=0.75, federated_network=0.80)
    lines = markdown_table(summary.comparison_table(frame, summary.QUALITY)).splitlines()
    assert len({line.count("|") for line in lines}) == 1
    # Markdown sees no table unless this line consists of these characters only.
    assert set(lines[1]) == set("|-: ")
    assert [cell.strip() for cell in lines[-1].split("|")[2:5]] == ["0.750", "–", "–"]
    assert [cell.strip() for cell in lines[-2].split("|")[2:5]] == ["0.800", "+0.050", "< 0.001"]


def test_the_study_s_description_starts_with_the_headline():
    frame = comparison(bank_only_network=0.75, federated_network=0.80)
    text = summary.study_description("demo", frame, {}, [])
    assert text.splitlines()[0] == summary.headline(frame)
    assert "Study: demo." in text


def test_the_study_s_description_names_what_failed_and_what_is_doubtful():
    frame = comparison(bank_only_network=0.75, federated_network=0.80)
    reason = "Party bank refused to go on."
    failures = {
        "federated-boosting": reason,
        "pooled-boosting": "It is too small.",
        "bank-only-boosting": reason,
    }
    text = summary.study_description(
        "demo", frame, failures, ["pooled-trees predicts the same for everyone."]
    )
    assert "| federated-boosting | failed | – | – | – | – | – | – |" in text
    assert f"\nfederated-boosting, bank-only-boosting failed: {reason}\n" in text
    assert "\npooled-boosting failed: It is too small.\n" in text
    assert "\npooled-trees predicts the same for everyone.\n" in text


def test_the_study_s_description_says_why_recovered_is_empty():
    frame = comparison(bank_only_trees=0.75, pooled_trees=0.751)
    assert "Recovered: share of the pooled gain" in summary.study_description("s", frame, {}, [])
    text = summary.study_description("s", frame.assign(recovered=np.nan), {}, [])
    assert (
        "Recovered is empty, because the pooled gain (pooled-trees minus bank-only-trees) is not above noise"
        in text
    )


def test_the_best_federated_contender_may_be_behind_the_bank():
    frame = comparison(bank_only_trees=0.8, federated_network=0.75, federated_boosting=0.76)
    assert summary.best_federated(frame) == "federated-boosting"
    assert summary.best_federated(frame[:1]) is None

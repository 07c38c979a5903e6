import json

from server.tracking import leaderboard


def test_the_view_ranks_a_study_s_contenders_by_auc():
    view = json.loads(leaderboard.view_state("abc"))
    assert view["searchFilter"] == "tags.mlflow.parentRunId = 'abc'"
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`auc`", False)
    assert view["selectedColumns"][:2] == ["metrics.`auc`", "metrics.`uplift_auc`"]
    assert set(view["selectedColumns"]) < set(view["columnOrder"]) == set(view["columnWidths"])

import json

from server.tracking import leaderboard


def test_the_link_opens_the_leaderboard_among_training_runs():
    link = leaderboard.ui_link("http://127.0.0.1:5000/", "3")
    assert link == (
        "http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning&viewStateShareKey=leaderboard"
    )


def test_the_server_listens_on_this_machine_only():
    command = leaderboard.server_command("sqlite:////data/mlflow.db", 5050)
    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--backend-store-uri") + 1] == "sqlite:////data/mlflow.db"


def test_the_view_ranks_a_study_s_contenders_by_auc():
    view = json.loads(leaderboard.view_state("abc"))
    assert view["searchFilter"] == "tags.mlflow.parentRunId = 'abc'"
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`auc`", False)
    assert view["selectedColumns"][:2] == ["metrics.`auc`", "metrics.`uplift_auc`"]
    assert set(view["selectedColumns"]) < set(view["columnOrder"]) == set(view["columnWidths"])

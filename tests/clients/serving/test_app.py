"""The service as its clients meet it: answers, refusals, limits, and what it says while a party is away."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fastapi.testclient import TestClient

from clients.data.declaration import read_declaration, write_declaration
from clients.policy import Policy
from clients.serving.app import MOST_APPLICANTS
from clients.serving.guard import MOST_BYTES
from clients.serving.queue import Queue
from clients.session import QUEUE
from experiments.lending.policy import CashFlow
from experiments.serving import PolicyLender
from server.exchange import FederationError
from tests.served_bank import MODEL, Bank

pytestmark = pytest.mark.usefixtures("quick_tracking")


def post(client: TestClient, *applicants: dict[str, Any]) -> list[dict[str, Any]]:
    response = client.post("/applicants", json={"applicants": list(applicants)})
    assert response.status_code == 200, response.text
    return response.json()["applicants"]


def refusal(client: TestClient, *applicants: dict[str, Any]) -> tuple[int, str]:
    response = client.post("/applicants", json={"applicants": list(applicants)})
    return response.status_code, str(response.json()["detail"])


def get(client: TestClient, id_: str, **query: str) -> dict[str, Any]:
    response = client.get(f"/applicants/{id_}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


def columns_of(row: "pd.Series[Any]") -> dict[str, Any]:
    return {name: None if pd.isna(row[name]) else row[name] for name in ("a", "b", "c", "kind")}


def test_an_answer_is_that_of_the_reserve_model_in_score_whether_columns_come_with_the_id_or_not(
    client: TestClient, bank: Bank
) -> None:
    table = bank.table.iloc[:30]
    ids = table.index.tolist()
    expected = bank.score_file(ids, "alone", ("bank",))

    by_id = post(client, *({"id": id_} for id_ in ids))
    by_row = post(
        client,
        *(
            {"id": f"new-{id_}", "month": f"{row['observation_month']:%Y-%m}", "columns": columns_of(row)}
            for id_, row in table.iterrows()
        ),
    )

    assert [one["id"] for one in by_id] == ids
    assert [one["month"] for one in by_id] == [f"{month:%Y-%m}" for month in table["observation_month"]]
    assert [one["reserve"] for one in by_row] == [one["reserve"] for one in by_id]
    for one in by_id:
        row, answer = expected.loc[one["id"]], one["reserve"]
        assert {name: answer[name] for name in ("score", "pd", "parties", "model", "review")} == {
            name: row[name] for name in ("score", "pd", "parties", "model", "review")
        }
        told = [
            tuple(row[f"{name}_{k}"] for name in ("reason", "adds", "text", "text_zh"))
            for k in range(1, 5)
            if row.get(f"reason_{k}")
        ]
        assert [tuple(reason.values()) for reason in answer["reasons"]] == told
        assert one["federated"] is None
        assert one["waits"] == "It waits for the next batch."
    assert any(one["reserve"]["reasons"] for one in by_id)


def test_the_policy_decides_by_the_cut_off_that_it_chooses_for_the_model(
    client: TestClient, bank: Bank, lender: PolicyLender
) -> None:
    answers = post(client, *({"id": id_} for id_ in bank.table.index))
    assert bank.score_queue("queue") is not None
    answers = post(client, *({"id": one["id"]} for one in answers))

    for model, is_federated in (("reserve", False), ("federated", True)):
        pds = np.array([one[model]["pd"] for one in answers])
        made = lender.decide(pds, np.full(len(pds), CashFlow().usual), is_federated)
        assert [one[model]["decision"] for one in answers] == [one._asdict() for one in made]
        assert 0 < sum(one.approved for one in made) < len(made)
    grid, flows = np.linspace(0, 1, 1_001), np.zeros(1_001)
    assert lender.decide(grid, flows, True) != lender.decide(grid, flows, False)


def test_who_waits_is_answered_by_the_federated_model_once_a_run_has_scored(
    client: TestClient, bank: Bank
) -> None:
    ids, months = bank.table.index[:20].tolist(), bank.table["observation_month"]
    expected = bank.score_file(ids, "file")
    post(client, *({"id": id_} for id_ in ids[:12]))
    # The partners know the business, and the bank's columns come with it.
    post(
        client,
        *(
            {"id": id_, "month": f"{months[id_]:%Y-%m}", "columns": columns_of(bank.table.loc[id_])}
            for id_ in ids[12:]
        ),
    )

    scoring = bank.score_queue("queue")

    assert scoring is not None
    assert scoring.answered.applicants == 20
    for id_ in ids:
        one = get(client, id_)
        assert one["waits"] is None
        assert one["answered"] >= one["posted"]
        assert one["federated"]["pd"] == expected.loc[id_, "pd"]
        assert one["federated"]["model"] == expected.loc[id_, "model"]
        assert one["federated"]["parties"] == expected.loc[id_, "parties"]
        assert one["federated"]["review"] == expected.loc[id_, "review"]
        assert [reason["code"] for reason in one["federated"]["reasons"]] == [
            code for k in range(1, 5) if (code := expected.loc[id_].get(f"reason_{k}"))
        ]
        assert one["federated"]["decision"]["price"] > 0
    # Who posts again is told both answers, and waits no more.
    assert post(client, {"id": ids[0]})[0]["federated"] == get(client, ids[0])["federated"]
    assert bank.score_queue("again") is None


def test_while_a_party_is_away_or_refuses_applicants_wait_and_are_told_why(
    client: TestClient, bank: Bank
) -> None:
    id_, *others = bank.table.index[:5].tolist()
    post(client, *({"id": one} for one in (id_, *others)))

    with pytest.raises(FederationError, match=r"Party supply was away"):
        bank.score_queue("away", ("bank", "tax"))
    away = get(client, id_)["waits"]
    tax = bank.config.data_folder / "tax"
    write_declaration(tax, replace(read_declaration(tax), policy=Policy(least_applicants=6)))
    with pytest.raises(FederationError):
        bank.score_queue("refused")
    refused = get(client, id_)["waits"]

    assert away.startswith("The batch of ")
    assert away.endswith("was not scored, and it waits for the next one: Party supply was away.")
    assert refused.endswith(
        "Party tax refused train.alignment_raise_points: the policy of tax allows scoring of at least 6 applicants "
        "at a time (policy.least_applicants), and the run asks for 5."
    )
    post(client, {"id": bank.table.index[6]})
    assert bank.score_queue("enough") is not None
    assert get(client, id_)["waits"] is None


def test_a_batch_is_as_large_as_the_banks_policy_wants(client: TestClient, bank: Bank) -> None:
    write_declaration(bank.folder, replace(read_declaration(bank.folder), policy=Policy(least_applicants=3)))
    ids = bank.table.index[:3].tolist()
    post(client, {"id": ids[0]}, {"id": ids[1]})
    assert bank.score_queue("few") is None
    with pytest.raises(FederationError, match=r"policy\.least_applicants.* asks for 2"):
        bank.score_file(ids[:2], "file")
    assert get(client, ids[0])["waits"] == "It waits for the next batch."
    post(client, {"id": ids[2]})
    assert bank.score_queue("enough") is not None


def test_a_run_by_another_model_takes_nobody(client: TestClient, bank: Bank) -> None:
    post(client, *({"id": id_} for id_ in bank.table.index[:3]))
    queue = Queue(bank.state / QUEUE)
    assert queue.batch_size(MODEL) == 3
    assert queue.batch_size("s/federated-boosting/2") == 0
    queue.close()


def test_a_post_that_comes_again_changes_nothing_and_one_with_other_columns_is_refused(
    client: TestClient, bank: Bank
) -> None:
    columns = {"a": 0.5, "b": None, "c": -1, "kind": "coal"}
    applicant = {"id": "new", "month": "2023-05", "columns": columns}

    first, twice = post(client, applicant, applicant)
    (with_slash,) = post(client, {**applicant, "id": "a/b 业"})
    assert get(client, "a/b 业") == with_slash
    (again,) = post(client, applicant)
    code, said = refusal(client, {"id": bank.table.index[0]}, {**applicant, "columns": {**columns, "a": 0.6}})

    assert first == twice == again
    assert code == 409
    assert said == "new was posted before, with other columns; the first answer stands."
    assert client.get(f"/applicants/{bank.table.index[0]}").status_code == 404, "nobody of it is queued"
    (other,) = post(client, {**applicant, "month": "2023-06"})
    assert get(client, "new") == other
    assert get(client, "new", month="2023-05") == first


@pytest.mark.parametrize(
    ("applicant", "said"),
    [
        ({"id": "nobody"}, "bank has no application of the business 'nobody'; send its columns, too."),
        ({"id": " x"}, "has spaces around it"),
        ({"id": "x" * 101}, "at most 100 characters"),
        ({"id": "x", "month": "2023-13"}, "should match pattern"),
        ({"id": "x", "month": f"{date.today().year + 1}-01"}, "lies in the future"),
        ({"id": "x", "columns": {"a": 1, "b": 2, "c": 3}}, "Field required"),
        ({"id": "x", "columns": {"a": 1, "b": 2, "c": 3, "kind": "coal", "d": 1}}, "Extra inputs"),
        ({"id": "x", "columns": {"a": "1", "b": 2, "c": 3, "kind": "coal"}}, "should be a valid number"),
        ({"id": "x", "columns": {"a": 1e999, "b": 2, "c": 3, "kind": "coal"}}, "finite number"),
        ({"id": "x", "columns": {"a": 1, "b": 2, "c": 3, "kind": 4}}, "should be a valid string"),
    ],
)
def test_what_a_client_can_mend_is_said(client: TestClient, applicant: dict[str, Any], said: str) -> None:
    body = str(applicant).replace("'", '"').replace("inf", "1e999").replace("None", "null")
    content, headers = f'{{"applicants": [{body}]}}', {"Content-Type": "application/json"}
    response = client.post("/applicants", content=content, headers=headers)
    assert response.status_code == 422
    assert said in response.text


def test_without_a_key_nothing_is_read_or_told(client: TestClient, bank: Bank) -> None:
    id_ = bank.table.index[0]
    post(client, {"id": id_})
    good = client.headers["Authorization"]
    for wrong in (
        "",
        "Bearer",
        good[:-1],
        f"{good}x",
        good.replace("loans", "other"),
        good.replace("Bearer", "Basic"),
    ):
        for path in (f"/applicants/{id_}", "/applicants", "/metrics", "/nowhere"):
            refused = client.get(path, headers={"Authorization": wrong})
            assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert client.post("/applicants", content=b"{", headers={"Authorization": wrong}).status_code == 401
    for path in ("/health", "/docs", "/openapi.json"):
        assert client.get(path, headers={"Authorization": ""}).status_code == 200


def test_a_key_ends_with_its_line(client: TestClient, bank: Bank) -> None:
    (bank.folder / "clients.toml").write_text("")
    assert client.get("/metrics").status_code == 401
    (bank.folder / "clients.toml").write_text("loans = 3")
    assert client.get("/metrics").status_code == 503


def test_bodies_and_batches_are_bounded(client: TestClient) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(MOST_BYTES // 65_536 + 1):
            yield b" " * 65_536

    for body in (b" " * (MOST_BYTES + 1), pieces()):
        refused = client.post("/applicants", content=body)
        assert refused.status_code == 413
        assert "at most 4,194,304 bytes" in refused.json()["detail"]
    code, said = refusal(client, *[{"id": "x"}] * (MOST_APPLICANTS + 1))
    assert code == 422
    assert "at most 1000 items" in said
    assert refusal(client)[0] == 422


def test_records_that_have_changed_are_read_again_and_other_columns_end_the_answers(
    client: TestClient, bank: Bank
) -> None:
    table = bank.table.reset_index()
    table.iloc[:1].assign(business_id="later").to_csv(
        bank.folder / "table.csv", mode="a", header=False, index=False
    )
    assert (
        post(client, {"id": "later"})[0]["reserve"]
        == post(client, {"id": table["business_id"][0]})[0]["reserve"]
    )
    declared = read_declaration(bank.folder)
    write_declaration(bank.folder, replace(declared, columns=declared.columns[1:]))
    for _ in range(2):
        assert refusal(client, {"id": "later"}) == (503, "The bank's records are not in order.")
    write_declaration(bank.folder, declared)
    assert post(client, {"id": "later"})


def test_metrics_count_requests_and_applicants_and_name_nobody(client: TestClient, bank: Bank) -> None:
    ids = bank.table.index[:3].tolist()
    post(client, *({"id": id_} for id_ in ids))
    get(client, ids[0])
    client.get("/nowhere")
    assert client.get("/health").json() == {"status": "ok"}
    text = client.get("/metrics").text
    assert 'siloscore_requests_total{client="loans",method="POST",path="/applicants",status="200"} 1' in text
    assert (
        'siloscore_requests_total{client="loans",method="GET",path="/applicants/{id_:path}",status="200"} 1'
        in text
    )
    assert 'siloscore_requests_total{client="loans",method="GET",path="other",status="404"} 1' in text
    assert "siloscore_applicants_waiting 3\n" in text
    assert 'siloscore_request_seconds_bucket{le="+Inf"} 4\n' in text
    assert not any(id_ in text for id_ in ids)


def test_the_page_lists_what_can_be_asked_and_the_banks_columns_and_has_no_script(client: TestClient) -> None:
    page = client.get("/docs").text
    for word in ("POST /applicants", "GET /applicants/{id_}", "GET /metrics", "kind", "text_zh"):
        assert word in page
    assert "<script" not in page
    assert "http" not in page
    described = client.get("/openapi.json").json()
    assert set(described["components"]["schemas"]["Columns"]["properties"]) == {"a", "b", "c", "kind"}


def test_an_applicant_that_nobody_posted_is_not_there(client: TestClient) -> None:
    assert client.get("/applicants/nobody").status_code == 404

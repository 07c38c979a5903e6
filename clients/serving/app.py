"""The service as HTTP: what a client may send, and what it is told.

All paths but `OPEN` need a client's key (`clients/serving/guard.py`). `/docs` describes them to people, and
`/openapi.json` to programs.
"""

import logging
import sqlite3
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import FastAPI, HTTPException, Query, Request, Response, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.security import HTTPBearer
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, create_model

from clients.data.column import Column
from clients.data.declaration import Declaration
from clients.data.errors import DataError
from clients.serving.guard import Guard
from clients.serving.keys import Keys
from clients.serving.metrics import Metrics
from clients.serving.page import page_of
from clients.serving.queue import Applicant, Entry
from clients.serving.scorer import UnknownBusiness
from clients.serving.service import Conflict, Full, Service

MOST_APPLICANTS = 1_000
"""Applicants of a request."""
_LONGEST_ID, _LONGEST_TEXT = 100, 1_000
_DESCRIPTION = (
    "The bank's own reserve model answers at once. Applicants then wait for the next batch that the federated model "
    "scores; ask for them later."
)
_KINDS: dict[str, Any] = {
    "numeric": Annotated[float, Field(strict=True, allow_inf_nan=False)],
    "categorical": Annotated[str, Field(strict=True, max_length=_LONGEST_TEXT)],
    "date": date,
}

log = logging.getLogger(__name__)


def _is_one_word(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError("has spaces around it or characters that cannot be printed")
    return text


def _has_begun(month: str) -> str:
    if month > f"{date.today():%Y-%m}":
        raise ValueError("lies in the future")
    return month


Id = Annotated[str, Field(min_length=1, max_length=_LONGEST_ID), AfterValidator(_is_one_word)]
Month = Annotated[str, Field(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])$"), AfterValidator(_has_begun)]


class Decision(BaseModel):
    """What the lender's policy offers; the price is that of the loan, or of the one that it would have been."""

    approved: bool
    line: float = Field(description="CNY; 0 where not approved")
    price: float = Field(description="per year")


class Reason(BaseModel):
    """Why the risk is above that of the average business."""

    code: str
    adds: float = Field(description="log odds of default")
    text: str
    text_zh: str


class Answer(BaseModel):
    """What a model says of an applicant."""

    score: float = Field(description="log odds of default, or a scorecard's points")
    pd: float = Field(description="probability of default")
    parties: str = Field(description="whose columns had a part in it")
    model: str = Field(description="which one answered")
    review: bool = Field(description="whether a person should look at it: the reserve model had a say")
    reasons: list[Reason] = Field(description="up to four, worst first")
    decision: Decision


class State(BaseModel):
    """An applicant, with the answers that there are."""

    id: str
    month: str | None = Field(description="the observation month, if the bank's records have months")
    posted: datetime
    reserve: Answer
    federated: Answer | None
    answered: datetime | None = Field(description="when the federated model answered")
    waits: str | None = Field(description="why there is no federated answer yet")


class States(BaseModel):
    """Applicants in the order of the request."""

    applicants: list[State]


def create_app(service: Service, keys: Keys) -> FastAPI:
    """The service as an ASGI app."""
    declaration, metrics = service.scorer.declaration, Metrics()
    app = FastAPI(
        title=f"SiloScore at {declaration.name}", description=_DESCRIPTION, docs_url=None, redoc_url=None
    )
    app.add_middleware(Guard, keys=keys, metrics=metrics)
    posted = _model_of_posted(declaration)
    # The guard has checked the key before anything is read; this says so in the description.
    secured: dict[str, Any] = {"dependencies": [Security(HTTPBearer(auto_error=False))]}

    @app.post("/applicants", response_model=States, **secured)
    def post_applicants(batch: posted) -> Response:  # type: ignore[valid-type]
        """Answer applicants by the reserve model, and queue them for the federated one.

        Send the id alone if the bank's folder has the business's records, or all declared columns with it (null where
        there is no value). Without a month, that of the application counts, or of today if columns come with the id. An
        applicant that is posted again for the same month gets its first answer.
        """
        applicants = [_applicant_of(one, service) for one in batch.applicants]  # type: ignore[attr-defined]
        entries = service.post(applicants)
        metrics.answer(len(entries))
        return _json({"applicants": _states(entries, service)})

    @app.get("/applicants/{id_:path}", response_model=State, **secured)
    def get_applicant(id_: str, month: Annotated[Month | None, Query()] = None) -> Response:
        """The answers to an applicant of a month, by default of the month that was posted last."""
        entry = service.find(id_, month)
        if entry is None:
            raise HTTPException(404, "This applicant has not been posted.")
        return _json(_states([entry], service)[0])

    @app.get("/health")
    def get_health() -> dict[str, str]:
        """Whether the service can read its queue."""
        service.queue.waiting(service.scorer.model)
        return {"status": "ok"}

    @app.get("/metrics", response_class=PlainTextResponse, **secured)
    def get_metrics() -> str:
        """Counters in Prometheus' text format."""
        model = service.scorer.model
        return metrics.text(service.queue.waiting(model), service.queue.answered(model))

    @app.get("/docs", response_class=HTMLResponse, include_in_schema=False)
    def get_docs() -> str:
        return page_of(app.openapi())

    def refuse(status: int, detail: str = "") -> Any:
        def handle(request: Request, error: Exception) -> Response:
            if detail:
                log.error("%s %s: %s", request.method, detail, error)
            return JSONResponse({"detail": detail or str(error)}, status)

        return handle

    def refuse_form(request: Request, error: Any) -> Response:
        # Not FastAPI's own answer, which repeats what was sent, and fails where that is infinite.
        return JSONResponse(
            {"detail": [{"loc": one["loc"], "msg": one["msg"]} for one in error.errors()]}, 422
        )

    app.add_exception_handler(RequestValidationError, refuse_form)
    app.add_exception_handler(UnknownBusiness, refuse(422))
    app.add_exception_handler(Conflict, refuse(409))
    app.add_exception_handler(Full, refuse(503))
    # What these say may quote a record, so it stands in the service's own log.
    app.add_exception_handler(DataError, refuse(503, "The bank's records are not in order."))
    app.add_exception_handler(sqlite3.Error, refuse(503, "The queue cannot be read or written."))
    return app


def _model_of_posted(declaration: Declaration) -> type[BaseModel]:
    """What a client posts, which follows from the bank's declared columns."""
    forbid = ConfigDict(extra="forbid")
    columns: dict[str, Any] = {
        # As aliases, since a column may have any name.
        f"column_{number}": (_KINDS[column.kind] | None, Field(alias=column.name, description=_about(column)))
        for number, column in enumerate(declaration.columns)
    }
    of_columns = create_model("Columns", __config__=forbid, **columns)
    applicant: Any = create_model(
        "Applicant",
        __config__=forbid,
        id=(Id, ...),
        month=(Month | None, None),
        columns=(of_columns | None, None),
    )
    applicants = Annotated[list[applicant], Field(min_length=1, max_length=MOST_APPLICANTS)]
    return create_model("Applicants", __config__=forbid, applicants=(applicants, ...))


def _about(column: Column) -> str:
    return f"{column.description}, {column.unit}".strip(", ")


def _applicant_of(posted: Any, service: Service) -> Applicant:
    """Raises UnknownBusiness, and HTTPException for a month where there are none."""
    has_months, month = service.scorer.declaration.month is not None, posted.month
    if month and not has_months:
        raise HTTPException(422, "The bank's records have no months; leave the month out.")
    if posted.columns is None:
        return Applicant(posted.id, month or service.scorer.month_of(posted.id))
    columns = msgspec.json.encode(posted.columns.model_dump(mode="json", by_alias=True)).decode()
    return Applicant(posted.id, month or (f"{date.today():%Y-%m}" if has_months else ""), columns)


def _states(entries: Sequence[Entry], service: Service) -> list[dict[str, Any]]:
    reserve = _decided([(entry.reserve, entry.cash_flow) for entry in entries], service, False)
    answered = [entry for entry in entries if entry.federated]
    federated = iter(
        _decided([(entry.federated or "", entry.cash_flow) for entry in answered], service, True)
    )
    return [
        {
            "id": entry.applicant.id,
            "month": entry.applicant.month or None,
            "posted": _time(entry.posted),
            "reserve": of_reserve,
            "federated": next(federated) if entry.federated else None,
            "answered": _time(entry.answered) if entry.answered else None,
            "waits": None if entry.federated else _why_it_waits(entry),
        }
        for entry, of_reserve in zip(entries, reserve, strict=True)
    ]


def _decided(
    answers: Sequence[tuple[str, float | None]], service: Service, is_federated: bool
) -> list[dict[str, Any]]:
    """Answers, each with the lender's decision."""
    if not answers:
        return []
    read = [msgspec.json.decode(answer) for answer, _ in answers]
    flows = np.array([np.nan if flow is None else flow for _, flow in answers])
    decisions = service.lender.decide(np.array([one["pd"] for one in read]), flows, is_federated)
    return [one | {"decision": made._asdict()} for one, made in zip(read, decisions, strict=True)]


def _why_it_waits(entry: Entry) -> str:
    if entry.taken is None:
        return "It waits for the next batch."
    if entry.reason:
        return (
            f"The batch of {_time(entry.taken)} was not scored, and it waits for the next one: {entry.reason}"
        )
    return f"A batch took it at {_time(entry.taken)}, and has not been answered yet."


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _json(content: Any) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")

"""The commands by which a party takes its part of a scorecard into systems of its own: features, and points for them.

Both work at one party, by its own folder and store alone.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The party's folder, with its party.toml.")]


class Form(StrEnum):
    """What a scorecard is written as."""

    sql = "sql"
    json = "json"


def features(
    folder: Folder,
    applicants: Annotated[
        Path, typer.Option(help="CSV or Parquet file with the ids of businesses, in the party's id column.")
    ],
    out: Annotated[Path, typer.Option(help="File for the table, .csv or .parquet.")],
    month: Annotated[
        str | None,
        typer.Option(
            help="Column of the file with the month as of which each business is seen. Default: at the bank that of "
            "the application, elsewhere none, so that all records count."
        ),
    ] = None,
) -> None:
    """Write a party's columns for the businesses of a file.

    The query of `siloscore export` reads this table. A party other than the bank writes a row only for a business that
    it knows.

    Example: siloscore features data/demo/bank --applicants new.csv --out features.parquet
    """
    from clients.data.applicants import features_of
    from clients.data.files import SUFFIXES
    from clients.parties import open_party
    from experiments.display import console
    from experiments.outputs import check_file, whole_file
    from fl.errors import ConfigError

    if out.suffix not in SUFFIXES:
        raise ConfigError(f"The table goes to a .csv or a .parquet file, not to {out}.")
    check_file(out, "The table")
    table = features_of(open_party(folder, labelled=False), applicants, month)
    with whole_file(out) as draft:
        # A database reads this, and no spreadsheet: a text that began with an apostrophe would be another text.
        table.to_csv(draft, index=False) if out.suffix == ".csv" else table.to_parquet(draft, index=False)
    console.print(
        f"{out}: {len(table):,} businesses, {len(table.columns) - 1} columns",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )


def export(
    folder: Folder,
    run: Annotated[
        str, typer.Option(help="The scorecard: STUDY/federated-scorecard or STUDY/federated-scorecard/SEED.")
    ],
    out: Annotated[Path, typer.Option(help="File for the scorecard.")],
    format: Annotated[Form, typer.Option(help="A query in standard SQL, or JSON.")] = Form.sql,
    state: Annotated[
        Path | None, typer.Option(help="Folder of the party's state. Default: state in its own folder.")
    ] = None,
) -> None:
    """Write a party's points of a scorecard as SQL or JSON.

    The query reads the table of `siloscore features`. The bank's adds the points of all parties up.

    Example: siloscore export data/demo/tax --run demo-1/federated-scorecard --out points_tax.sql
    """
    from clients.scorecard.export import export_scorecard, to_json, to_sql
    from experiments.display import console
    from experiments.outputs import check_file, whole_file

    check_file(out, "The scorecard")
    scorecard = export_scorecard(folder, state or folder / "state", run)
    with whole_file(out) as draft:
        draft.write_text(to_sql(scorecard) if format is Form.sql else to_json(scorecard), "utf-8")
    columns = scorecard.points.columns
    console.print(
        f"{out}: {scorecard.run} at {scorecard.party}, points for {len(columns)} columns",
        soft_wrap=True,
        markup=False,
        highlight=False,
    )

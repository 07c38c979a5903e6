"""The commands for someone who brings a party: list the types, check a type, and write a first `party.toml`."""

import os
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from clients.data.inspection import Inspection


def parties() -> None:
    """List the installed party types, and the package of each.

    Example: siloscore parties
    """
    from rich.table import Column

    from clients.parties import origins
    from experiments.display import console
    from experiments.tables import FittedTable

    table = FittedTable(
        Column("Type", no_wrap=True), Column("Package", no_wrap=True), "Class", title="Party types"
    )
    for origin in origins():
        package = f"{origin.distribution} {origin.version}" if origin.distribution else "this process"
        table.add_row(origin.name, package, origin.target)
    console.print(table)
    console.print(f"Python: {sys.executable}", soft_wrap=True)


def check_party(
    party: Annotated[
        str, typer.Argument(help="Name of an installed type, such as tax, or package.module:Class.")
    ],
) -> None:
    """Check that a party type can take part.

    It must be complete and repeatable, never look ahead, and disclose no more than it declares. The type is tested on
    its example records. The exit code is 1 if it fails a check.

    Example: siloscore check-party tax
    """
    from clients.data.contract import find_party, verdicts
    from experiments.display import console

    # Like `python -m`, so that a module in the current folder can be named; last, so that it hides no other module.
    sys.path.append(os.getcwd())
    checked = verdicts(find_party(party))
    for check, problem in checked.items():
        console.print(f"{'✗' if problem else '✓'} {check}", style="red" if problem else "green")
        if problem:
            console.print(f"  {problem}", markup=False, soft_wrap=True)
    passed = list(checked.values()).count("")
    console.print(f"{party}: {passed} of {len(checked)} checks passed", markup=False)
    if passed < len(checked):
        raise typer.Exit(1)


def init_party(
    table: Annotated[
        Path,
        typer.Argument(help="CSV or Parquet file with a row per business; with --type: the party's folder."),
    ],
    id: Annotated[str, typer.Option(help="Column that holds the business id.")] = "",
    label: Annotated[str, typer.Option(help="Column that says who defaulted (1) or repaid (0).")] = "",
    bad: Annotated[
        str, typer.Option(help="Value of the label that means default, unless its values are 0 and 1.")
    ] = "",
    month: Annotated[str, typer.Option(help="Column with the month of the application.")] = "",
    type: Annotated[str, typer.Option(help="Party type that computes the columns from records.")] = "table",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing party.toml.")] = False,
) -> None:
    """Write a party.toml for a table of your own.

    The command reports what is unusual in the table: gaps, constants, possible leaks.

    Example: siloscore init-party data/mine/bank/applicants.csv --id business_id --label default
    """
    from clients.data.declaration import FILE_NAME, write_declaration
    from clients.data.inspection import inspect_table
    from clients.parties import party_type, write_default
    from experiments.display import console
    from fl.errors import ConfigError

    folder = table if type != "table" else table.parent
    if (folder / FILE_NAME).exists() and not force:
        raise ConfigError(f"{folder / FILE_NAME} exists already; --force replaces it.")
    if type != "table":
        if id or label or bad or month:
            raise ConfigError(
                "--id, --label, --bad and --month belong to a table; a type has its own names for them."
            )
        if not folder.is_dir():
            raise ConfigError(f"{folder} is no folder; with --type, name the folder that holds the records.")
        write_default(folder, type)
        console.print(f"{folder / FILE_NAME}: {len(party_type(type).columns)} columns of type {type}")
        return
    if not id:
        raise ConfigError("Name the column with the business id, such as --id business_id.")
    inspection = inspect_table(table, id, label or None, month or None, bad or None)
    write_declaration(folder, inspection.declaration)
    console.print(_report(inspection))
    if table.suffix == ".csv":
        console.print(
            f"Read as {inspection.declaration.format}.", soft_wrap=True, highlight=False, markup=False
        )
    console.print(
        f"{folder / FILE_NAME}: {len(inspection.declaration.columns)} of {len(inspection.columns)} columns offered. "
        "Every grade is 3 and every sign is 0 (no demand). Correct them where you know better, and delete the columns "
        "that must not leave the party.",
        soft_wrap=True,
        highlight=False,
    )


def keys(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The party's folder, with its party.toml.")],
    node: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Make the key of its SuperNode, too, in this folder (docs/deploy.md)."
        ),
    ] = None,
) -> None:
    """Make a party's private keys, and print its public keys.

    Keys that exist stay as they are. The public ones are for the partners' party.toml, and with --node for the
    coordinator.

    Example: siloscore keys data/mine/bank
    """
    import tomli_w

    from clients.data.declaration import read_declaration
    from clients.identity import FILE_NAME, make_identity, read_identity
    from experiments.display import console

    declared = read_declaration(folder)
    is_new = make_identity(folder)
    console.print(
        f"{folder / FILE_NAME}: private keys {'made' if is_new else 'are there already'}; they stay with the party. "
        "Its partners write this line under [partners] in their party.toml, and make sure by another way, such as the "
        "telephone, that it is the party's:",
        soft_wrap=True,
    )
    identity = read_identity(folder).public.text
    line = tomli_w.dumps({declared.name: identity})
    console.print(line.strip(), markup=False, highlight=False, soft_wrap=True)
    if node is not None:
        from experiments.federation.certificates import make_node_key
        from experiments.federation.layout import PartyNode

        files = PartyNode(node, folder)
        node.mkdir(parents=True, exist_ok=True, mode=0o700)
        is_new = make_node_key(files)
        told = {"supernode": files.public_key.read_text("utf-8").strip(), "identity": identity}
        (node / f"{declared.name}.toml").write_text(tomli_w.dumps({declared.name: told}), "utf-8")
        console.print(
            f"{files.key}: key of its SuperNode {'made' if is_new else 'is there already'}; it stays with the party. "
            f"The coordinator is sent {files.public_key} and {node / declared.name}.toml.",
            soft_wrap=True,
            highlight=False,
        )


def policy(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="The party's folder, with its party.toml.")],
) -> None:
    """Explain in words what a party allows a run.

    Example: siloscore policy data/demo/tax
    """
    from clients.data.declaration import read_declaration
    from clients.policy import DEFAULTS
    from experiments.display import console

    declared = read_declaration(folder)
    written, defaults = declared.policy, replace(DEFAULTS, **dict.fromkeys(declared.policy.written))

    def tell(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    tell(f"Party {declared.name}, by what is written in its party.toml, which always binds:")
    told = "shows" if declared.publish_bins else "does not show"
    tell(f"- A model card {told} which values a group of its columns holds (publish_bins).")
    for column in declared.sensitive:
        tell(f"- No model uses the column {column}, and no message holds it (sensitive).")
    for rule in written.written:
        tell(f"- It allows {written.in_words(rule)} (policy.{rule}).")
    tell(
        "\nBy default, which binds where it is deployed (its SuperNode names the folder as party-folder) and not in "
        "simulation or inline:"
    )
    for rule in defaults.written:
        tell(f"- It allows {defaults.in_words(rule)} (policy.{rule}).")
    ruled = written.written | defaults.written
    if free := [f"policy.{one.name}" for one in fields(written) if one.name not in ruled]:
        tell(f"\nThere is neither a rule nor a default for {', '.join(free)}.")


def _report(inspection: "Inspection") -> "Table":
    """A row for each column of the table that was inspected."""
    from rich.table import Column

    from experiments.tables import FittedTable

    table = FittedTable(
        Column("Column", no_wrap=True),
        Column("Is", no_wrap=True),
        Column("Missing", justify="right", no_wrap=True),
        Column("Values", justify="right", no_wrap=True),
        "Note",
        title=f"{inspection.declaration.file}: {inspection.rows:,} rows",
    )
    for column in inspection.columns:
        style = "red" if any(remark.startswith("LEAK?") for remark in column.remarks) else None
        table.add_row(
            column.name,
            column.role,
            f"{column.missing:.1%}" if column.missing else "–",
            f"{column.distinct:,}" if column.distinct else "–",
            " ".join(column.remarks),
            style=style,
        )
    return table

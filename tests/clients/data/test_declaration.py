"""`party.toml` is read strictly, every mistake in it is named, and what is written is read back."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clients.data.column import Column
from clients.data.declaration import (
    COVERAGE,
    FILE_NAME,
    Cluster,
    Declaration,
    Target,
    read_declaration,
    schema_hash,
    with_reasons,
    write_declaration,
)
from clients.data.errors import DataError
from clients.data.format import Format
from clients.parties import write_default

BANK = """
type = "bank"
id = "business_id"
label = "default"
month = "observation_month"
segments = ["sector", "region"]

[columns.overdraft_days_6m]
kind = "numeric"
unit = "days"
description = "Days in overdraft in the last six months"
sign = 1
grade = 4

[columns.sector]
kind = "categorical"
"""


def read(folder: Path, content: str | bytes) -> Declaration:
    folder.mkdir(exist_ok=True)
    (folder / FILE_NAME).write_bytes(content.encode() if isinstance(content, str) else content)
    return read_declaration(folder)


def with_column(line: str) -> str:
    return f'type = "bank"\n[columns.inflow]\nkind = "numeric"\n{line}\n'


def test_a_declaration_is_read_in_the_order_of_the_file(tmp_path: Path) -> None:
    declaration = read(tmp_path / "bank", BANK)

    assert declaration == Declaration(
        type="bank",
        name="bank",
        label="default",
        month="observation_month",
        segments=("sector", "region"),
        columns=(
            Column(
                "overdraft_days_6m",
                "numeric",
                "days",
                "Days in overdraft in the last six months",
                sign=1,
                grade=4,
            ),
            Column("sector", "categorical"),
        ),
    )
    assert declaration.column_names == ("overdraft_days_6m", "sector")


def test_only_the_label_holder_has_a_target(tmp_path: Path) -> None:
    assert read(tmp_path / "bank", BANK).target == Target("default", "binary")
    assert read(tmp_path / "tax", 'type = "tax"\n').target is None


@pytest.mark.parametrize(
    ("declared", "of_type", "told"),
    [
        (Column("a", "numeric", reason="Mine", reason_zh="我"), ("Usual", "常"), ("Mine", "我")),
        (Column("a", "numeric", reason="Mine"), ("Usual", "常"), ("Mine", "常")),
        (Column("a", "numeric", description="An a"), ("Usual", "常"), ("Usual", "常")),
        (Column("a", "numeric", reason="Mine", description="An a"), ("", ""), ("Mine", "Mine")),
        (Column("a", "numeric", description="An a"), ("", ""), ("An a", "An a")),
        (Column("a", "numeric"), None, ("a", "a")),
    ],
)
def test_a_reason_is_the_partys_else_the_types_else_the_description_else_the_name(
    declared: Column, of_type: tuple[str, str] | None, told: tuple[str, str]
) -> None:
    columns = [Column("a", "numeric", reason=of_type[0], reason_zh=of_type[1])] if of_type else []

    column = with_reasons(Declaration(type="tax", name="tax", columns=(declared,)), columns)["a"]

    assert (column.reason, column.reason_zh) == told
    assert replace(column, reason=declared.reason, reason_zh=declared.reason_zh) == declared


def test_the_format_of_the_files_stands_beside_the_other_keys(tmp_path: Path) -> None:
    keys = 'type = "tax"\nencoding = "gb18030"\nseparator = ";"\ndecimal = ","\nmissing = ["-", "无"]\n'
    declaration = read(tmp_path / "tax", keys)

    assert declaration.format == Format("gb18030", ";", ",", ("-", "无"))
    write_declaration(tmp_path / "tax", declaration)
    assert read_declaration(tmp_path / "tax") == declaration
    assert schema_hash(declaration) == schema_hash(replace(declaration, format=Format()))
    write_declaration(tmp_path / "tax", replace(declaration, format=Format()))
    assert "encoding" not in (tmp_path / "tax" / FILE_NAME).read_text()


def test_a_party_may_name_a_cluster_that_shares_its_work(tmp_path: Path) -> None:
    declaration = read(tmp_path, 'type = "tax"\n[cluster]\naddress = "10.0.0.5:6379"\nworkers = 32\n')

    assert declaration.cluster == Cluster("10.0.0.5:6379", 32)
    write_declaration(tmp_path, declaration)
    assert read_declaration(tmp_path) == declaration
    assert schema_hash(declaration) == schema_hash(replace(declaration, cluster=None))


def test_a_sensitive_column_may_be_named_without_training_again() -> None:
    bank = Declaration("table", "bank", label="default", columns=(Column("a", "numeric"),))

    assert schema_hash(bank) == schema_hash(replace(bank, sensitive=("gender",)))


def test_a_party_may_carry_another_name_than_its_folder(tmp_path: Path) -> None:
    assert read(tmp_path / "a", 'type = "tax"\nname = "Tax bureau"\n').name == "Tax bureau"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('typ = "bank"', "unknown key 'typ'. Did you mean 'type'?"),
        ('type = "bank"\nzebra = 1', "unknown key 'zebra'. Known are 'type', 'name', 'id', "),
        ('id = "uscc"', 'there is no type; add a line such as type = "table".'),
        ("type = 3", "type must be text in quotation marks that is not empty, not 3."),
        ('type = "bank"\nlabel = true', "label must be text in quotation marks"),
        (
            'type = "bank"\nbad = "Y"',
            "bad is a value of the label; name the label's column by the key label.",
        ),
        ('type = "bank"\nlabel = "y"\nbad = ["Y"]', "bad must be one of the label's two values, a text in"),
        ('type = "bank"\nid = ""', "id must be text in quotation marks that is not empty, not ''."),
        ('type = "tax"\npublish_bins = "yes"', "publish_bins must be true or false, not 'yes'."),
        (
            'type = "bank"\nsegments = "sector"',
            'segments must be a list of column names, such as ["sector", "region"], not \'sector\'.',
        ),
        ('type = "bank"\nlabel = "d"\nsegments = [1]', "segments must be a list of column names, "),
        (
            'type = "bank"\nlabel = "d"\nsegments = ["a", "a"]',
            "'a' stands more than once among the segments.",
        ),
        (
            'type = "bank"\nlabel = "d"\nsegments = ["d"]',
            "'d' is the label and cannot be one of the segments too.",
        ),
        ('type = "bank"\nlabel = "d"\nmonth = "d"', "id, label and month must be three different columns."),
        ('type = "bank"\nmonth = "m"', "month, segments and sensitive belong to the party that holds"),
        ('type = "tax"\nsensitive = ["g"]', "month, segments and sensitive belong to the party that holds"),
        ('type = "bank"\nlabel = "d"\nsensitive = "g"', "sensitive must be a list of column names, such as"),
        (
            'type = "bank"\nlabel = "d"\nsensitive = ["d"]',
            "'d' is the label and cannot be one of the sensitive columns too.",
        ),
        (
            'type = "bank"\nlabel = "d"\nsensitive = ["g"]\n[columns.g]\nkind = "categorical"',
            "no model may use a sensitive column; remove 'g' from the columns.",
        ),
        (
            'type = "bank"\nlabel = "d"\nsegments = ["g"]\nsensitive = ["g"]',
            "metrics by segment leave the party; remove the sensitive 'g' from the segments.",
        ),
        ('type = "bank"\nseparator = "x"', 'separator must be one of ",", ";"'),
        (
            'type = "bank"\npartners = ["tax"]',
            "partners must be a table of public keys by party, such as tax = ",
        ),
        ('type = "bank"\n[partners]\ntax = 1', "partners must be a table of public keys by party"),
        (
            'type = "bank"\ncluster = "10.0.0.5"',
            "cluster must be a table [cluster] with the lines address and",
        ),
        ('type = "bank"\n[cluster]\nadress = "x"', "unknown key 'adress'. Did you mean 'address'?"),
        ('type = "bank"\n[cluster]\nworkers = 9', "address must be the address of a Ray cluster, such as"),
        ('type = "bank"\n[cluster]\naddress = "auto"', "workers must be a whole number from 2, not 0."),
        ('type = "bank"\ncolumns = ["inflow"]', "columns must be tables such as [columns.inflow]"),
    ],
)
def test_a_mistake_in_the_declaration_is_named(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)

    assert str(caught.value).startswith(f"{tmp_path / FILE_NAME}: {problem}")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("sing = 1", "unknown key 'sing'. Did you mean 'sign'?"),
        (
            "sign = 2",
            "sign must be 1 (a higher value means higher risk), -1 (lower risk) or 0 (no demand), not 2.",
        ),
        ("sign = true", "sign must be 1"),
        ("grade = 6", "grade must be a whole number from 1 (public) to 5 (most sensitive), not 6."),
        ("grade = 2.0", "grade must be a whole number"),
        ("special = -999", "special must be a list of at most 20 different finite numbers, such as [-999, "),
        ("special = [1, 1.0]", "special must be a list of at most 20 different"),
        ("special = [nan]", "special must be a list of at most 20 different finite numbers"),
        ('special = ["NULL"]', "special must be a list"),
        ("special = [true]", "special must be a list"),
        ('stray = "ignored"', "stray must be 'error' or 'missing', not 'ignored'."),
        ('reference = "2023-13"', 'reference must be a month in quotation marks, such as "2023-03", not'),
        ('reference = "2023-03"', "a column of kind 'numeric' has no such key; remove the key reference."),
        ("day_first = true", "a column of kind 'numeric' has no such key; remove the key day_first."),
        ("unit = 1", 'unit must be text in quotation marks, such as "…", not 1.'),
    ],
)
def test_a_mistake_in_a_column_is_named_with_the_column(tmp_path: Path, line: str, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, with_column(line))

    assert str(caught.value).startswith(f"{tmp_path / FILE_NAME}, column 'inflow': {problem}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('[columns.a]\nkind = "number"', "kind must be 'numeric', 'categorical' or 'date', not 'number'."),
        ("[columns.a]\nsign = 1", "kind is missing; it must be 'numeric', 'categorical' or 'date'."),
        (
            '[columns.a]\nkind = "categorical"\nsign = 1',
            "a categorical column has no order, so its sign must be 0",
        ),
        (
            '[columns.a]\nkind = "categorical"\nlevels = ["x", "x"]',
            "levels must be a list of different texts, such as [\"retail\", \"transport\"], not ('x', 'x').",
        ),
        ('[columns.a]\nkind = "categorical"\nlevels = [1, 2]', "levels must be a list of different texts"),
        (
            '[columns.a]\nkind = "numeric"\nlevels = ["x"]',
            "a column of kind 'numeric' has no such key; remove the",
        ),
        (
            '[columns.a]\nkind = "categorical"\nspecial = [-999]',
            "every level of a categorical column stands for itself; remove the key special.",
        ),
        ('[columns]\na = "numeric"', 'a column is declared by a table with at least kind = "numeric".'),
    ],
)
def test_a_column_needs_a_kind_that_fits(tmp_path: Path, content: str, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, f'type = "bank"\n{content}\n')

    assert str(caught.value).startswith(f"{tmp_path / FILE_NAME}, column 'a': {problem}")


def test_the_label_is_never_a_feature(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'default' is the label and cannot be one of the columns too"):
        read(tmp_path, BANK + '[columns.default]\nkind = "numeric"\n')


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b'type = "bank"\nid = business_id\n', "line 2"),
        (b'type = "bank"\nid = "a"\nid = "b"\n', "line 3"),
        (b'type = "bank"\n[columns.a\nkind = "numeric"\n', "line 2"),
        (b'type = "bank"\nsegments = [\n', "line 2"),
    ],
)
def test_invalid_toml_is_located_by_line(tmp_path: Path, content: bytes, line: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, content)

    assert str(caught.value).startswith(f"{tmp_path / FILE_NAME}, {line}: this is not valid TOML: ")


def test_a_declaration_in_another_encoding_is_located_by_line_and_byte(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"party.toml, line 2: byte 22 \(0xd2\) is not valid UTF-8"):
        read(tmp_path, 'type = "bank"\nname = "银行"\n'.encode("gb18030"))


def test_a_folder_without_a_declaration_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"party.toml does not exist; a party's folder needs one"):
        read_declaration(tmp_path)


def test_a_declaration_that_cannot_be_opened_is_told_so(tmp_path: Path) -> None:
    (tmp_path / FILE_NAME).mkdir()

    with pytest.raises(DataError, match="the file cannot be read"):
        read_declaration(tmp_path)


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(str.strip)
COLUMNS = st.builds(
    Column,
    NAMES,
    st.just("numeric"),
    unit=st.text(st.characters(exclude_categories=["Cs"])),
    description=st.text(st.characters(exclude_categories=["Cs"])),
    sign=st.sampled_from([-1, 0, 1]),
    grade=st.integers(1, 5),
    stray=st.sampled_from(["error", "missing"]),
    special=st.lists(
        st.floats(allow_nan=False, allow_infinity=False) | st.integers(-999, 999), unique=True
    ).map(lambda values: tuple(values[:20])),
)


@settings(deadline=None)
@given(
    names=st.lists(NAMES, min_size=4, max_size=4, unique=True),
    columns=st.lists(COLUMNS, unique_by=lambda column: column.name),
    segments=st.lists(NAMES.filter(lambda name: name != COVERAGE), unique=True),
    partners=st.dictionaries(NAMES, st.text("AZ+/=")),
)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory,
    names: list[str],
    columns: list[Column],
    segments: list[str],
    partners: dict[str, str],
) -> None:
    party, id_column, label, month = names
    declaration = Declaration(
        type="table",
        name=party,
        id=id_column,
        label=label,
        month=month,
        segments=tuple(name for name in segments if name not in (*names, "@")),
        sensitive=("@",),
        columns=tuple(column for column in columns if column.name not in (*names, "@")),
        file="x.csv",
        partners=partners,
    )
    folder = tmp_path_factory.mktemp("party")

    write_declaration(folder, declaration)

    assert read_declaration(folder) == declaration


def test_levels_are_read_back(tmp_path: Path) -> None:
    column = Column("size", "categorical", levels=("small", "large"))
    write_declaration(tmp_path, Declaration(type="table", name="x", file="x.csv", columns=(column,)))

    assert read_declaration(tmp_path).columns == (column,)


def test_the_folder_is_the_name_unless_another_is_written(tmp_path: Path) -> None:
    write_declaration(tmp_path, Declaration(type="tax", name=tmp_path.name))

    assert "name" not in (tmp_path / FILE_NAME).read_text()


def test_the_default_declaration_of_a_table_offers_its_columns(tmp_path: Path) -> None:
    (tmp_path / "scores.csv").write_text("id,default,age,region\n007,0,3.5,north\n008,1,,south\n")

    write_default(tmp_path, "table")

    assert read_declaration(tmp_path) == Declaration(
        type="table",
        name=tmp_path.name,
        id="id",
        label="default",
        columns=(Column("age", "numeric"), Column("region", "categorical")),
        file="scores.csv",
    )


def test_the_schema_hash_follows_what_a_model_relies_on() -> None:
    declaration = Declaration(
        type="tax", name="tax", columns=(Column("a", "numeric"), Column("b", "numeric"))
    )
    reordered = replace(declaration, columns=declaration.columns[::-1])
    in_thousands = replace(
        declaration, columns=(Column("a", "numeric", unit="1000 CNY"), Column("b", "numeric"))
    )

    with_special = replace(
        declaration, columns=(Column("a", "numeric", special=(-999, 7)), Column("b", "numeric"))
    )

    labelled = replace(declaration, label="y")
    bad = [replace(labelled, bad=value) for value in ("Y", "N", 2)]

    declarations = (declaration, reordered, in_thousands, with_special, labelled, *bad)
    assert len({schema_hash(d) for d in declarations}) == 8
    assert len(bytes.fromhex(schema_hash(declaration))) == 32

    levels = [
        replace(declaration, columns=(Column("a", "categorical", levels=of_a),))
        for of_a in (("x",), ("y",), ())
    ]
    assert len({schema_hash(d) for d in levels}) == 3


def test_the_schema_hash_ignores_how_a_file_says_the_same() -> None:
    read = Declaration(
        type="table",
        name="x",
        label="y",
        bad=2,
        columns=(Column("a", "date", reference="2023-03"), Column("b", "numeric")),
    )
    other = replace(
        read,
        bad="2.0",
        columns=(
            Column("a", "date", reference="2024-01", day_first=True),
            Column("b", "numeric", stray="missing"),
        ),
    )

    assert schema_hash(read) == schema_hash(other)


def test_the_schema_hash_ignores_what_a_model_does_not_see() -> None:
    declaration = Declaration(type="tax", name="tax", columns=(Column("a", "numeric", special=(7, -999)),))
    described = Declaration(
        type="tax",
        name="bureau",
        columns=(Column("a", "numeric", description="An a.", grade=5, special=(-999.0, 7)),),
        partners={"bank": "key"},
    )

    assert schema_hash(described) == schema_hash(declaration)

"""How a CSV file is written is told from the file, and files of all these forms are read as the same table."""

from pathlib import Path

import numpy as np
import pytest

from clients.data.errors import DataError
from clients.data.files import detect, open_table
from clients.data.format import Format

PLAIN = "id,年龄,sum,rate\nB1,35,1234.5,0.125\nB2,,-12.25,0.03\nB3,41,7,1\n"
LATIN = "id;Straße;Betrag\n" + "".join(f"{k};Müllerstraße {k}, Köln;1.234,{k:02}\n" for k in range(40))
CYRILLIC = "id;город\n" + "".join(f"{k};Москва и область\n" for k in range(40))


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "x.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    ("text", "encoding", "expected"),
    [
        (PLAIN, "utf-8", Format()),
        (PLAIN, "utf-8-sig", Format()),
        (PLAIN, "gbk", Format("gb18030")),
        (PLAIN.replace("年龄", "企业法定代表人年龄𠀀"), "gb18030", Format("gb18030")),
        (PLAIN, "utf-16", Format("utf-16")),
        (PLAIN, "utf-16-le", Format("utf-16-le")),
        (PLAIN, "utf-16-be", Format("utf-16-be")),
        (PLAIN.replace(",", "\t").replace("\n", "\r\n"), "utf-16", Format("utf-16", "\t")),
        (LATIN, "cp1252", Format("cp1252", ";", ",")),
        (CYRILLIC, "cp1251", Format("cp1251", ";")),
        (PLAIN.replace(",", ";"), "utf-8", Format(separator=";")),
        (PLAIN.replace(",", "|"), "utf-8", Format(separator="|")),
        (PLAIN.replace(",", ";").replace(".", ","), "gbk", Format("gb18030", ";", ",")),
        ("sep=;\r\n" + PLAIN.replace(",", ";"), "utf-8", Format(separator=";")),
        ("id;a, b\n1;2\n", "utf-8", Format(separator=";")),
        ('id,a\n1,"x;y;z"\n2,"x;y"\n', "utf-8", Format()),
        ('id,a\n1,"3,5"\n2,"1.234,75"\n', "utf-8", Format(decimal=",")),
        ('id,a\n1,"1,234"\n2,"12,345,678"\n', "utf-8", Format()),
        ("id;a\n1;1.234\n2;0,5\n", "utf-8", Format(separator=";", decimal=",")),
        ("id\nB1\nB2\n", "utf-8", Format()),
        ("\n\nid,a\n\n1,2\n", "utf-8", Format()),
        ("id,a,b\n1,-,无\n2,3,4\n3,5,x\n4,6,y\n", "utf-8", Format(missing=("-",))),
        ("id,a\n1,N/A\n2,无\n3,4\n4,#DIV/0!\n", "utf-8", Format(missing=("#DIV/0!", "无"))),
        ("id,a\n1,none\n2,high\n", "utf-8", Format()),
    ],
)
def test_a_format_is_told_from_the_file(tmp_path: Path, text: str, encoding: str, expected: Format) -> None:
    assert detect(written(tmp_path, text, encoding)) == expected


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "gbk", "gb18030", "utf-16", "utf-16-le", "utf-32"]
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("decimal", [".", ","])
def test_a_file_of_any_format_is_read_as_the_same_table(
    tmp_path: Path, encoding: str, separator: str, newline: str, decimal: str
) -> None:
    cells = [
        ["id", " 年龄 ", "sum, in CNY", "remark"],
        ["B1", "35", "1234.5", "a; b | c"],
        [],
        ["B2", "-", "-12.25", 'two\nlines "quoted"'],
        ["B3", "", "7", "北京, 上海"],
    ]
    text = newline.join(
        separator.join(f'"{cell.replace(".", decimal).replace(chr(34), 2 * chr(34))}"' for cell in row)
        for row in cells
    )
    path = written(tmp_path, text, encoding)

    frame = open_table(path, detect(path)).read(
        {"id": "id", "年龄": "number", "sum, in CNY": "number", "remark": "text"}, unique_id=True
    )

    assert frame["id"].tolist() == ["B1", "B2", "B3"]
    np.testing.assert_array_equal(frame["年龄"], [35, np.nan, np.nan])
    np.testing.assert_array_equal(frame["sum, in CNY"], [1234.5, -12.25, 7])
    assert frame["remark"].tolist() == ["a; b | c", 'two\nlines "quoted"', "北京, 上海"]


def test_many_columns_are_read(tmp_path: Path) -> None:
    names = [f"c{k}" for k in range(600)]
    path = written(tmp_path, ";".join(names) + "\n" + ";".join("1,5" for _ in names) + "\n")

    assert open_table(path, detect(path)).read({"c599": "number"})["c599"].tolist() == [1.5]


def test_a_column_without_a_name_is_passed_over(tmp_path: Path) -> None:
    file = open_table(written(tmp_path, ",id,a,\n0,1,2,\n1,2,3,\n"))

    assert file.columns == ("id", "a")
    assert file.read({"a": "number"})["a"].tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("content", "format", "problem"),
    [
        (
            "id,b\n1,年\n".encode("gbk"),
            Format(),
            'x.csv, line 2: byte 7 (0xc4) is not valid UTF-8; it looks like GB18030; write encoding = "gb18030" in '
            "party.toml, or let siloscore init-party write it.",
        ),
        (
            "id,b\n1,年\n".encode("utf-16-le"),
            Format(),
            'x.csv is not in UTF-8; it looks like UTF-16-LE; write encoding = "utf-16-le" in party.toml',
        ),
        (
            "id,b\n1,年\n".encode(),
            Format("gb18030"),
            'x.csv, line 2: byte 9 (0xb4) is not valid GB18030; it looks like UTF-8; write encoding = "utf-8"',
        ),
        (
            b"id;b\n1;2\n",
            Format(),
            'x.csv seems to be separated by ";", not by ","; write separator = ";" in party.toml, or let siloscore '
            "init-party write it.",
        ),
        (
            b"id\tb\n1\t2\n",
            Format(separator=";"),
            'x.csv seems to be separated by "\\t", not by ";"; write separator',
        ),
        (
            "id,b\n1,年\n2,".encode() + b"\xff\n",
            Format(),
            "x.csv, line 3: byte 13 (0xff) is not valid UTF-8; save the file as UTF-8.",
        ),
    ],
)
def test_a_file_of_another_format_is_refused_with_the_key_that_reads_it(
    tmp_path: Path, content: bytes, format: Format, problem: str
) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)

    with pytest.raises(DataError) as caught:
        open_table(path, format).read({"id": "id", "b": "text"})

    assert str(caught.value).replace(f"{tmp_path}/", "").startswith(problem)


def test_a_file_in_no_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_bytes(b"id,a\n1,\x81\xff\x8d\x00\n\x00")

    with pytest.raises(
        DataError, match="is in an encoding that cannot be recognised; save the file as UTF-8"
    ):
        detect(tmp_path / "x.csv")


def test_the_files_of_a_folder_have_one_format_of_all_that_is_unusual(tmp_path: Path) -> None:
    ascii_only, chinese = tmp_path / "a.csv", tmp_path / "b.csv"
    ascii_only.write_text("id;a\n1;2,5\n")
    chinese.write_bytes("id;城市;b\n1;北京;-\n2;上海;3\n".encode("gbk"))

    assert detect(ascii_only, chinese) == Format("gb18030", ";", ",", ("-",))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"encoding": "utf8x"}, "encoding must be the name of an encoding"),
        ({"encoding": "hex"}, "encoding must be the name of an encoding"),
        ({"encoding": 8}, "encoding must be the name of an encoding"),
        ({"separator": ";;"}, 'separator must be one of ",", ";", "\\t" (a tab) and "|", not \';;\'.'),
        ({"separator": [","]}, "separator must be one of"),
        ({"decimal": ";"}, 'decimal must be "." or ",", not'),
        ({"missing": "NA"}, 'missing must be a list of texts, such as ["NA", "-"], not \'NA\'.'),
        ({"missing": (-1,)}, "missing must be a list of texts"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(values: dict, problem: str) -> None:
    with pytest.raises(DataError) as caught:
        Format(**values)

    assert str(caught.value).startswith(problem)


def test_a_format_is_said_in_words() -> None:
    assert str(Format()) == "UTF-8, separated by commas"
    assert str(Format("gb18030", ";", ",", ("-", "无"))) == (
        'GB18030, separated by semicolons, with decimal commas; "-" and "无" mean that there is no value'
    )

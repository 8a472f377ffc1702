"""Files as shops export them: each becomes as many records as it has products, each with its own words."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import pytest

from contract.errors import UserError
from spark_jobs.input.fields import FieldNames
from tests.spark_jobs.input.reading import NAMES, Texts, read_file

SKU = FieldNames("sku", "name", "text")
NAMED = FieldNames("id", "name", "description")
FEED = FieldNames("id", "title", "description")


class Case(NamedTuple):
    """A file, how it is named, and what its owner sees in it."""

    data: bytes | str
    kept: list[Texts]
    rejected: Mapping[str, int] = MappingProxyType({})
    notes: Mapping[str, int] = MappingProxyType({})
    names: FieldNames = NAMES
    options: Mapping[str, object] = MappingProxyType({})
    suffix: str = ".csv"


STOOLS: list[Texts] = [("1", "Oak Stool", "Solid oak."), ("2", "Pine Stool", "Painted pine.")]

QUOTES = {
    "a feed of merchants": Case(
        'id\ttitle\tdescription\n1\t10" Pan\tA pan, 10" wide.\n2\t"Best" Kettle\tBoils fast.\n'
        '3\tOak Stool\t"Solid" oak, three legs.\n4\t"Unclosed Kettle\tBoils slowly.\n5\tPine Stool\tPainted pine.\n'
        '6\tAsh Stool\tPlain ash.\n7\tElm Stool "XL"\tTurned elm.\n',
        [
            ("1", '10" Pan', 'A pan, 10" wide.'),
            ("2", '"Best" Kettle', "Boils fast."),
            ("3", "Oak Stool", '"Solid" oak, three legs.'),
            ("4", '"Unclosed Kettle', "Boils slowly."),
            ("5", "Pine Stool", "Painted pine."),
            ("6", "Ash Stool", "Plain ash."),
            ("7", 'Elm Stool "XL"', "Turned elm."),
        ],
        names=FEED,
        suffix=".tsv",
    ),
    "tabs in a file called csv": Case(
        'uid\ttitle\tcontent\n1\t"Oak Stool\tSolid oak.\n2\tPine Stool"\tPainted, pine.\n',
        [("1", '"Oak Stool', "Solid oak."), ("2", 'Pine Stool"', "Painted, pine.")],
    ),
    "a table of tabs with values of several lines, named": Case(
        'uid\ttitle\tcontent\n1\tOak Stool\t"Solid\noak."\n2\tPine Stool\t"12"" wide"\n',
        [("1", "Oak Stool", "Solid\noak."), ("2", "Pine Stool", '12" wide')],
        options={"quote": '"'},
        suffix=".tsv",
    ),
    "a table of tabs with values of several lines, not named": Case(
        'uid\ttitle\tcontent\n1\tOak Stool\tSolid oak.\n2\t"Pine\nStool"\tPainted pine.\n3\tAsh Stool\tPlain ash.\n',
        [STOOLS[0], ("3", "Ash Stool", "Plain ash.")],
        rejected={"not_a_record": 2},
        notes={"plain_quotes": 1},
        suffix=".tsv",
    ),
    "a value that is left open": Case(
        'uid,title,content\n1,Oak Stool,Solid oak.\n4,"Unclosed Kettle,Boils slowly.\n2,Pine Stool,Painted pine.\n',
        STOOLS,
        rejected={"not_a_record": 1},
        notes={"open_quote": 1},
    ),
    "a value left open that another mark closes by chance": Case(
        'uid,title,content\n1,Oak Stool,Solid oak.\n4,"Unclosed Kettle,Boils slowly.\n2,Pine Stool,Painted pine.\n'
        '5,Pan 10",Wide.\n6,Ash Stool,Plain ash.\n',
        [*STOOLS, ("5", 'Pan 10"', "Wide."), ("6", "Ash Stool", "Plain ash.")],
        rejected={"not_a_record": 1},
        notes={"open_quote": 1},
    ),
    "values left open in neighbours": Case(
        'uid,title,content\n1,Oak Stool,Solid oak.\n4,"Unclosed,Boils.\n5,"Unclosed too,Boils.\n'
        '6,Kettle,"Boils again.\n2,Pine Stool,Painted pine.\n',
        STOOLS,
        rejected={"not_a_record": 3},
        notes={"open_quote": 3},
    ),
    "a value left open in the last row": Case(
        'uid,title,content\n1,Oak Stool,Solid oak.\n2,Pine Stool,Painted pine.\n3,Ash Stool,"Plain ash.\n',
        STOOLS,
        rejected={"not_a_record": 1},
        notes={"open_quote": 1},
    ),
    "all values quoted, one left open": Case(
        '"uid","title","content"\n"1","Oak Stool","Solid oak."\n"4","Pan,"Wide."\n"2","Pine Stool","Painted pine."\n',
        STOOLS,
        rejected={"not_a_record": 1},
        notes={"open_quote": 1},
    ),
    "a broken value of several lines is one row": Case(
        'uid,title,content\n1,Oak Stool,Solid oak.\n3,Ash Stool,"He said "plain ash"\nand left, slowly,\nfor good."\n'
        "2,Pine Stool,Painted pine.\n",
        STOOLS,
        rejected={"not_a_record": 1},
        notes={"open_quote": 1},
    ),
    "marks within values that are not doubled": Case(
        'uid,title,content\n1,"Best" Stool,Solid oak.\n2,Pine Stool,"12" wide, "painted" pine"\n3,10" Pan,"Wide."\n',
        [
            ("1", '"Best" Stool', "Solid oak."),
            ("2", "Pine Stool", '12" wide, "painted" pine'),
            ("3", '10" Pan', "Wide."),
        ],
        notes={"stray_quotes": 2},
    ),
    "sound values of several lines that look like rows": Case(
        'uid,title,content\na-1,Oak Stool,"Legs, seat, back\nare oak, pine, ash"\na-2,Pine Stool,Painted pine.\n',
        [("a-1", "Oak Stool", "Legs, seat, back\nare oak, pine, ash"), ("a-2", "Pine Stool", "Painted pine.")],
    ),
    "marks are characters, named": Case(
        'uid,title,content\n1,"Oak Stool,Solid oak.\n2,Pine Stool","Painted pine.\n',
        [("1", '"Oak Stool', "Solid oak."), ("2", 'Pine Stool"', '"Painted pine.')],
        options={"quote": "none"},
    ),
    "another mark, named": Case(
        "uid,title,content\n1,'Oak Stool, the ''best''',Solid oak.\n2,Pine Stool,'Painted\npine.'\n",
        [("1", "Oak Stool, the 'best'", "Solid oak."), ("2", "Pine Stool", "Painted\npine.")],
        options={"quote": "'"},
    ),
}

SPARK = {
    "marks escaped by a backslash": Case(
        r"""id,name,description
1,Oak Stool,"<p class=\"lead\">Solid oak, three legs.</p>"
2,Pine Stool,"He said \"white\", and painted it."
3,Ash Stool,Plain ash.
4,Elm Stool,"12\" wide seat"
5,Fir Stool,Plain fir.
""",
        [
            ("1", "Oak Stool", '<p class="lead">Solid oak, three legs.</p>'),
            ("2", "Pine Stool", 'He said "white", and painted it.'),
            ("3", "Ash Stool", "Plain ash."),
            ("4", "Elm Stool", '12" wide seat'),
            ("5", "Fir Stool", "Plain fir."),
        ],
        names=NAMED,
    ),
    "all that Spark 4.3 escapes, and what it does not": Case(
        r"""uid,title,content
2,Pine,"He said \"white\"
and left"
3,Back\slash,C:\dir\
4,Both,"a\\\"b, c"
5,dbl \\ x,"\\\\server, \"x\""
6,"ends with slash, comma","x, y\\"
7,"\"Best\" Kettle",plain
10,n\n,"a\\nb \"q\""
11,t,"\""
15,slash quote end,"abc\\\""
16,only slash,\
""",
        [
            ("2", "Pine", 'He said "white"\nand left'),
            ("3", "Back\\slash", "C:\\dir\\"),
            ("4", "Both", 'a\\"b, c'),
            ("5", "dbl \\\\ x", '\\\\server, "x"'),
            ("6", "ends with slash, comma", "x, y\\"),
            ("7", '"Best" Kettle', "plain"),
            ("10", "n\\n", 'a\\nb "q"'),
            ("11", "t", '"'),
            ("15", "slash quote end", 'abc\\"'),
            ("16", "only slash", "\\"),
        ],
    ),
    "several lines and marks at both ends": Case(
        'uid,title,content\n1,"\\"Oak\\"","Solid\n\\"oak\\""\n2,Pine Stool,"\\"\n\\""\n',
        [("1", '"Oak"', 'Solid\n"oak"'), ("2", "Pine Stool", '"\n"')],
    ),
    "a backslash that is a character": Case(
        'uid,title,content\n1,Oak Stool,"C:\\dir\\"\n2,"Pine, Stool","D:\\x\\"\n3,Ash Stool,Plain ash.\n',
        [("1", "Oak Stool", "C:\\dir\\"), ("2", "Pine, Stool", "D:\\x\\"), ("3", "Ash Stool", "Plain ash.")],
    ),
    "named, where the start of the file does not show it": Case(
        'uid,title,content\n1,Oak Stool,"Solid \\""\n2,Pine Stool,"\\"Painted pine."\n',
        [("1", "Oak Stool", 'Solid "'), ("2", "Pine Stool", '"Painted pine.')],
        options={"escape": "\\"},
    ),
    "no names in the first row, but named": Case(
        'u0,Oak Stool,"Solid \\"oak\\"."\nu1,Pine Stool,Painted pine.\n',
        [("u0", "Oak Stool", 'Solid "oak".'), ("u1", "Pine Stool", "Painted pine.")],
        options={"columns": ("uid", "title", "content")},
    ),
}

ENCODINGS = {
    "a mark of UTF-8 before a quoted name": Case(
        b'\xef\xbb\xbf"uid","title","content"\r\n"1","Oak Stool","Solid oak.\r\nSecond line."\r\n',
        [("1", "Oak Stool", "Solid oak.\r\nSecond line.")],
    ),
    "a mark of UTF-8": Case(b"\xef\xbb\xbfuid,title,content\n1,Oak Stool,Solid oak.\n", STOOLS[:1]),
    "UTF-16 by its mark": Case(
        "id,title,content\n1,Café Press,Uma cafeteira.\n".encode("utf-16"),
        [("1", "Café Press", "Uma cafeteira.")],
        names=FieldNames("id", "title", "content"),
    ),
    "Latin-1 that nobody named": Case(
        "uid,title,content\n1,Café Press,Uma cafeteira para o café da manhã.\n2,Plain Mug,A plain mug.\n".encode(
            "cp1252"
        ),
        [("2", "Plain Mug", "A plain mug.")],
        rejected={"not_utf8": 1},
        notes={"cp1252": 1},
    ),
    "Latin-1, named": Case(
        "uid,title,content\n1,Café Press,Uma cafeteira para o café da manhã.\n2,Plain Mug,A plain mug.\n".encode(
            "cp1252"
        ),
        [("1", "Café Press", "Uma cafeteira para o café da manhã."), ("2", "Plain Mug", "A plain mug.")],
        options={"encoding": "cp1252"},
    ),
    "a sheet that Excel saved in Brazil": Case(
        'código;descrição;preço\r\n1;"Chá mate – 1 kg";"12,50"\r\n2;"Copo ""Açaí""";3\r\n'.encode("cp1252"),
        [("1", "Chá mate – 1 kg", "12,50"), ("2", 'Copo "Açaí"', "3")],
        names=FieldNames("código", "descrição", "preço"),
        options={"encoding": "cp1252"},
    ),
    "bytes of no encoding among UTF-8": Case(
        b"uid,title,content\n1,Caf\xc3\xa9,x\n2,a\xff\xfeb,x\n", [("1", "Café", "x")], rejected={"not_utf8": 1}
    ),
}

HEADERS = {
    "blanks behind commas": Case(
        'uid, title, content\n1, Oak Stool, "Solid oak, three legs."\n', [("1", "Oak Stool", "Solid oak, three legs.")]
    ),
    "blanks behind commas, marks of several lines": Case(
        'uid; "title"; "content"\n1; "Oak; Stool"; "Solid ""oak"".\nNice."\n2; Pine Stool; Painted pine.\n',
        [("1", "Oak; Stool", 'Solid "oak".\nNice.'), ("2", " Pine Stool".strip(), "Painted pine.")],
    ),
    "a comma in a name": Case('uid,"Price, EUR",title,content\n1,"12,50",Oak Stool,Solid oak.\n', STOOLS[:1]),
    "a comma in a name that is wanted": Case(
        'uid,title,"Description, long"\n1,Oak Stool,Solid oak.\n',
        STOOLS[:1],
        names=FieldNames("uid", "title", "Description, long"),
    ),
    "a line feed in a name": Case('uid,title,content,"Size\n(cm)"\n1,Oak Stool,Solid oak.,40\n', STOOLS[:1]),
    "a line feed in a name that is wanted": Case(
        'uid,title,"content\r\n(long)"\r\n1,Oak Stool,Solid oak.\r\n',
        STOOLS[:1],
        names=FieldNames("uid", "title", "content (long)"),
    ),
    "a column without a name": Case(
        "uid,title,content,\n1,Oak Stool,Solid oak.,\n2,Pine Stool,Painted pine.\n", STOOLS
    ),
    "rows with a comma too many": Case(
        "uid,title,content\n1,Oak Stool,Solid oak.,\n2,Pine Stool,Painted pine.,,\n", STOOLS
    ),
    "Excel's line about the separator": Case(
        'sep=;\r\nuid;title;content\r\n1;Oak Stool;"Solid; oak"\r\n', [("1", "Oak Stool", "Solid; oak")]
    ),
    "a separator that only that line names": Case("sep=^\nuid^title^content\n1^Oak Stool^Solid oak.\n", STOOLS[:1]),
    "lines that end by carriage returns": Case(
        'uid,title,content\r1,Oak Stool,Solid oak.\r2,Pine Stool,"Painted\npine."\r',
        [STOOLS[0], ("2", "Pine Stool", "Painted\npine.")],
    ),
    "the last line without an end": Case(
        "uid,title,content\r\n1,Oak Stool,Solid oak.\r\n2,Pine Stool,Painted pine.", STOOLS
    ),
    "a carriage return that ends no line": Case(
        "uid,title,content\n1,Oak\rStool,Solid oak.\n2,Pine Stool,Painted pine.\n", STOOLS
    ),
    "blank lines": Case(
        "\n\nuid,title,content\n\n1,Oak Stool,Solid oak.\n  \n\r\n2,Pine Stool,Painted pine.\n\n", STOOLS
    ),
    "rows that do not fit": Case(
        "uid,title,content\n1,Oak Stool,Solid oak, three legs\n2,Pine Stool,Painted pine.\n3,Ash\n\n\n"
        "4,Elm Stool,Turned elm\n",
        [STOOLS[1], ("4", "Elm Stool", "Turned elm")],
        rejected={"not_a_record": 2},
    ),
    "no ids": Case("title,content\nOak Stool,Solid oak.\n", [(None, "Oak Stool", "Solid oak.")]),
    "semicolons": Case(
        'uid;title;content\n1;Oak Stool;"Solid; oak"\n2;Pine Stool;Painted, pine\n',
        [("1", "Oak Stool", "Solid; oak"), ("2", "Pine Stool", "Painted, pine")],
    ),
    "a null byte": Case("uid,title,content\n1,Oak \0Stool,Solid oak.\n", [("1", "Oak \0Stool", "Solid oak.")]),
    "several columns for a description": Case(
        "uid,title,brand,text\n1,Oak Stool,Acme,Solid oak.\n2,Pine Stool,,Painted pine.\n",
        [("1", "Oak Stool", "Acme Solid oak."), STOOLS[1]],
        names=FieldNames("uid", "title", "brand,text"),
    ),
}

CASES = {
    f"{kind}: {name}": case
    for kind, cases in (("quotes", QUOTES), ("Spark", SPARK), ("encodings", ENCODINGS), ("headers", HEADERS))
    for name, case in cases.items()
}


def write(case: Case, folder: Path) -> Path:
    path = folder / f"a{case.suffix}"
    path.write_bytes(case.data if isinstance(case.data, bytes) else case.data.encode())
    return path


@pytest.mark.parametrize("parallelism", [1, 3])
@pytest.mark.parametrize("name", CASES)
def test_a_file_becomes_what_its_owner_sees(
    name: str, parallelism: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("spark_jobs.input.parts.BLOCK_ROWS", 1)
    case = CASES[name]
    reading = read_file(write(case, tmp_path), parallelism=parallelism, names=case.names, **case.options)

    assert (reading.kept, reading.rejected, reading.notes) == (case.kept, dict(case.rejected), dict(case.notes))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            "ID,Title,Content\n1,Oak Stool,Solid oak.\n",
            r"it has 'ID', 'Title', 'Content': try --title-field Title --content-field Content --id-field ID, or",
        ),
        (
            "code,product,about\n1,a,b\n",
            r"name the right ones by --title-field and --content-field, or leave this file out of --input$",
        ),
        (
            'u0,Oak Stool,"Solid oak, three legs.",Books\n',
            r"it has 'u0', 'Oak Stool', 'Solid oak, three legs.', 'Books': .*if its first row is a product already,"
            r" name the columns by --columns, as in --columns id,name,description$",
        ),
        (
            "uid,title,content,content\n1,Oak Stool,Solid oak.,other\n",
            r"a\.csv has several columns 'content', expected each name once: rename all but one$",
        ),
        (
            "código;título;content\n1;Chá;x\n".encode("cp1252"),
            r"a\.csv is not UTF-8: read as cp1252, it has the columns 'código', 'título', 'content'; if these are"
            r" right, add --encoding cp1252$",
        ),
    ],
)
def test_a_header_that_does_not_do_is_told_in_a_line(data: bytes | str, message: str, tmp_path: Path) -> None:
    path = write(Case(data, []), tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        read_file(path)
    assert "\n" not in str(caught.value)


def test_a_repeated_name_that_is_not_used_does_no_harm(tmp_path: Path) -> None:
    path = write(Case("uid,title,tag,tag,content\n1,Oak Stool,a,b,Solid oak.\n", []), tmp_path)
    assert read_file(path).kept == STOOLS[:1]


def test_a_rejected_row_has_its_place_and_its_start(tmp_path: Path) -> None:
    path = write(QUOTES["a value that is left open"], tmp_path)
    assert read_file(path).places == [(1, "not_a_record", b'4,"Unclosed Kettle,Boils slowly.')]


@pytest.mark.parametrize("tail", ["", '7,"Fir Stool, ""XL""",Plain fir.\n'])
def test_a_value_left_open_in_a_large_file_costs_its_row(tail: str, tmp_path: Path) -> None:
    """Farther than a row may be long, and over several chunks, no mark follows; Arrow ended the job there."""
    num_rows = 400_000
    rows = "".join(f"{number},Stool {number},Made of solid oak.\n" for number in range(num_rows))
    path = write(Case(f'uid,title,content\n0,"Open Stool,Boils.\n{rows}{tail}', []), tmp_path)
    for parallelism in (1, 3):
        reading = read_file(path, parallelism=parallelism)
        assert len(reading.kept) == num_rows + bool(tail)
        assert (reading.rejected, reading.notes) == ({"not_a_record": 1}, {"open_quote": 1})


def test_a_row_longer_than_allowed_costs_itself(tmp_path: Path) -> None:
    long = "x" * 900
    data = (
        f"uid,title,content\n1,Oak Stool,Solid oak.\n3,{long},a\n"
        f'4,b,"{long}\nand so on, and on,\nfor ever"\n2,Pine Stool,Painted pine.\n'
    )
    reading = read_file(write(Case(data, []), tmp_path), max_line_bytes=500)
    assert (reading.kept, reading.rejected) == (STOOLS, {"too_long": 2})


def test_a_rejected_row_is_shown_as_it_stands_in_the_file(tmp_path: Path) -> None:
    rows = [
        rb'1,"A \"b\"",c,d',  # escaped, and a value too many
        b'2,"Left open,x\nof two lines',
        b"3,Caf\xe9,x\xff",
        rb'4,"Oak \"XL\"",Solid.',
    ]
    path = tmp_path / "a.csv"
    path.write_bytes(b"id,name,text\n" + b"\n".join(rows) + b"\n")
    found = read_file(path, names=FieldNames("id", "name", "text"))
    assert found.kept == [("4", 'Oak "XL"', "Solid.")]
    assert [raw for *_, raw in found.places] == rows[:3]


SINGLE = "'id','name','text'\n'1','Oak, Stool','Solid oak.'\n'2','Pine Stool','Painted pine.'\n"


@pytest.mark.parametrize("data", [SINGLE, SINGLE.replace("'id','name','text'", "id,name,text")])
def test_single_quotation_marks_around_values_are_told_and_read(data: str, tmp_path: Path) -> None:
    names, path = FieldNames("id", "name", "text"), tmp_path / "a.csv"
    path.write_text(data.replace("Oak, Stool", "Oak Stool"))
    with pytest.raises(UserError, match=r'single quotation marks.*--quote "\'" reads what is between'):
        read_file(path, names=names)
    path.write_text(data)
    found = read_file(path, names=names, quote="'")
    assert found.kept == [("1", "Oak, Stool", "Solid oak."), ("2", "Pine Stool", "Painted pine.")]


def test_single_quotation_marks_are_a_doubt_where_some_rows_do_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,name,text\n1,Mug,'tis blue.\n2,'Oak, Stool','Solid, oak.'\n")
    found = read_file(path, names=FieldNames("id", "name", "text"))
    assert (found.rejected, found.notes) == ({"not_a_record": 1}, {"single_quotes": 1})
    assert found.kept == [("1", "Mug", "'tis blue.")]

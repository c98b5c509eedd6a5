"""What `storymesh new` takes a raw file for, and what it writes of a file that nobody has to touch."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from storymesh.cli.commands import watch as watch_command
from storymesh.engine.open import open_engine
from storymesh.errors import WrongUsage
from storymesh.mesh.mesh import load_mesh
from storymesh.outage import ResourceUnavailable
from storymesh.product.sources.options import SourceOptions
from storymesh.scaffold.add_product import ProductRequest, add_product, read_options
from storymesh.scaffold.source_guess import guess_source
from tests.scaffold.test_new_product import quarantined

Command = Callable[..., Any]

GUESSED: dict[str, tuple[str, bytes, dict[str, Any]]] = {
    "nothing to say": ("x.csv", b"id,at,n\n1,2024-03-01,1.5\n2,2024-03-02,2\n", {}),
    "a czech export": (
        "x.csv",
        "číslo;město;datum;částka\n1;Plzeň;31.12.2024;1 234,50\n2;Příbram;1.2.2024;-\n3;Žďár;2.2.2024;5,00\n".encode(
            "cp1250"
        ),
        {"encoding": "cp1250", "decimal": ",", "thousands": " ", "nulls": ("-",), "dates": ("%d.%m.%Y",)},
    ),
    "utf-16": ("x.csv", "a,b\nx,y\n".encode("utf-16"), {"encoding": "utf-16"}),
    "no names": ("x.tsv", b"7\t2024-01-01\tA\n8\t2024-01-02\tB\n", {"header": False}),
    "years as names": ("x.csv", b"place,2019,2020\nA,1,2\nB,3,4\n", {}),
    "american": (
        "x.csv",
        b'id,at,n\n1,12/31/2024 4:05 PM,"1,234.5"\n2,01/02/2024 5:05 AM,7\n',
        {"dates": ("%m/%d/%Y %I:%M %p",), "thousands": ","},
    ),
    "numbers of two countries": (
        "x.csv",
        b'id;fee;paid\n1;1.50;"1.234,5"\n2;2.25;7,25\n',
        {"columns": {"paid": {"decimal": ",", "thousands": "."}}},
    ),
    "days of two countries": (
        "x.csv",
        b"id,ours,theirs\n1,31/12/2024,12/31/2024\n2,01/02/2024,02/01/2024\n",
        {"columns": {"ours": {"dates": ("%d/%m/%Y",)}, "theirs": {"dates": ("%m/%d/%Y",)}}},
    ),
    "days that cannot be mixed up": (
        "x.csv",
        b"id,ours,theirs\n1,31.12.2024,12/31/2024\n2,01.02.2024,02/01/2024\n",
        {"dates": ("%d.%m.%Y", "%m/%d/%Y")},
    ),
    "a table with a row of two fields": (
        "x.csv",
        b'"Orders, by week",,\nmade,2024-01-31,\n\nid,at,n\n1,2024-01-01,2\n2,2024-01-02,3\n3,2024-01-03,4\n',
        {},
    ),
    "a title": ("x.csv", b"Orders of the week\n\nid;at\n1;2024-01-01\n2;2024-01-02\n", {"skipRows": 2}),
    "a column without a name": ("x.csv", b",id,at\n0,a,2024-01-01\n1,b,2024-01-02\n", {}),
    "one column": ("x.csv", b"name\nA\nB\n", {}),
    "spaces alone": ("x.csv", b"id,code\n1,A\n2,  \n", {"nulls": ("",)}),
    "dots between digits of a version": ("x.csv", b"id,v\n1,1.2.3\n2,10.0.1\n", {}),
    "small numbers": ("x.csv", b"id,n\n1,10\n2,1050\n", {}),
    "json lines": (
        "x.jsonl",
        b'{"id": 1, "at": "31.12.2024"}\n{"id": 2, "at": "1.1.2025"}\n',
        {"dates": ("%d.%m.%Y",)},
    ),
}


@pytest.mark.parametrize("name", GUESSED)
def test_a_file_is_taken_for_what_it_is(name: str, tmp_path: Path) -> None:
    file, content, expected = GUESSED[name]
    (tmp_path / file).write_bytes(content)
    with open_engine() as engine:
        guess = guess_source(tmp_path / file, SourceOptions(file=file), engine)
    assert guess.options.given == expected, guess


def test_words_among_numbers_are_for_a_person_to_decide(tmp_path: Path) -> None:
    rows = [f"{n},{'not weighed' if n % 4 else n / 2},{'AB'[n % 2]}{n}" for n in range(1, 60)]
    (tmp_path / "x.csv").write_text("\n".join(["id,kg,mark", *rows, "60,1.5,none"]), encoding="utf-8")
    with open_engine() as engine:
        guess = guess_source(tmp_path / "x.csv", SourceOptions(file="x.csv"), engine)
    assert guess.options.given == {}
    (note,) = guess.notes
    assert note.startswith("kg has numbers or days but for 'not weighed'")


def test_a_day_that_could_be_a_month_is_said_to_be_so(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,at\n1,01/02/2024\n2,03/04/2024\n")
    with open_engine() as engine:
        guess = guess_source(tmp_path / "x.csv", SourceOptions(file="x.csv"), engine)
    assert guess.options.dates == ("%d/%m/%Y",)
    assert guess.notes == (
        "at could be %d/%m/%Y or %m/%d/%Y, and is taken for %d/%m/%Y: --with columns.at.dates=FORMAT",
    )


def test_files_are_read_as_they_are(storymesh: Command, tmp_path: Path) -> None:
    """Months of an export with a report's head, in the encoding and the clock of a place, become a product."""
    raw = tmp_path / "raw"
    raw.mkdir()
    for month in (1, 2):
        rows = "".join(f"{month}{day};Plzeň {day};{day}.{month}.2024 08:30;1.000,{day}\n" for day in range(10, 28))
        text = f"Výpis\n\nčíslo;místo;čas;částka\n{rows}"
        (raw / f"bookings-{month}.txt").write_bytes(text.encode("cp1250"))
    assert storymesh(tmp_path, "new", "mesh", "m", "--domain", "desk", "--empty").code == 0
    words = [
        "--with",
        "format=csv",
        "--with",
        "zone=Europe/Prague",
        "--with",
        "encoding=cp1250",
    ]
    done = storymesh(tmp_path / "m", "new", "product", "--from", "../raw/bookings-*.txt", *words)
    assert done.code == 0, done.err
    assert "days are written %d.%m.%Y %H:%M" in done.out
    assert "2 lines above the one that names the columns" in done.out
    product = load_mesh(tmp_path / "m").product("desk.bookings")
    assert product.source == "sources/bookings/bookings-*.txt"
    assert product.layout.given == {
        "format": "csv", "zone": "Europe/Prague", "encoding": "cp1250", "skipRows": 2, "decimal": ",", "thousands": ".",
        "dates": ("%d.%m.%Y %H:%M",),
    }  # fmt: skip
    assert storymesh(tmp_path / "m", "check").code == 0
    assert quarantined(tmp_path / "m", "desk.bookings") == 0


def test_columns_are_written_each_in_its_own_way(storymesh: Command, tmp_path: Path) -> None:
    """A workbook with a head, columns of two countries, and what a person says of one of them."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    rows = [("Fees", None), (), ("id", "day", "sent", "fee", "paid")]
    rows += [(f"F{n}", f"{n + 12}/01/2024", f"01/{n + 12}/2024", f"{n}.50", f"{n},25") for n in range(1, 9)]
    for row in rows:
        sheet.append(row)
    book.save(tmp_path / "fees.xlsx")
    assert storymesh(tmp_path, "new", "mesh", "m", "--domain", "desk", "--empty").code == 0
    words = ["--from", "../fees.xlsx", "--with", "columns.fee.nulls=5.50", "--with", "columns.fee.nulls=none"]
    done = storymesh(tmp_path / "m", "new", "product", *words)
    assert done.code == 0, done.err
    assert "those of day %d/%m/%Y; those of sent %m/%d/%Y" in done.out
    product = load_mesh(tmp_path / "m").product("desk.fees")
    assert product.layout.skip_rows == 2
    assert set(product.layout.columns) == {"day", "sent", "fee", "paid"}
    file = tmp_path / "m/domains/desk/products/fees.odps.yaml"
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace("paid:", "payed:", 1), encoding="utf-8")
    done = storymesh(tmp_path / "m", "check")
    assert "error[unknown-name]: columns names 'payed', and no property" in done.out
    assert "did you mean 'paid'?" in done.out
    file.write_text(text, encoding="utf-8")
    assert quarantined(tmp_path / "m", "desk.fees") == 0


def test_what_a_terminal_says_is_taken(storymesh: Command, tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("1,2024-01-01T10:00\n2,2024-01-02T10:00\n")
    storymesh(tmp_path, "new", "mesh", "m", "--domain", "desk", "--empty")
    answers = {"The clock": "Asia/Tokyo", "The names": "id, at"}

    def ask(question: str, guess: str) -> str:
        return next((answer for words, answer in answers.items() if question.startswith(words)), guess)

    add_product(tmp_path / "m", ProductRequest(str(tmp_path / "x.csv")), ask)
    layout = load_mesh(tmp_path / "m").product("desk.x").layout
    assert (layout.zone, layout.names, layout.header) == ("Asia/Tokyo", ("id", "at"), False)
    answers["The clock"] = "Tokio"
    with pytest.raises(WrongUsage, match="'Tokio' is no time zone"):
        add_product(tmp_path / "m", ProductRequest(str(tmp_path / "x.csv"), name="y"), ask)


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("delimeter=x", "--with delimeter=x: no option of a source .did you mean 'delimiter'"),
        ("delimiter", "--with delimiter: NAME=VALUE is wanted"),
        ("skipRows=two", "'skipRows' is 'two'"),
        ("dates=%d", "'%d' lacks %Y, %m"),
    ],
)
def test_a_wrong_option_is_said_in_words(word: str, words: str) -> None:
    with pytest.raises(WrongUsage, match=words):
        read_options([word], "x.csv")


def test_an_example_is_a_mesh_that_check_passes(storymesh: Command, tmp_path: Path) -> None:
    made = storymesh(tmp_path, "new", "mesh", "workshop")
    assert made.code == 0, made.err
    done = storymesh(tmp_path / "workshop", "check")
    assert (done.code, done.out, done.err) == (0, "", "1 domain, 1 product, 1 narrative: no findings\n")
    assert quarantined(tmp_path / "workshop", "workshop.repairs") == 0


def test_a_server_that_is_not_there_is_said_without_its_password(tmp_path: Path, storymesh: Command) -> None:
    storymesh(tmp_path, "new", "mesh", "m", "--domain", "desk", "--empty")
    request = ProductRequest("postgresql://clerk:geheim@127.0.0.1:9/claims", table="claims")
    with pytest.raises(ResourceUnavailable, match=r"^the server 'claims' .postgresql at 127\.0\.0\.1:9") as raised:
        add_product(tmp_path / "m", request, lambda _, guess: guess)
    assert "geheim" not in str(raised.value)


def test_a_case_is_told_anew_when_its_template_is_saved(
    released_harbour: Path, storymesh: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    [template] = sorted(released_harbour.glob("narratives/*/*.jinja"))[:1]
    text = template.read_text(encoding="utf-8")

    def saved(*_: Any) -> Any:
        yield []
        template.write_text("A line above\n" + text, encoding="utf-8")
        yield ["a.jinja"]
        template.write_text("{{ nope }}\n" + text, encoding="utf-8")
        yield ["a.jinja"]
        yield ["a.jinja"]
        template.write_text("A line above\n" + text, encoding="utf-8")
        yield ["a.jinja"]

    monkeypatch.setattr(watch_command, "_saved", saved)
    done = storymesh(released_harbour, "watch", "late-repairs")
    assert done.code == 0, done.err
    first, added, wrong, again, same = done.out.split("saved: a.jinja\n") if "saved" in done.out else [done.out] * 5
    assert "A line above" not in first
    assert "\n+A line above\n" in added
    assert "error[unknown-name]: unknown name 'nope'" in wrong
    assert wrong == again
    assert same == "every text is as it was\n"


def test_what_is_saved_in_a_folder_is_seen(tmp_path: Path) -> None:
    (tmp_path / "narratives").mkdir()
    changes = watch_command._saved(tmp_path, [tmp_path / "narratives", tmp_path / "contracts"])
    assert next(changes) == []
    (tmp_path / "narratives/notes.txt").write_text("x")
    (tmp_path / "narratives/a.md.jinja").write_text("x")
    assert next(changes) == ["narratives/a.md.jinja"]
    changes.close()

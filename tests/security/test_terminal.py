"""Terminals and logs: no text of data, names or messages acts on a terminal, hides in it, or is taken for markup."""

import io
import json
import logging
import os
import re
import shutil
import sys
import threading
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from storymesh.cli.output.console import console_on
from storymesh.cli.output.run import RunDisplay
from storymesh.orchestration.run.events import RunPreparation, StepStart
from storymesh.printable import printable, printable_json, printable_line, printable_with_colours
from storymesh.redaction import redact
from tests.support.built_once import built_once
from tests.support.harbour import make_harbour, write_boats
from tests.support.paths import ROOT

# name -> what is written, and how a terminal has to show it
ATTACKS = {
    "clears the screen": ("\x1b[2J", r"\x1b[2J"),
    "moves the cursor up": ("\x1b[1A", r"\x1b[1A"),
    "writes to the clipboard": ("\x1b]52;c;cm0gLXJm\x07", r"\x1b]52;c;cm0gLXJm\x07"),
    "sets the title": ("\x1b]0;owned\x1b\\", r"\x1b]0;owned\x1b\ "[:-1]),
    "makes a link": ("\x1b]8;;http://evil.example\x07bank\x1b]8;;\x07", r"\x1b]8;;http://evil.example\x07bank"),
    "colours what follows": ("\x1b[31m", r"\x1b[31m"),
    "is a control sequence of one character": ("\x9b2J", r"\x9b2J"),
    "is a command of one character": ("\x9d0;owned\x9c", r"\x9d0;owned\x9c"),
    "is a device control string": ("\x1bP+q544e\x1b\\", r"\x1bP+q544e\x1b"),
    "asks the terminal for an answer": ("\x1b[6n\x05", r"\x1b[6n\x05"),
    "overwrites its line": ("real\rfake", r"real\rfake"),
    "goes back over what was printed": ("real\b\b\b\bfake", r"real\x08\x08\x08\x08fake"),
    "rings": ("\x07", r"\x07"),
    "deletes": ("\x7f", r"\x7f"),
    "changes the characters": ("\x0e\x0f", r"\x0e\x0f"),
    "runs backwards": ("\u202egpj.exe", r"\u202egpj.exe"),
    "isolates a direction": ("\u2066\u2069", r"\u2066\u2069"),
    "marks a direction": ("\u200f\u061c", r"\u200f\u061c"),
    "has no width": ("\u200b\u200d\ufeff\u2060", r"\u200b\u200d\ufeff\u2060"),
    "hides a text in tags": ("\U000e0069\U000e0067", r"\U000e0069\U000e0067"),
    "hides a text in variations": ("\U000e0100\U000e01ef", r"\U000e0100\U000e01ef"),
    "separates lines": ("\u2028\u2029\x85\x0b\x0c", r"\u2028\u2029\x85\x0b\x0c"),
    "is blank": ("\u3164\u115f\u2800", r"\u3164\u115f\u2800"),
    "is a soft hyphen": ("\xad", r"\xad"),
    "is markup": ("[red]x[/red]", "[red]x[/red]"),
    "is markup that links": ("[link=http://evil.example]x[/link]", "[link=http://evil.example]x[/link]"),
    "closes markup": ("[/]", "[/]"),
    "is the name of a picture": (":skull:", ":skull:"),
}
RICH = re.compile(
    r"\x1b\[[0-9;]*m|\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r(?=\n|\x1b)"
)  # what Rich itself has the terminal do
attacks = pytest.mark.parametrize("attack", ATTACKS)


def unsafe(text: str) -> list[str]:
    """The characters of a text, without what Rich writes, that act on a terminal or are not seen."""
    return [
        hex(ord(item))
        for item in RICH.sub("", text)
        if (unicodedata.category(item) in ("Cc", "Cf", "Cs", "Zl", "Zp") and item not in "\n\t")
        or item in "\u3164\u115f\u2800"
        or 0xE0100 <= ord(item) < 0xE01F0
    ]


@attacks
def test_the_attack_is_written_out(attack: str) -> None:
    text, shown = ATTACKS[attack]
    assert printable(text).startswith(shown)
    assert not unsafe(printable(text))
    assert not unsafe(printable_with_colours(text))


@attacks
def test_json_is_printed_without_it_and_says_the_same(attack: str) -> None:
    text, _ = ATTACKS[attack]
    document = printable_json(json.dumps({text: [text]}, ensure_ascii=False))
    assert not unsafe(document)
    assert json.loads(document) == {text: [text]}


@pytest.mark.parametrize("number", [*range(0x20), *range(0x7F, 0xA0), 0xD800, 0xDFFF])
def test_control_characters_and_surrogates_are_written_out(number: int) -> None:
    text = f"a{chr(number)}b"
    assert not unsafe(printable(text))
    printable(text).encode()
    if chr(number) in "\n\t":
        assert printable(text) == text
    else:
        assert text != printable(text)


def test_ordinary_text_of_any_script_stays_as_it_is() -> None:
    text = "Zürich, Ελλάδα, العربية, עברית, 日本語, हिन्दी, 👍🏽 ❤️ – „“ … ✓\n\ttabs and lines"
    assert printable(text) == text
    assert printable_line("a\nb") == "a\\nb"


def test_colours_of_a_program_stay_and_nothing_else_of_it() -> None:
    assert printable_with_colours("\x1b[1;31mred\x1b[0m\x1b]0;title\x07") == "\x1b[1;31mred\x1b[0m\\x1b]0;title\\x07"


class Terminal(io.StringIO):
    """A terminal in memory."""

    def isatty(self) -> bool:
        return True


@attacks
def test_everything_that_rich_draws_is_safe(attack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    text, shown = ATTACKS[attack]
    table = Table(text, title=Text(text))
    table.add_row(text)
    tree = Tree(text)
    tree.add(text)
    for drawn in (text, Text(text), table, tree, Panel(Text(text), title=Text(text)), Panel(text)):
        out = Terminal()
        console = console_on(out)
        console.width = 200
        console.print(drawn)
        assert not unsafe(out.getvalue()), drawn
        if drawn in (text, tree):
            assert shown in RICH.sub("", out.getvalue())


def test_a_link_that_a_program_prints_is_none() -> None:
    out = Terminal()
    console_on(out).print(Text.from_ansi("\x1b]8;;https://evil.example\x1b\\here\x1b]8;;\x1b\\ \x1b[31mred"))
    assert "here" in out.getvalue() and "evil" not in out.getvalue() and not unsafe(out.getvalue())


def test_what_a_model_prints_does_not_come_onto_the_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    out = Terminal()
    display = RunDisplay(console_on(out))
    display.show(RunPreparation("reading"))
    print("said by a model\x1b]0;title\x07")
    display.show(StepStart("boats"))
    display.stop()
    assert "said by a model" not in out.getvalue() and "boats" in out.getvalue()
    assert "said by a model" in capsys.readouterr().out


@dataclass
class Shown:
    code: int
    out: str


def on_terminal(folder: Path, *arguments: str, typed: bool = True) -> Shown:
    """What a command writes to a terminal (not `typed`: to a pipe), and its exit code."""
    from storymesh.cli import main

    read, write = os.openpty() if typed else os.pipe()
    parts: list[bytes] = []

    def listen() -> None:
        try:
            while part := os.read(read, 65536):
                parts.append(part)
        except OSError:  # the other end is closed
            pass

    listener = threading.Thread(target=listen)
    listener.start()
    saved = os.dup(1), os.dup(2), sys.stdout, sys.stderr, sys.argv, Path.cwd(), os.environ.copy()
    os.dup2(write, 1)
    os.dup2(write, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", encoding="utf-8", closefd=False) for number in (1, 2))
    sys.argv = ["storymesh", *arguments]
    os.environ.pop("CI", None)
    os.environ |= {"TERM": "xterm-256color", "COLUMNS": "400", "LINES": "50"}
    os.chdir(folder)
    try:
        main()
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        sys.stdout, sys.stderr, sys.argv = saved[2:5]
        os.chdir(saved[5])
        os.environ.clear()
        os.environ |= saved[6]
        for descriptor in (write, *saved[:2]):
            os.close(descriptor)
        listener.join()
        os.close(read)
    # A terminal ends lines with a carriage return too.
    return Shown(code, b"".join(parts).decode("utf-8").replace("\r\n", "\n"))


NAMES = list(ATTACKS)


def boat(number: int) -> str:
    return f"boat-{number}-{ATTACKS[NAMES[number]][0]}-end"


def build_hostile_harbour(root: Path) -> None:
    """A harbour whose boats have hostile names, with two releases."""
    import pyarrow.parquet as pq

    from storymesh.mesh.mesh import load_mesh
    from storymesh.orchestration.run.execute import execute_run

    make_harbour(root, boats=len(NAMES), repairs=3 * len(NAMES))
    lines = [f'"{boat(n)}",{"tug" if n % 2 else "ferry"},{10 + n},Skipper {n}' for n in range(len(NAMES))]
    write_boats(root, lines)
    source = root / "domains/yard/sources/repairs.parquet"
    table = pq.read_table(source)
    names = [boat(n % len(NAMES)) for n in range(len(table))]
    pq.write_table(table.set_column(1, "boat", [names]), source)
    for length in ("metres", "m"):
        template = root / "narratives/late_repairs/report.md.jinja"
        template.write_text(template.read_text(encoding="utf-8").replace("metres", length), encoding="utf-8")
        outcome = execute_run(load_mesh(root), [], lambda event: None, root / "run.log")
        assert outcome.success, outcome.failures


@pytest.fixture(scope="module")
def hostile_harbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    finished = built_once(tmp_path_factory, "hostile-harbour", build_hostile_harbour)
    return Path(shutil.copytree(finished, tmp_path_factory.mktemp("terminal") / "harbour"))


def appears(attack: str, text: str) -> bool:
    """Whether the attack is shown, written out."""
    return ATTACKS[attack][1].replace(" ", "") in text.replace(" ", "")


COMMANDS: dict[str, tuple[str, ...]] = {
    "preview": ("preview", "late-repairs", "report", "--sample", str(3 * len(NAMES))),
    "diff": ("diff", "late-repairs@1.0.0-r1", "--limit", str(3 * len(NAMES)), "--config", "report"),
    "show": ("show", "fleet.boats", "--rows", "9"),
    "releases": ("releases",),
    "verify": ("releases", "--verify"),
    "expire": ("expire",),
    "explain": ("explain", "late-repairs"),
    "drops": ("explain", "late-repairs", "--drops"),
    "sql": ("explain", "late-repairs", "--sql"),
    "run": ("run",),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_writes_nothing_to_a_terminal_that_acts_on_it(command: str, hostile_harbour: Path) -> None:
    shown = on_terminal(hostile_harbour, *COMMANDS[command])
    assert shown.code == 0, shown.out
    assert shown.out.strip()
    assert not unsafe(shown.out)
    if command in ("preview", "diff"):
        assert [name for name in NAMES if not appears(name, shown.out)] == []


@pytest.mark.parametrize("attack", NAMES[::4])  # each takes a second; the commands above have shown all of them
def test_a_trace_and_a_case_show_the_attack_written_out(attack: str, hostile_harbour: Path) -> None:
    number = NAMES.index(attack)
    for command in (("trace", f"report/R{number:03}"), ("explain", "late-repairs", "--case", f"R{number:03}")):
        shown = on_terminal(hostile_harbour, *command)
        assert shown.code == 0, shown.out
        assert not unsafe(shown.out)
        assert appears(attack, shown.out), shown.out


@pytest.mark.parametrize("attack", NAMES[1::6])
def test_a_row_to_forget_is_shown_with_its_key_written_out(attack: str, hostile_harbour: Path) -> None:
    shown = on_terminal(hostile_harbour, "forget", "--product", "fleet.boats", "--key", boat(NAMES.index(attack)))
    assert shown.code == 0, shown.out
    assert not unsafe(shown.out)
    assert appears(attack, shown.out)


def test_records_in_a_pipe_are_as_they_are_and_json_means_the_same_everywhere(hostile_harbour: Path) -> None:
    piped = on_terminal(hostile_harbour, *COMMANDS["preview"], typed=False)
    assert all(boat(number) in piped.out for number in range(len(NAMES)) if "\r" not in boat(number))
    for typed in (True, False):
        shown = on_terminal(hostile_harbour, "trace", "report/R000", "--format", "json", typed=typed)
        assert not unsafe(shown.out)
        assert boat(0) in json.loads(shown.out)["columns"][0]["text"]


@attacks
def test_an_error_and_a_finding_show_the_attack_written_out(attack: str, harbour: Path) -> None:
    text, _ = ATTACKS[attack]
    for channel in (True, False):
        shown = on_terminal(harbour, "preview", f"late{text}\nstorymesh: all is well", typed=channel)
        assert shown.code == 2, shown.out
        assert not unsafe(shown.out)
        assert appears(attack, shown.out)
        assert not re.search("^storymesh: all is well", shown.out, re.MULTILINE)
    narrative = harbour / "narratives/late_repairs/narrative.yaml"
    hostile = "".join(f"\\U{ord(item):08X}" for item in f"x{text}\nnarrative.yaml:1:1: error[ok]: nothing")
    narrative.write_text(f'"{hostile}": 1\n{narrative.read_text(encoding="utf-8")}', encoding="utf-8")
    for command in ("check", "run") if attack == NAMES[0] else ("check",):
        shown = on_terminal(harbour, command, typed=command == "check")
        assert shown.code == 1, shown.out
        assert not unsafe(shown.out)
        assert appears(attack, shown.out)
        assert not re.search("^narrative.yaml:1:1", shown.out, re.MULTILINE)


@attacks
def test_a_log_line_and_an_alert_have_the_attack_written_out(
    attack: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from storymesh.orchestration.alerts import Alert, AlertItem, send_to_log
    from storymesh.orchestration.run.execute import SafeFormatter

    text, _ = ATTACKS[attack]
    record = logging.LogRecord("x", logging.INFO, "x", 1, "%s", (text,), None)
    assert not unsafe(SafeFormatter("%(message)s").format(record))
    send_to_log(Alert("failed", text, "run", (AlertItem(text, text),)))
    assert not unsafe(caplog.records[-1].getMessage())


@attacks
def test_the_traceback_of_a_defect_has_the_attack_written_out(
    attack: str, harbour: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import storymesh.mesh.check

    def fail(root: Path) -> None:
        raise RuntimeError(ATTACKS[attack][0])

    monkeypatch.setattr(storymesh.mesh.check, "check_files", fail)
    shown = on_terminal(harbour, "check")
    assert shown.code == 3
    assert not unsafe(shown.out)
    (log,) = (harbour / ".storymesh/logs").glob("error-*.log")
    assert not unsafe(log.read_text(encoding="utf-8"))
    monkeypatch.setenv("STORYMESH_DEBUG", "1")
    shown = on_terminal(harbour, "check")
    assert shown.code == 3
    assert "Traceback" in shown.out
    assert not unsafe(shown.out)


SECRETS = {
    "PGPASSWORD": "pg-secret-1",
    "HF_TOKEN": "hf_secret_2",
    "OPENAI_API_KEY": "sk-secret-3",
    "AWS_SECRET_ACCESS_KEY": "aws/secret+4",
    "STORYMESH_ALERT_WEBHOOK": "https://hooks.example/secret5",
    "STORYMESH_PSEUDONYM_KEY": "pseudonym-secret-6",
    "OPENLINEAGE_API_KEY": "lineage-secret-7",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_of_the_environment_is_in_no_traceback_log_or_alert(
    name: str, harbour: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import storymesh.mesh.check
    from storymesh.errors import StorymeshError
    from storymesh.orchestration.alerts import Alert, AlertItem, send_to_log
    from storymesh.orchestration.failures import as_dagster_failure
    from storymesh.orchestration.run.execute import SafeFormatter

    secret = SECRETS[name]
    monkeypatch.setenv(name, secret)
    words = f"cannot log in with {secret}"

    def fail(root: Path, **_: object) -> None:
        raise RuntimeError(words)

    monkeypatch.setattr(storymesh.mesh.check, "check_files", fail)
    outputs = [on_terminal(harbour, "check").out]
    (log,) = (harbour / ".storymesh/logs").glob("error-*.log")
    outputs.append(log.read_text(encoding="utf-8"))
    monkeypatch.setenv("STORYMESH_DEBUG", "1")
    outputs.append(on_terminal(harbour, "check").out)
    outputs.append(SafeFormatter("%(message)s").format(logging.LogRecord("x", 20, "x", 1, words, (), None)))
    with caplog.at_level(logging.ERROR):
        send_to_log(Alert("failed", "job", "run", (AlertItem("step", words),)))
    outputs.append(caplog.records[-1].getMessage())
    outputs.append(str(as_dagster_failure(StorymeshError(words, words)).description))
    for output in outputs:
        assert "cannot log in with" in output
        assert secret not in output


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://mesh:s3cret!@db.example/x", "https://user:s3cret!@host/path", "s3://key:s3cret!@bucket/x",
        "redis://:s3cret!@host", "https://ghp_s3cret0123456789@github.com/x",
        "postgresql://host/x?user=u&password=s3cret", "https://host/x?api_key=s3cret&y=1", "sc://host:15002/;token=s3cret",
        "https://blob/x?sv=1&sig=s3cret%2F", "https://host/x?X-Amz-Signature=s3cret", "https://host?access_token=s3cret",
    ],
)  # fmt: skip
def test_a_password_in_an_address_is_hidden(address: str) -> None:
    shown = redact(f"cannot reach {address} now")
    assert "s3cret" not in shown
    assert shown.endswith(" now")


def test_the_key_of_a_row_to_forget_is_in_no_log_of_a_defect(harbour: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import storymesh.mesh.mesh

    monkeypatch.setattr(storymesh.mesh.mesh.Mesh, "product", lambda self, name: 1 / 0)
    for given in (("--key", "Jane Doe"), ("--key=Jane Doe",)):
        assert on_terminal(harbour, "forget", "--product", "fleet.boats", *given).code == 3
    for log in (harbour / ".storymesh/logs").glob("error-*.log"):
        assert "ZeroDivisionError" in log.read_text(encoding="utf-8")
        assert "Jane" not in log.read_text(encoding="utf-8")


PRINTING: tuple[tuple[str, Callable[[Path], bool]], ...] = (
    (r"typer\.echo\(|click\.echo\(", lambda path: path.name in ("console.py", "app.py")),
    (r"(?<![\w.])print\(", lambda path: path.name in ("mermaid.py", "pseudonym_key.py")),
    (r"(?<!\w)Console\(", lambda path: path.name == "console.py"),
    (r"from rich\.markup|markup=True|from_markup", lambda path: False),
)


@pytest.mark.parametrize(("pattern", "allowed"), PRINTING, ids=[pattern for pattern, _ in PRINTING])
def test_everything_is_printed_in_one_place(pattern: str, allowed: Callable[[Path], bool]) -> None:
    sources = (ROOT / "platform/storymesh").rglob("*.py")
    users = [path for path in sources if re.search(pattern, path.read_text(encoding="utf-8")) and not allowed(path)]
    assert users == []

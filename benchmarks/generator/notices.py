"""Writes what carriers mailed to the shipping desk about delays: one mail a file, a few of them late or of no use.

One in four reached the desk only after the delay was known there, though its sender dates it earlier: what counts is
the Received header of the desk's own server. One in four says it in a letter, a PDF that is attached.
"""

import base64
import shutil
from pathlib import Path

import duckdb

from generator import world

CUT_NUMBER = 30  # its booking number was cut off, so that its contract refuses it
NO_MAIL = 60  # a document that somebody saved under the name of a mail
CUT_LETTER = 12  # of the letters, one that was cut off on its way
SENTENCES = (
    "{shipment} is held up at the {waterway}: {cause}. We expect about {hours} hours.",
    "Please note that {shipment} will be late. At the {waterway} {cause}, and our estimate is {hours} hours for now.",
    "We regret that {shipment} has to wait at the {waterway}: {cause}. Count on {hours} hours; more will follow.",
)
WATERWAYS = {
    "suez": "Suez Canal",
    "panama": "Panama Canal",
    "bab_el_mandeb": "Bab el-Mandeb",
    "rhine": "Rhine",
    "bosporus": "Bosporus",
    "baltimore_channel": "Fort McHenry Channel",
}
CAUSES = {
    "storymesh:waterway-blocked": "the fairway is blocked",
    "storymesh:draught-limit": "the draught is limited",
    "storymesh:transit-limit": "only a few transits a day are allowed",
    "storymesh:security-diversion": "ships are sent another way for security",
    "storymesh:paperwork-check": "the papers are being checked",
    "storymesh:queue": "there is a queue",
    "storymesh:pilot-or-tug": "no pilot or tug is free",
    "storymesh:weather": "the weather is too bad",
    "storymesh:engine-trouble": "the engine has to be repaired",
}
CIRCULAR = """\
Received: from mx.blue-meridian.example by mail.shipping.example; Mon, 04 Jan 2021 08:00:12 +0000
From: Blue Meridian <news@blue-meridian.example>
To: desk@shipping.example
Subject: Our new office hours
Date: Mon, 04 Jan 2021 08:00:00 +0000
Message-ID: <office-hours@blue-meridian.example>
Content-Type: text/plain; charset=utf-8

From today our office opens at seven.
"""
PDF = "%PDF-1.4\n% a document that somebody saved under the name of a mail\n"


def drawn_notices(db: duckdb.DuckDBPyConnection) -> str:
    """The query of the mails in the order in which the delays were detected: what each says, and when."""
    lists = {
        "sentences": SENTENCES,
        "cause_words": tuple(CAUSES[cause.name] for cause in world.ALL_CAUSES),
        "waterway_words": tuple(WATERWAYS[name] for name in world.WATERWAYS),
        "mailboxes": tuple(name.lower().replace(" & ", "-and-").replace(" ", "-") for name in world.CARRIERS),
    }
    for name, values in lists.items():
        quoted = ", ".join("'" + value.replace("'", "''") + "'" for value in values)
        db.execute(f"SET VARIABLE {name} = [{quoted}]")
    return """
        WITH chosen AS (
            SELECT d.*, s.carrier, d.die // 1000 % 4 = 0 AS late, printf('SHP-%06d', d.number) AS shipment_id,
                d.die // 97 % 4 = 1 AS attached, row_number() OVER (ORDER BY d.detected_at, d.number, d.leg) AS place
            FROM delays d JOIN shipments s USING (number) WHERE d.die // 41 % 20 = 7
        ), timed AS (
            SELECT *, CASE WHEN late THEN detected_at + 120 + die % 5760 ELSE detected_at - 60 - die % 2880 END
                AS received_minute, row_number() OVER (PARTITION BY attached ORDER BY place) AS letter_number,
                replace(replace(replace(replace(getvariable('sentences')[die // 7 % 3 + 1],
                '{shipment}', shipment_id), '{waterway}', getvariable('waterway_words')[waterway + 1]),
                '{cause}', getvariable('cause_words')[cause + 1]),
                '{hours}', (expected_hours * (85 + die % 31) // 100)::VARCHAR) AS said
            FROM chosen
        )
        SELECT place, shipment_id, printf('%s-%d', shipment_id, leg) AS name,
            getvariable('carriers')[carrier + 1] AS carrier,
            getvariable('mailboxes')[carrier + 1] || '.example' AS host,
            at_minute(received_minute)::TIMESTAMP AS received_at,
            at_minute(CASE WHEN late THEN detected_at - 30 - die % 600 ELSE received_minute - 1 - die % 3 END)
                ::TIMESTAMP AS written_at,
            CASE WHEN attached THEN 'Our notice about ' || shipment_id || ' is attached.' ELSE said END AS body,
            CASE WHEN attached THEN said END AS letter, CASE WHEN attached THEN letter_number END AS letter_number
        FROM timed
    """


def write_notices(db: duckdb.DuckDBPyConnection, folder: Path) -> None:
    """Writes `<year>/<shipment>-<leg>.eml` under `folder`, and a circular that is about no shipment."""
    shutil.rmtree(folder, ignore_errors=True)
    _write(folder / "2021" / "office-hours.eml", CIRCULAR)
    style = "%a, %d %b %Y %H:%M:%S +0000"
    mails = db.execute(f"""
        SELECT place, shipment_id, name, carrier, host, body, letter, letter_number, year(received_at),
            strftime(received_at, '{style}'), strftime(written_at, '{style}')
        FROM ({drawn_notices(db)}) ORDER BY place
    """)
    while rows := mails.fetchmany(1000):
        for place, shipment, name, carrier, host, body, letter, letter_number, year, received, written in rows:
            number = shipment[:-2] if place == CUT_NUMBER else shipment
            text = ("Content-Type: text/plain; charset=utf-8", "", body, "")
            lines = (
                f"Received: from mx.{host} by mail.shipping.example; {received}",
                f"From: {carrier} <notices@{host}>",
                "To: desk@shipping.example",
                f"Subject: Delay notice {number}",
                f"Date: {written}",
                f"Message-ID: <{name}@{host}>",
                *(text if letter is None else _with_letter(text, letter, f"notice-{name}", letter_number)),
            )
            _write(folder / str(year) / f"{name}.eml", PDF if place == NO_MAIL else "\n".join(lines))


def _with_letter(text: tuple[str, ...], letter: str, name: str, number: int) -> tuple[str, ...]:
    """The lines of a mail of two parts: its text, and a letter as PDF."""
    written = _pdf(letter)
    coded = base64.b64encode(written[:200] if number == CUT_LETTER else written).decode()
    return (
        "MIME-Version: 1.0",
        f'Content-Type: multipart/mixed; boundary="{name}"',
        "",
        f"--{name}",
        *text,
        f"--{name}",
        "Content-Type: application/pdf",
        "Content-Transfer-Encoding: base64",
        f'Content-Disposition: attachment; filename="{name}.pdf"',
        "",
        *(coded[at : at + 76] for at in range(0, len(coded), 76)),
        f"--{name}--",
        "",
    )


def _pdf(line: str) -> bytes:
    """A PDF of one page with one line of ASCII, in a font that every reader has."""
    shown = line.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")
    drawn = f"BT /F 9 Tf 50 760 Td ({shown}) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    body, places = "%PDF-1.4\n", []
    for number, written in enumerate(objects, 1):
        places.append(len(body))
        body += f"{number} 0 obj\n{written}\nendobj\n"
    table = "".join(f"{place:010d} 00000 n \n" for place in places)
    end = f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}trailer\n"
    end += f"<< /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{len(body)}\n%%EOF\n"
    return (body + end).encode("ascii")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="\n")

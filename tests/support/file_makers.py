"""Files of many kinds for the tests of their readers, made by the libraries that write them, or byte by byte."""

import io
import zipfile
from email.message import EmailMessage
from typing import Any


def mail(body: str = "The delay is 53 hours.", **headers: str) -> EmailMessage:
    message = EmailMessage()
    given = {
        "From": "Desk <desk@example.com>",
        "To": "a@example.com, B <b@example.com>",
        "Subject": "Closure",
        **headers,
    }
    for name, value in given.items():
        message[name.replace("_", "-")] = value
    message.set_content(body)
    return message


def saved(document: Any) -> bytes:
    buffer = io.BytesIO()
    document.save(buffer)
    return buffer.getvalue()


def edited(content: bytes, name: str, old: bytes, new: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as source, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for part in source.infolist():
            data = source.read(part)
            target.writestr(part.filename, data.replace(old, new, 1) if part.filename == name else data)
    return buffer.getvalue()


def pdf(*objects: bytes) -> bytes:
    """Return a PDF of numbered objects, the first of which is its catalogue."""
    body, places = b"%PDF-1.7\n", []
    for number, written in enumerate(objects, 1):
        places.append(len(body))
        body += b"%d 0 obj\n%s\nendobj\n" % (number, written)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF"
    return body + end % (len(objects) + 1, table, len(objects) + 1, len(body))


def page_with(content: bytes, kids: bytes = b"[3 0 R]", count: int = 1) -> bytes:
    font = b"<< /Font << /F << /Type /Font /Subtype /Type1 /BaseFont /Helvetica >> >> >>"
    return pdf(
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids %s /Count %d >>" % (kids, count),
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] /Contents 4 0 R /Resources %s >>" % font,
        b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content),
    )

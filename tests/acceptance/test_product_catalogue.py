"""A catalogue of what a shop sells: photos behind addresses, and a reason for every one that is left out."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.support.command import CommandResult
from tests.support.public_data import public_files
from tests.support.whole_mesh import copied, quarantined, rows_of

CORPUS = public_files()
ADDRESS = "http://127.0.0.1:8765"
REASONS = {
    "VASE-01": "No photo is blurred: quality",
    "VASE-02": "No photo is small: quality",
    "VASE-03": "No photo is dark: quality",
    "VASE-04": "No photo is blank: quality",
    "BOWL-01": "file: http 404 (tried again)",
    "BOWL-02": "file: wrong type",
    "BOWL-03": "file: wrong type",
    "BOWL-04": "file: damaged",
    "BOWL-05": "file: too large when opened",
    "BOWL-06": "file: empty",
    "RUG-01": "file: too many redirects (tried again)",
    "RUG-02": "file: address not allowed (tried again)",
    "RUG-03": "file: too large",
    "RUG-04": "file: no address",
    "RUG-05": "file: address not allowed (tried again)",
}


class Photos(BaseHTTPRequestHandler):
    """A server of the files of the corpus, with a few addresses that are up to no good."""

    def do_GET(self) -> None:
        file = CORPUS / self.path.strip("/")
        if self.path.startswith("/moved/"):
            self.give(302, b"", Location=self.path.removeprefix("/moved"))
        elif self.path == "/dark":
            self.give(200, dark_photo())
        elif self.path == "/round":
            self.give(302, b"", Location="/round")
        elif self.path == "/inside":
            self.give(302, b"", Location="http://169.254.169.254/latest/meta-data")
        elif self.path == "/endless":
            self.give_endless()
        elif file.is_file():
            self.give(200, file.read_bytes())
        else:
            self.give(404, b"")

    def give(self, status: int, body: bytes, **headers: str) -> None:
        known = f'"{len(body)}"'
        unchanged = status == 200 and self.headers.get("If-None-Match") == known
        body, status = (b"", 304) if unchanged else (body, status)
        self.server.given.append((self.path, status))  # type: ignore[attr-defined]
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), "ETag": known, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def give_endless(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(bytes(100_000))
        except OSError:  # whoever asked has had enough
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        pass


def dark_photo() -> bytes:
    from PIL import Image

    photo, buffer = Image.open(CORPUS / "image/sku_0.jpg"), BytesIO()
    photo.point(lambda value: value // 8).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def photos() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Photos) as server:
        server.given = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def entries(mesh: Path, release: str) -> dict[str, str]:
    files = (mesh / "releases/product-catalogue" / release / "data/entry").glob("*.parquet")
    return {row["case_id"]: row["text"] for path in files for row in pq.read_table(path).to_pylist()}


def test_every_photo_is_in_the_catalogue_or_has_its_reason(
    tmp_path: Path, photos: ThreadingHTTPServer, storymesh: Callable[..., CommandResult]
) -> None:
    mesh = copied("tests/meshes/product_catalogue", tmp_path / "mesh")
    listings = mesh / "domains/shop/sources/listings.csv"
    address = f"http://127.0.0.1:{photos.server_port}"
    text = listings.read_text(encoding="utf-8").replace(ADDRESS, address)
    listings.write_text(text, encoding="utf-8")
    ran = storymesh(mesh, "run")
    assert ran.code == 0, ran

    assert {row["sku"] for row in rows_of(mesh, "shop.photos")} == {"LAMP-01", "LAMP-02", "LAMP-03"}
    refused = {row["storymesh:file"].rpartition("/")[2]: row["reasons"] for row in quarantined(mesh, "shop.photos")}
    assert refused == {sku: [reason] for sku, reason in REASONS.items()}
    told = entries(mesh, "1.0.0-r1")
    assert told["LAMP-03"] == (
        "# Wall lamp (LAMP-03)\n\nFor a wall without a socket. 39.50 US dollars, sold out.\n\n"
        f"Photo: 640 x 640 pixels, {address}/moved/image/sku_2.jpg\n"
    )
    assert {sku for sku, entry in told.items() if entry.endswith("No photo that could be shown.\n")} == set(REASONS)

    photos.given.clear()  # type: ignore[attr-defined]
    text = text.replace("image/label_blur.jpg", "image/label_clean.jpg").replace("7,129.00", "6,129.00")
    listings.write_text(text, encoding="utf-8")
    assert storymesh(mesh, "run").code == 0
    sent = [path for path, status in photos.given if status == 200]  # type: ignore[attr-defined]
    assert "/image/label_clean.jpg" in sent
    assert not {"/image/sku_0.jpg", "/image/sku_1.jpg", "/image/sku_2.jpg"} & set(sent), "they have not changed"
    told = entries(mesh, "1.0.0-r2")
    assert f"Photo: 900 x 600 pixels, {address}/image/label_clean.jpg" in told["VASE-01"]
    assert "6 in stock" in told["LAMP-02"]

"""Text on pictures and in recordings, recognised: nearly all of it is right, and stands where it is."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from benchmarks.readers import error_rate

from storymesh.files.reading.pool import ReaderPool
from storymesh.files.reading.reading import FileLimits, FileReading, Kind, Refused
from tests.support.public_data import public_files
from tests.support.recognisers import recognisers

CORPUS = public_files()
TRUTH: dict[str, dict[str, Any]] = json.loads((CORPUS / "truth.json").read_text(encoding="utf-8"))
LABELS = ["image/label_clean.jpg", "image/label_sideways.jpg"]
SOUNDS = ["audio/captain.wav", "audio/sales_call.mp3", "audio/silence.wav", "bad/header_only.mp3"]
# What somebody would take from the two recordings: eight values.
SAID = ["amber meridian", "canal is closed", "53 hours", "damaged by water", "12%", r"\$40", "200", "end of june"]
Results = dict[str, FileReading | Refused]


@pytest.fixture(scope="module")
def results() -> Iterator[Results]:
    with recognisers() as model, ReaderPool(FileLimits(seconds=600), workers=1) as pool:
        spoken = {"model": str(model), "language": "en"}
        files: list[tuple[str, Path, Kind, dict[str, Any]]] = [
            *((name, CORPUS / name, "image", {"ocr": True}) for name in LABELS),
            ("pdf/scan.pdf", CORPUS / "pdf/scan.pdf", "pdf", {}),
            *((name, CORPUS / name, "audio", spoken) for name in SOUNDS),
        ]
        yield dict(pool.read_many(files))


def reading(results: Results, name: str) -> FileReading:
    found = results[name]
    assert isinstance(found, FileReading), found
    return found


def test_labels_are_read_with_their_places_and_how_sure_it_is(results: Results) -> None:
    for name in LABELS:
        found = reading(results, name)
        assert error_rate(TRUTH[name]["text"], found.text) <= 0.02
        assert found.confidence is not None and 0.5 < found.confidence <= 1
        assert all(passage.box is not None and passage.confidence is not None for passage in found.passages)
        assert "rapidocr" in found.version


def test_a_scanned_page_is_read_by_itself_where_the_extra_is_there(results: Results) -> None:
    found = reading(results, "pdf/scan.pdf")
    assert found.values["pdf"]["scanned"]
    assert error_rate(TRUTH["pdf/scan.pdf"]["text"], found.text) <= 0.02
    [delay] = [passage for passage in found.passages if "53 hours" in found.text[passage.begin : passage.end]]
    assert delay.page == 1 and delay.box is not None and 0 < delay.box[1] < 842


def test_speech_is_read_in_segments_with_their_seconds(results: Results) -> None:
    captain, call = reading(results, "audio/captain.wav"), reading(results, "audio/sales_call.mp3")
    heard = f"{captain.text}\n{call.text}".lower()
    assert sum(bool(re.search(value, heard)) for value in SAID) >= 6
    for found, name in ((captain, "audio/captain.wav"), (call, "audio/sales_call.mp3")):
        assert found.values["audio"]["seconds"] == pytest.approx(TRUTH[name]["seconds"], abs=0.2)
        ends = [passage.seconds for passage in found.passages if passage.seconds]
        assert len(ends) == len(found.passages) >= 4 and ends == sorted(ends)
        assert [segment["text"] for segment in found.values["segments"]] == found.text.split("\n")
    [offer] = [segment for segment in call.values["segments"] if "12%" in segment["text"]]
    begin, end, _ = TRUTH["audio/sales_call.mp3"]["segments"][2]
    assert begin - 1 < offer["begin"] < offer["end"] < end + 1


def test_silence_says_nothing_and_what_is_no_recording_is_damaged(results: Results) -> None:
    silence, broken = reading(results, "audio/silence.wav"), results["bad/header_only.mp3"]
    assert (silence.text, silence.values["segments"], silence.confidence) == ("", [], None)
    assert isinstance(broken, Refused) and broken.reason == "damaged"

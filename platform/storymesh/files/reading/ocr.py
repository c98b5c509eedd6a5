"""Text in pictures, recognised by RapidOCR with the models in its own package: nothing is downloaded."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_PIXELS = 6_000_000
"""What a picture is made smaller to: a page at 200 dots an inch has 4 million, as many as the recogniser takes."""
_MIN_SIDE = 10  # pixels, below which no letter can be read
_MAX_ASPECT_RATIO = 16  # times the shorter side; what is longer is given a margin, or it would be made too thin
_BESIDE = 0.5  # two boxes stand on one line if they share this part of the lower one's height


@dataclass(frozen=True, slots=True)
class RecognisedLine:
    """A line of text with its box in pixels (left, top, right, bottom) and how sure the recogniser is, 0 to 1."""

    text: str
    box: tuple[float, float, float, float]
    confidence: float


Recogniser = Callable[["Image"], list[RecognisedLine]]


def open_recogniser() -> Recogniser:
    """Load the models, and return what recognises the lines of a picture, from above and from the left."""
    import os

    from rapidocr import RapidOCR

    threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
    settings = {
        "Global.log_level": "critical",
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        "EngineConfig.onnxruntime.enable_cpu_mem_arena": False,
    }
    engine = RapidOCR(params=settings)

    def recognise(picture: "Image") -> list[RecognisedLine]:
        import numpy as np

        if min(picture.size) < _MIN_SIDE:
            return []
        picture = _with_margin(picture.convert("RGB"))
        found: Any = engine(np.ascontiguousarray(np.asarray(picture)[:, :, ::-1]))
        if found.boxes is None or found.txts is None:
            return []
        lines = []
        for corners, text, score in zip(found.boxes, found.txts, found.scores, strict=True):
            (left, top), (right, bottom) = corners.min(axis=0), corners.max(axis=0)
            box = (float(left), float(top), float(right), float(bottom))
            lines.append(RecognisedLine(str(text), box, round(float(score), 4)))
        return sorted_lines([line for line in lines if line.text.strip()])

    return recognise


def _with_margin(picture: "Image") -> "Image":
    """Return a picture that is not too long for its height or width; its upper left corner stays where it is."""
    from PIL import Image

    least = max(picture.size) // _MAX_ASPECT_RATIO
    if min(picture.size) >= least:
        return picture
    wider = Image.new("RGB", (max(picture.width, least), max(picture.height, least)), "white")
    wider.paste(picture, (0, 0))
    return wider


def sorted_lines(lines: list[RecognisedLine]) -> list[RecognisedLine]:
    """Return lines in the order of reading: rows from above, and those that stand beside each other from the left."""
    rows: list[list[RecognisedLine]] = []
    for line in sorted(lines, key=lambda found: (found.box[1], found.box[0])):
        row = rows[-1] if rows else []
        if row and _shared_height(row[-1], line) >= _BESIDE:
            row.append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda found: found.box[0])]


def _shared_height(one: RecognisedLine, other: RecognisedLine) -> float:
    shared = min(one.box[3], other.box[3]) - max(one.box[1], other.box[1])
    return shared / max(1.0, min(one.box[3] - one.box[1], other.box[3] - other.box[1]))

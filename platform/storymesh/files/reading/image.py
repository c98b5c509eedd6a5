"""Pictures: their size, their quality, and on request the text on them.

Brightness and contrast are the mean and the spread of grey, 0 to 1. Sharpness is the spread of the Laplacian at one
size for all pictures: of grey at 512 pixels of the longer side, between -4 and 4 (Pech-Pacheco et al., 2000).
"""

import warnings
from collections.abc import Callable, Mapping
from datetime import date
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from storymesh.files.reading.content_type import require_type
from storymesh.files.reading.ocr import MAX_PIXELS, Recogniser, open_recogniser
from storymesh.files.reading.passages import FileContent, PassageWriter
from storymesh.files.reading.reading import FileRefused, damaged

if TYPE_CHECKING:
    from PIL.Image import Image

REVISION = 1
MAX_OPENED_PIXELS: Final = 100_000_000  # of a picture that is opened
_FORMATS = ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"]
_SIDE = 512
_SMALL, _DARK, _FLAT, _BLURRED = 200, 0.15, 0.03, 0.02
_ORIENTATION, _EXIF, _TAKEN = 0x0112, 0x8769, 0x9003  # tags of Exif
_UNTURNED = 1


def open_reader(options: Mapping[str, Any]) -> Callable[[bytes], FileContent]:
    """Return the reader of pictures; with `ocr` it recognises the text on them."""
    from PIL import Image

    warnings.simplefilter("ignore")  # what Pillow warns of is refused here, or of no matter
    Image.MAX_IMAGE_PIXELS = MAX_OPENED_PIXELS
    Image.init()
    recognise = open_recogniser() if options["ocr"] else None
    return lambda content: read_image(content, recognise)


def read_image(content: bytes, recognise: Recogniser | None = None) -> FileContent:
    """Return what a picture is like, and the text on it with boxes in pixels."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    require_type(content, "image")
    try:
        with Image.open(BytesIO(content), formats=_FORMATS) as picture:
            width, height = picture.size
            if width * height > MAX_OPENED_PIXELS:
                raise FileRefused("too large when opened", f"it has {width:,} x {height:,} pixels")
            if not recognise:
                # A JPEG is decoded at a lower resolution, which is all that the figures need.
                picture.draft(None, (_SIDE, _SIDE))
            picture.load()
            taken, turned = _taken_on(picture), picture.getexif().get(_ORIENTATION, _UNTURNED)
            values = {"format": str(picture.format).lower(), "width": width, "height": height, "taken_on": taken}
            upright = ImageOps.exif_transpose(picture) if turned != _UNTURNED else picture
            if turned in (5, 6, 7, 8):
                values |= {"width": height, "height": width}
            values |= _quality(upright, width, height)
            writer = PassageWriter()
            for line in recognise(_reduce_picture(upright)) if recognise else []:
                writer.begin_block("\n")
                writer.add(line.text, box=line.box, confidence=line.confidence)
    except Image.DecompressionBombError as error:
        raise FileRefused("too large when opened", str(error)) from None
    except UnidentifiedImageError:
        raise FileRefused("damaged", "it cannot be opened as the picture that it begins as") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, KeyError) as error:
        raise damaged(error) from None
    return FileContent(writer.text, {"image": values}, writer.passages)


def _reduce_picture(picture: "Image") -> "Image":
    """Return a picture of no more pixels than are recognised at once."""
    share = (MAX_PIXELS / (picture.width * picture.height)) ** 0.5
    if share >= 1:
        return picture
    return picture.resize((max(1, int(picture.width * share)), max(1, int(picture.height * share))))


def _quality(picture: "Image", width: int, height: int) -> dict[str, Any]:
    import numpy as np
    from PIL import Image

    grey = _on_white(picture).convert("L")
    share = _SIDE / max(grey.size)
    # What is larger is made smaller, so that a blur of two pixels counts the same in a large and in a small picture.
    if share < 1:
        size = (max(1, round(grey.width * share)), max(1, round(grey.height * share)))
        grey = grey.resize(size, Image.Resampling.BOX)
    values = np.asarray(grey, np.float64) / 255
    edges = values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:] - 4 * values[1:-1, 1:-1]
    brightness, contrast = float(values.mean()), float(values.std())
    sharpness = float(edges.std()) if edges.size else 0.0
    return {
        "brightness": round(brightness, 4),
        "contrast": round(contrast, 4),
        "sharpness": round(sharpness, 4),
        "quality": _first_fault(min(width, height), brightness, contrast, sharpness),
    }


def _first_fault(side: int, brightness: float, contrast: float, sharpness: float) -> str:
    """Return the first thing that is wrong with a picture, "good" where nothing is."""
    if contrast < _FLAT:
        return "blank" if brightness >= _DARK else "dark"
    if side < _SMALL:
        return "small"
    if brightness < _DARK:
        return "dark"
    return "blurred" if sharpness < _BLURRED else "good"


def _on_white(picture: "Image") -> "Image":
    """Return a picture without transparency, as a page would show it."""
    from PIL import Image

    if "A" not in picture.getbands() and "transparency" not in picture.info:
        return picture if picture.mode in ("L", "RGB") or not picture.mode.startswith("I") else _of_16_bits(picture)
    shown = picture.convert("RGBA")
    page = Image.new("RGBA", shown.size, "white")
    page.alpha_composite(shown)
    return page.convert("RGB")


def _of_16_bits(picture: "Image") -> "Image":
    import numpy as np
    from PIL import Image

    values = np.asarray(picture, np.float64)
    return Image.fromarray((values / max(1.0, float(values.max())) * 255).astype(np.uint8))


def _taken_on(picture: "Image") -> date | None:
    """Return the day on which a camera says that it was, by its own clock."""
    written = str(picture.getexif().get_ifd(_EXIF).get(_TAKEN, ""))
    try:
        return date.fromisoformat(written[:10].replace(":", "-"))
    except ValueError:
        return None

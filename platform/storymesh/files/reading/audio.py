"""Speech as text, by faster-whisper with a model that is named by its folder: none is downloaded."""

import math
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

from storymesh.files.reading.content_type import content_type, require_type
from storymesh.files.reading.passages import FileContent, PassageWriter
from storymesh.files.reading.reading import FileRefused, damaged

REVISION = 1
_RATE = 16_000  # samples a second that the model hears
MAX_SECONDS = 6 * 3600


def open_reader(options: Mapping[str, Any]) -> Callable[[bytes], FileContent]:
    """Load the model, and return the reader of speech in `language` (default: what the model hears it to be)."""
    import os

    from faster_whisper import WhisperModel

    threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
    model = WhisperModel(
        options["model"], device="cpu", compute_type="int8", cpu_threads=threads, local_files_only=True
    )
    return lambda content: read_audio(content, model, options.get("language"))


def read_audio(content: bytes, model: Any, language: str | None) -> FileContent:
    """Return what is said, in segments with their seconds; silence gives none."""
    require_type(content, "audio")
    samples = _decode(content)
    seconds = len(samples) / _RATE
    # What the model has said before it does not hear again: it would go on inventing.
    heard, found = model.transcribe(
        samples, language=language, vad_filter=True, word_timestamps=True, condition_on_previous_text=False
    )
    writer, rows = PassageWriter(), []
    for segment in heard:
        text = segment.text.strip()
        if not text:
            continue
        sure = _confidence(segment)
        begin, end = round(float(segment.start), 2), round(float(segment.end), 2)
        writer.begin_block("\n")
        writer.add(text, seconds=(begin, end), confidence=sure)
        rows.append({"begin": begin, "end": end, "text": text, "confidence": sure})
    values = {
        "format": content_type(content),
        "seconds": round(seconds, 2),
        "language": found.language if rows else None,
    }
    return FileContent(writer.text, {"audio": values, "segments": rows}, writer.passages)


def _decode(content: bytes) -> Any:
    """Return the samples of a recording, of all its channels together."""
    import av
    from faster_whisper.audio import decode_audio

    try:
        with av.open(BytesIO(content), metadata_errors="ignore") as container:
            if not container.streams.audio:
                raise FileRefused("damaged", "it has no sound")
            length = container.duration
        if length is not None and length / 1e6 > MAX_SECONDS:
            raise FileRefused("too large when opened", f"it is longer than {MAX_SECONDS // 3600} hours")
        samples = decode_audio(BytesIO(content), sampling_rate=_RATE)
    except (av.FFmpegError, ValueError, IndexError) as error:
        raise damaged(error) from None
    if not len(samples):
        raise FileRefused("damaged", "it has no sound")
    return samples


def _confidence(segment: Any) -> float:
    """Return the geometric mean of how sure the model is of each word."""
    logs = [math.log(max(word.probability, 1e-6)) for word in segment.words or ()]
    return round(math.exp(sum(logs) / len(logs)) if logs else math.exp(segment.avg_logprob), 4)

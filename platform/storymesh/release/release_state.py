"""What a release was made from, so that the same release is not made again only to find that it exists.

The note is kept in the folder of the build. It is believed only where the files that the build gave, the evaluation set
and the rules are those of then, and the release stands there with the very manifest that it had.
"""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import write_atomically
from storymesh.dataset.build_step import sealed_files
from storymesh.errors import StorymeshError
from storymesh.input_file import file_digest
from storymesh.product.software import software_digest
from storymesh.release.catalog import Release, read_release
from storymesh.release.layout import MANIFEST
from storymesh.release.manifest import read_manifest_bytes

if TYPE_CHECKING:
    from storymesh.dataset.build import Build


class ReleaseState:
    """Whether the next release of a build would have the records and drops of one that exists.

    Only what shapes those has a part in it: how many records a file holds, who signs, and what the report shows make no
    new release either.
    """

    def __init__(self, build: "Build") -> None:
        self._releases = build.releases / build.narrative.id
        self._path = build.files.folder / "released.json"
        self._inputs = _inputs_digest(build)

    def find_unchanged(self) -> Release | None:
        """Return the release that the next one would equal; None where nothing says that there is one."""
        try:
            noted = json.loads(self._path.read_text(encoding="utf-8"))
            folder = self._releases / noted["version"]
            if self._inputs is None or noted != self._note(folder):
                return None
            return read_release(folder)
        except (OSError, ValueError, TypeError, LookupError, StorymeshError):
            return None

    def record(self, release: Release) -> None:
        """Note that the build gives this release."""
        if self._inputs is not None:
            write_atomically(self._path, json.dumps(self._note(release.path)))

    def _note(self, folder: Path) -> dict[str, str | None]:
        manifest = hashlib.sha256(read_manifest_bytes(folder)).hexdigest()
        return {"inputs": self._inputs, "version": folder.name, MANIFEST: manifest}


def _inputs_digest(build: "Build") -> str | None:
    """Return a digest of all that shapes records and drops of a release; None where the build is not complete."""
    files, sealed = build.files, sealed_files(build)
    records = [path for config in build.configs for path in (files.records(config), files.record_drops(config))]
    if not {files.cases, files.splits, *records} <= sealed.keys():
        return None
    evaluation = build.evaluation if not isinstance(build.evaluation, Path) else {"": build.evaluation}
    shaping = {
        "software": software_digest(),
        "build": build.key,
        "files": {path.relative_to(files.folder).as_posix(): digest for path, digest in sorted(sealed.items())},
        "evaluation": {name: file_digest(path) for name, path in evaluation.items()},
    }
    return hashlib.sha256(json.dumps(shaping, sort_keys=True).encode()).hexdigest()

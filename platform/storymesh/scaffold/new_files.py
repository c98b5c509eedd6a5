"""New files for people: all are written or none, and none is overwritten."""

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from storymesh.atomic_write import staged_file
from storymesh.errors import WrongUsage
from storymesh.input_file import InputFileRefused, require_inside


@dataclass(frozen=True)
class NewFiles:
    """New files below a folder: a path relative to it -> its text, or the file that is copied there."""

    texts: Mapping[str, str] = field(default_factory=dict)
    copies: Mapping[str, Path] = field(default_factory=dict)

    def __or__(self, other: "NewFiles") -> "NewFiles":
        return NewFiles({**self.texts, **other.texts}, {**self.copies, **other.copies})

    @property
    def paths(self) -> list[str]:
        """The paths in the order in which they are written."""
        return [*self.copies, *self.texts]

    def write(self, root: Path) -> None:
        """Write the files below `root`. Raises WrongUsage where one is there, and then nothing is written."""
        if there := [path for path in self.paths if os.path.lexists(root / path)]:
            words = f"{', '.join(there)} {'is' if len(there) == 1 else 'are'} there, and nothing is written over"
            raise WrongUsage(words, "take another name, or move it away first")
        for path in self.paths:
            _require_own_folder(root, PurePosixPath(path).parent)
        written: list[Path] = []
        try:
            for path in self.paths:
                written.append(root / path)
                with staged_file(root / path, keep_existing=True) as staged:
                    if path in self.copies:
                        shutil.copyfile(self.copies[path], staged)
                    else:
                        staged.write_text(self.texts[path], encoding="utf-8")
        except BaseException:
            for file in written:
                file.unlink(missing_ok=True)
            raise


def _require_own_folder(root: Path, folder: PurePosixPath) -> None:
    """Raise WrongUsage where a folder that is there leads out of `root`, or is none."""
    for parent in (folder, *folder.parents):
        path = root / parent
        if not os.path.lexists(path):
            continue
        if not path.is_dir():
            raise WrongUsage(f"{path} is a file, and a folder is wanted there", "rename it")
        try:
            require_inside(path, root)
        except InputFileRefused as error:
            raise WrongUsage(f"the folder {path} {error.reason}", "nothing is written outside the mesh") from None
        return

"""How a reader says that a file gives no reading."""

from storymesh.files.reading.reading import Lasting, Passing, Refused


class FileRefused(Exception):
    """A file that a reader does not read, for one of the reasons that are counted."""

    def __init__(self, reason: Lasting | Passing, detail: str = "") -> None:
        self.refused = Refused(reason, detail)
        super().__init__(f"{reason}: {detail}")


def damaged(error: BaseException) -> FileRefused:
    """Return the refusal of a file in which a library met what it did not expect."""
    return FileRefused("damaged", f"{type(error).__name__}: {' '.join(str(error).split())[:200]}".removesuffix(": "))

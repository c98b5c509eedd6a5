"""The files of the evaluation set that a narrative's records must not repeat, by the patterns of its definition."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from storymesh.document import refusal_finding
from storymesh.errors import DefinitionErrors, Finding
from storymesh.input_file import InputFileRefused, require_input
from storymesh.narrative.definition import Narrative

READABLE = (".jsonl", ".parquet", ".txt", ".md")


def evaluation_files(narrative: Narrative, root: Path) -> Mapping[str, Path]:
    """Return the files (path in the mesh -> file) that patterns of `dataset.decontaminate` match: in the narrative's
    folder, or in the mesh where a pattern matches none there. Raises DefinitionErrors for a pattern that matches no
    file, or an unreadable one."""
    if narrative.dataset.decontaminate is None:
        return {}
    found: dict[str, Path] = {}
    findings: list[Finding] = []
    for index, pattern in enumerate(narrative.dataset.decontaminate.against):
        location = narrative.at("dataset", "decontaminate", "against", index)
        if pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
            message = f"'{pattern}' leads out of the mesh"
            hint = "write it from the narrative's folder or from the mesh root"
            findings.append(Finding(location, "wrong-value", message, hint))
            continue
        try:
            files = _matching(root / narrative.folder, pattern) or _matching(root, pattern)
        except (ValueError, IndexError, OSError, NotImplementedError) as error:
            message = f"'{pattern[:80]}' is no pattern of files: {str(error)[:120]}"
            findings.append(Finding(location, "wrong-value", message, "write it as eval/*.jsonl"))
            continue
        if not files:
            message = f"'{pattern}' meets no file in {narrative.folder}, and none in the mesh"
            findings.append(
                Finding(location, "no-file", message, "without its evaluation set nothing can be held against it")
            )
        for path in files:
            if path.suffix.lower() not in READABLE:
                message = f"'{path.relative_to(root).as_posix()}' cannot be read as an evaluation set"
                findings.append(Finding(location, "wrong-value", message, f"it reads {', '.join(READABLE)}"))
                continue
            try:
                require_input(path, root)
            except InputFileRefused as error:
                findings.append(refusal_finding(error, root))
            if _is_of_others(path.resolve(), root.resolve()):
                message = f"'{path.relative_to(root).as_posix()}' is a file of a domain, or of the store"
                hint = "a release keeps hashes of what an evaluation set says: put its files beside narrative.yaml"
                findings.append(Finding(location, "wrong-value", message, hint))
            found[path.relative_to(root).as_posix()] = path
    if findings:
        raise DefinitionErrors(findings)
    return dict(sorted(found.items()))


def _is_of_others(target: Path, root: Path) -> bool:
    """Return True for raw rows of a team, which only its product tells, and for what no person wrote."""
    parts = target.relative_to(root).parts if target.is_relative_to(root) else ()
    return parts[:1] == ("domains",) or any(part.startswith(".") for part in parts)


def _matching(base: Path, pattern: str) -> list[Path]:
    """Return the files below `base` that a pattern matches, without those of hidden folders, such as the store's. One
    that is no regular file is among them, so that somebody says so."""
    paths = (path for path in base.glob(pattern) if not path.is_dir())
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(base).parts))

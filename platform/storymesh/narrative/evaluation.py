"""The files of an evaluation set that a narrative's records must not repeat, by the patterns of its definition."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from storymesh.errors import DefinitionErrors, Finding
from storymesh.narrative.definition import Narrative

READABLE = (".jsonl", ".parquet", ".txt", ".md")


def evaluation_files(narrative: Narrative, root: Path) -> Mapping[str, Path]:
    """Path in the mesh -> file, of every pattern of `dataset.decontaminate`: in the narrative's folder, or, where it
    meets nothing there, in the mesh. Raises DefinitionErrors for a pattern that meets no file, or an unreadable one."""
    if narrative.dataset.decontaminate is None:
        return {}
    found: dict[str, Path] = {}
    findings: list[Finding] = []
    for index, pattern in enumerate(narrative.dataset.decontaminate.against):
        place = narrative.at("dataset", "decontaminate", "against", index)
        if pattern.startswith("/") or ".." in PurePosixPath(pattern).parts:
            words = f"'{pattern}' leads out of the mesh"
            hint = "write it from the narrative's folder or from the mesh root"
            findings.append(Finding(place, "wrong-value", words, hint))
            continue
        here, mesh = (
            [path for path in sorted(base.glob(pattern)) if path.is_file()] for base in (root / narrative.folder, root)
        )
        met = here or mesh
        if not met:
            words = f"'{pattern}' meets no file in {narrative.folder}, and none in the mesh"
            findings.append(
                Finding(place, "no-file", words, "without its evaluation set nothing can be held against it")
            )
        for path in met:
            if path.suffix.lower() not in READABLE:
                words = f"'{path.relative_to(root).as_posix()}' cannot be read as an evaluation set"
                findings.append(Finding(place, "wrong-value", words, f"it reads {', '.join(READABLE)}"))
            found[path.relative_to(root).as_posix()] = path
    if findings:
        raise DefinitionErrors(findings)
    return dict(sorted(found.items()))

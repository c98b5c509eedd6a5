"""The arguments and options that several commands take."""

from pathlib import Path
from typing import Annotated, Literal

import typer

OutputFormat = Literal["text", "json"]
FindingsFormat = Literal["text", "json", "github", "sarif"]

MeshOption = Annotated[
    Path | None, typer.Option("--mesh", metavar="DIR", help="The mesh root. Default: the one at or above this folder.")
]
FormatOption = Annotated[OutputFormat, typer.Option("--format", help="For people, or for machines.")]
FindingsFormatOption = Annotated[
    FindingsFormat, typer.Option("--format", help="For people, for machines, for a change on GitHub, or as SARIF.")
]
YesOption = Annotated[bool, typer.Option("--yes", help="Do it. Without this it is shown and nothing changes.")]
ReleaseArgument = Annotated[
    str, typer.Argument(metavar="RELEASE", help="NARRATIVE (its latest), NARRATIVE@X-rN, or the folder of a release.")
]
DigestOption = Annotated[
    str | None,
    typer.Option("--digest", metavar="SHA256", help="What `sha256sum release.json` gave whoever made the release."),
]
SignerOption = Annotated[
    list[str] | None,
    typer.Option("--signer", metavar="KEY", help="A public key that has to have signed it. Default: mesh.yaml's."),
]
BaseUrlOption = Annotated[
    str | None, typer.Option("--base-url", metavar="URL", help="A server that speaks the provider's protocol.")
]
NarrativeArgument = Annotated[str, typer.Argument(metavar="NARRATIVE", help="The id of a narrative.")]


def mesh_root(mesh: Path | None) -> Path:
    """Return the root that `--mesh` names, or the one at or above the current folder. Raises WrongUsage."""
    from storymesh.mesh.mesh import find_root

    return find_root(Path.cwd()) if mesh is None else mesh

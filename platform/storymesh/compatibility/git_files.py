"""The definitions of a mesh as a commit of git has them, written to a folder without touching the work tree."""

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from storymesh.errors import StorymeshError, WrongUsage
from storymesh.process_environment import scrubbed_environment

MOST_FILES = 20_000
MOST_BYTES = 4 * 2**20  # of a file, as of a definition that is read from disk
_DEFINITION = re.compile(
    r"mesh\.yaml|contracts/[^/]+/[^/]+\.odcs\.yaml|domains/[^/]+/(domain\.yaml|products/[^/]+\.odps\.yaml)"
    r"|narratives/[^/]+/([^/]+/){0,3}[^/]+\.(yaml|jinja)"
)
_FILE = ("100644", "100755")  # modes of regular files; a link could lead anywhere


def write_definitions(root: Path, ref: str, folder: Path) -> str:
    """Write the definitions of the mesh at `root` as they are in the commit `ref` to `folder`; return the commit's id.

    Raises WrongUsage when git knows no such commit, StorymeshError when git cannot be asked.
    """
    commit = _git(root, ["rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}"], folder)
    if not commit:
        raise WrongUsage(
            f"'{ref}' is neither a folder, nor a release, nor a commit of git", "git log --oneline shows some"
        )
    name = commit.decode().strip()
    listed = _git(root, ["ls-tree", "-r", "-z", "-l", name], folder) or b""
    wanted = [found for entry in listed.split(b"\0") if entry and (found := _wanted(entry))]
    if len(wanted) > MOST_FILES:
        raise StorymeshError(
            f"{ref} has {len(wanted):,} definitions, at most {MOST_FILES:,} are read", "split the mesh"
        )
    for part in ("domains", "contracts", "narratives"):
        (folder / part).mkdir()
    contents = _git(root, ["cat-file", "--batch"], folder, "".join(f"{blob}\n" for blob, _ in wanted).encode()) or b""
    position = 0
    for _, path in wanted:
        end = contents.index(b"\n", position)
        size = int(contents[position:end].split()[2])
        content, position = contents[end + 1 : end + 1 + size], end + 2 + size
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return name


def _wanted(entry: bytes) -> tuple[str, str] | None:
    """Return the blob and the path of an entry of `git ls-tree`, where it is a definition."""
    head, _, raw = entry.partition(b"\t")
    mode, _, blob, size = head.decode().split()
    path = raw.decode("utf-8", "replace")
    fits = mode in _FILE and int(size) <= MOST_BYTES and _DEFINITION.fullmatch(path) and ".." not in path.split("/")
    return (blob, path) if fits else None


def _git(root: Path, arguments: Sequence[str], home: Path, given: bytes = b"") -> bytes | None:
    """Return what git answers about the repository of `root`; None where it answers no."""
    program = shutil.which("git")
    if program is None:
        raise StorymeshError("git is not installed", "name a mesh folder or a release instead")
    environment = scrubbed_environment(str(home)) | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}
    # The repository may be another user's, as in a container: it is only read, and no hook or filter of it runs.
    command = [program, "-c", f"safe.directory={_toplevel(root)}", *arguments]
    done = subprocess.run(command, cwd=root, input=given, capture_output=True, env=environment, check=False)
    if done.returncode and done.stderr:
        words = " ".join(done.stderr.decode("utf-8", "replace").split())[:200]
        raise StorymeshError(f"git cannot read {root}: {words}", "name a mesh folder or a release instead")
    return done.stdout if done.returncode == 0 else None


def _toplevel(root: Path) -> str:
    """Return the folder of the repository that `root` lies in, or `root` itself."""
    above = (folder for folder in (root, *root.parents) if os.path.lexists(folder / ".git"))
    return str(next(above, root))

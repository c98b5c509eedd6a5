"""A release on the Hugging Face Hub: private unless somebody says otherwise, and never public where it prints values
that their contracts hold to be internal.

The token comes from the environment (`HF_TOKEN`) or from `hf auth login`, the address from `HF_ENDPOINT`; neither is
ever printed. A repository holds one release at a time, and each that it ever held is a tag of it, `1.0.0-r3`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle.verify import verify
from storymesh.release.definition_snapshot import read_kept
from storymesh.release.manifest import ANSWERED, LOCK, Release, files_of, read_lock, record_files

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError


@dataclass(frozen=True)
class Going:
    """What a push would send: path -> bytes. `internal`: what its records print and contracts do not call public."""

    release: Release
    repository: str
    public: bool
    files: Mapping[str, int]
    internal: tuple[str, ...]


def going(release: Release, repository: str, *, public: bool = False) -> Going:
    """What would go to the repository `ORG/DATASET`; asks nobody. Raises StorymeshError for a release that is not
    whole, or that prints internal values and is to be public; WrongUsage for what is no name of a repository."""
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, not marked as such

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise WrongUsage(f"'{repository}' is no repository of the Hub: {error}", "name it ORG/DATASET") from None
    if repository.count("/") != 1:
        raise WrongUsage(f"'{repository}' is no repository of the Hub", "name it ORG/DATASET")
    named = f"{release.narrative} {release.version}"
    if differences := verify(release.path).differences:
        raise StorymeshError(f"{named} is not whole: {differences[0]}", "storymesh releases --verify")
    internal = internal_of(release)
    if public:
        _refuse_internal(named, internal)
    # What models answered stays at home: refused texts are in there, and what they were asked.
    names = [name for name in (*files_of(release.path), LOCK) if not name.startswith(f"{ANSWERED}/")]
    sizes = {name: (release.path / name).stat().st_size for name in sorted(names)}
    return Going(release, repository, public, sizes, internal)


def internal_of(release: Release) -> tuple[str, ...]:
    """What the records of a release print that the contracts it was told by do not call public."""
    import pyarrow.parquet as pq

    from storymesh.release.card.card import Card, internal_paths

    lock = read_lock(release.path)
    typed = read_kept(release.path, lock)
    parts = {config: record_files(release.path, config) for config in release.configs}
    schemas = {config: pq.read_schema(next(iter(files.values()))[0]) for config, files in parts.items() if files}
    card = Card(typed.narrative, release.version, typed.contracts, lock, schemas, samples={}, sizes={}, variety={})
    return tuple(internal_paths(card))


def _refuse_internal(named: str, internal: tuple[str, ...]) -> None:
    if internal:
        shown = ", ".join(internal[:5]) + (", …" if len(internal) > 5 else "")
        words = f"{named} prints values that are internal ({shown}): it does not belong in a public place"
        raise StorymeshError(words, "push it to a private repository, or classify them as public in their contracts")


def push(what: Going) -> tuple[str, bool]:
    """Send it as one commit, which replaces what the repository held, and tag that with the version. Returns the
    address of the dataset, and whether anything had to be sent.

    Raises StorymeshError in the Hub's words, when nobody is logged in, and when a repository that stands there already
    is public and the release is not to be.
    """
    from huggingface_hub import HfApi

    release = what.release
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    with _in_words(what.repository, api.endpoint):
        address = f"{api.endpoint}/datasets/{what.repository}"
        api.create_repo(what.repository, repo_type="dataset", private=not what.public, exist_ok=True)
        _refuse_open(api, what)
        tags = {tag.name for tag in api.list_repo_refs(what.repository, repo_type="dataset").tags}
        if release.version in tags:
            return address, False
        commit = api.upload_folder(
            repo_id=what.repository,
            repo_type="dataset",
            folder_path=release.path,
            commit_message=f"{release.narrative} {release.version}",
            commit_description=f"digest {release.digest}",
            allow_patterns=list(what.files),
            delete_patterns="*",
        )
        api.create_tag(what.repository, tag=release.version, revision=commit.oid, repo_type="dataset")
    return address, True


def _refuse_open(api: "HfApi", what: Going) -> None:
    """What was made private is so; what somebody else made before may stand open."""
    if api.repo_info(what.repository, repo_type="dataset").private or what.public:
        return
    named = f"{what.release.narrative} {what.release.version}"
    _refuse_internal(named, what.internal)
    raise StorymeshError(f"{what.repository} is public, and {named} was to be private", "--public says that it may")


@contextmanager
def _in_words(repository: str, endpoint: str) -> Iterator[None]:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except LocalTokenNotFoundError:
        raise StorymeshError(f"nobody is logged in to {endpoint}", "hf auth login, or set HF_TOKEN") from None
    except OfflineModeIsEnabled:
        raise StorymeshError(f"{endpoint} is not asked: HF_HUB_OFFLINE is set", "unset it to push") from None
    except HfHubHTTPError as error:
        raise _refused(error, repository, endpoint) from None
    except httpx2.HTTPError as error:
        raise StorymeshError(f"{endpoint} cannot be reached: {type(error).__name__}", "see HF_ENDPOINT") from None
    except (OSError, RuntimeError) as error:  # of the store of large files, by Git LFS or by Xet
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _refused(error.__cause__, repository, endpoint) from None
        said = " ".join(str(error.__cause__ or error).split())[:200]
        words = f"the large files of {repository} did not arrive at {endpoint}: {said}"
        raise StorymeshError(words, "push again; HF_HUB_DISABLE_XET=1 sends them by Git LFS instead") from None


def _refused(error: "HfHubHTTPError", repository: str, endpoint: str) -> StorymeshError:
    code = error.response.status_code
    said = error.server_message or (str(error).splitlines() or [""])[0]
    words = f"{endpoint} refused {repository}: {code} {said}".rstrip()
    hint = "hf auth login, or set HF_TOKEN to a token that may write there" if code in (401, 403) else ""
    return StorymeshError(words, hint)

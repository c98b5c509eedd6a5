"""Publishing a release on the Hugging Face Hub: private by default, and never public with internal values.

The token comes from the environment (`HF_TOKEN`) or from `hf auth login`, the address from `HF_ENDPOINT`; neither is
ever printed. A repository holds one release at a time, and each that it ever held is a tag of it, `1.0.0-r3`.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from storymesh.contract.definition import Contract
from storymesh.engine.engine import OpenEngine
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.lifecycle.verify import verify_release
from storymesh.release.catalog import Release
from storymesh.release.definition_snapshot import NO_CONTRACTS, read_definition_snapshot
from storymesh.release.description import internal_paths
from storymesh.release.egress import guarded_roles, unpushable
from storymesh.release.layout import ANSWERS_FOLDER, MANIFEST, SIGNATURES, hash_files, record_files

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError


@dataclass(frozen=True)
class PushPlan:
    """The content of a push: path -> bytes. `internal`: printed values that contracts do not classify as public."""

    release: Release
    repository: str
    public: bool
    files: Mapping[str, int]
    internal: tuple[str, ...]


def plan_push(
    release: Release,
    repository: str,
    open_engine: OpenEngine,
    *,
    public: bool = False,
    current: Mapping[str, Contract] = NO_CONTRACTS,
) -> PushPlan:
    """Return what would be pushed to the repository `ORG/DATASET`, without network access. `current` are the mesh's
    contracts: the stricter of these and the release's own decides.

    Raises StorymeshError for a release that is not whole, or that prints internal values and is to be public, and
    WrongUsage for what is no name of a repository.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # documented, not marked as such

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise WrongUsage(f"'{repository}' is no repository of the Hub: {error}", "name it ORG/DATASET") from None
    if repository.count("/") != 1:
        raise WrongUsage(f"'{repository}' is no repository of the Hub", "name it ORG/DATASET")
    verify_release(release.path, open_engine).require_whole()
    if staying := unpushable(read_definition_snapshot(release, current), guarded_roles(release, current), current):
        more = f" (and {len(staying) - 1} more)" if len(staying) > 1 else ""
        words = f"{release.name} prints what may not leave its premise for the Hub: {staying[0]}{more}"
        raise StorymeshError(words, "its owner lets it go by a rule with `to: [hub]`; or tell a narrative without it")
    internal = internal_values(release, current)
    if public:
        _refuse_internal(release, internal)
    signatures = [SIGNATURES] if (release.path / SIGNATURES).is_file() else []
    # The answers of models stay at home: refused texts are among them, and the prompts.
    every = (*hash_files(release.path), MANIFEST, *signatures)
    names = [name for name in every if not name.startswith(f"{ANSWERS_FOLDER}/")]
    sizes = {name: (release.path / name).stat().st_size for name in sorted(names)}
    return PushPlan(release, repository, public, sizes, internal)


def internal_values(release: Release, current: Mapping[str, Contract]) -> tuple[str, ...]:
    """Return the values printed by a release's records that its contracts do not classify as public."""
    import pyarrow.parquet as pq

    typed = read_definition_snapshot(release, current)
    parts = {config: record_files(release.path, config) for config in release.configs}
    schemas = {config: pq.read_schema(next(iter(files.values()))[0]) for config, files in parts.items() if files}
    return tuple(internal_paths(typed.narrative, typed.contracts, schemas))


def _refuse_internal(release: Release, internal: tuple[str, ...]) -> None:
    if internal:
        shown = ", ".join(internal[:5]) + (", …" if len(internal) > 5 else "")
        words = f"{release.name} prints values that are internal ({shown}): it does not belong in a public place"
        raise StorymeshError(words, "push it to a private repository, or classify them as public in their contracts")


def push_release(plan: PushPlan) -> tuple[str, bool]:
    """Send the files as one commit that replaces the repository's content, and tag it with the version.

    Returns the address of the dataset, and False if the repository had this version already.

    Raises StorymeshError in the Hub's words, when nobody is logged in, and when a repository that exists already is
    public and the release is not to be.
    """
    from huggingface_hub import HfApi

    release = plan.release
    api = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)
    with _explain_hub_errors(plan.repository, api.endpoint):
        address = f"{api.endpoint}/datasets/{plan.repository}"
        api.create_repo(plan.repository, repo_type="dataset", private=not plan.public, exist_ok=True)
        _refuse_public(api, plan)
        tags = {tag.name for tag in api.list_repo_refs(plan.repository, repo_type="dataset").tags}
        if release.version in tags:
            return address, False
        commit = api.upload_folder(
            repo_id=plan.repository,
            repo_type="dataset",
            folder_path=release.path,
            commit_message=release.name,
            commit_description=f"digest {release.digest}",
            allow_patterns=list(plan.files),
            delete_patterns="*",
        )
        api.create_tag(plan.repository, tag=release.version, revision=commit.oid, repo_type="dataset")
    return address, True


def _refuse_public(api: "HfApi", plan: PushPlan) -> None:
    """Raise StorymeshError where a repository that existed before is public and the release is not to be."""
    if api.repo_info(plan.repository, repo_type="dataset").private or plan.public:
        return
    _refuse_internal(plan.release, plan.internal)
    words = f"{plan.repository} is public, and {plan.release.name} was to be private"
    raise StorymeshError(words, "--public says that it may")


@contextmanager
def _explain_hub_errors(repository: str, endpoint: str) -> Iterator[None]:
    import httpx2
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError, OfflineModeIsEnabled

    try:
        yield
    except LocalTokenNotFoundError:
        raise StorymeshError(f"nobody is logged in to {endpoint}", "hf auth login, or set HF_TOKEN") from None
    except OfflineModeIsEnabled:
        raise StorymeshError(f"{endpoint} is not asked: HF_HUB_OFFLINE is set", "unset it to push") from None
    except HfHubHTTPError as error:
        raise _hub_error(error, repository, endpoint) from None
    except httpx2.HTTPError as error:
        raise StorymeshError(f"{endpoint} cannot be reached: {type(error).__name__}", "see HF_ENDPOINT") from None
    except (OSError, RuntimeError) as error:  # of the store of large files, by Git LFS or by Xet
        if isinstance(error.__cause__, HfHubHTTPError):
            raise _hub_error(error.__cause__, repository, endpoint) from None
        reason = " ".join(str(error.__cause__ or error).split())[:200]
        words = f"the large files of {repository} did not arrive at {endpoint}: {reason}"
        raise StorymeshError(words, "push again; HF_HUB_DISABLE_XET=1 sends them by Git LFS instead") from None


def _hub_error(error: "HfHubHTTPError", repository: str, endpoint: str) -> StorymeshError:
    code = error.response.status_code
    reason = error.server_message or (str(error).splitlines() or [""])[0]
    words = f"{endpoint} refused {repository}: {code} {reason}".rstrip()
    hint = "hf auth login, or set HF_TOKEN to a token that may write there" if code in (401, 403) else ""
    return StorymeshError(words, hint)

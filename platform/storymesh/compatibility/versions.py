"""The versions of contracts: which step a change of one is, and what the next would be called."""

import re

from storymesh.contract.change import Step
from storymesh.contract.definition import Contract


def version_parts(version: str) -> tuple[int, int, int]:
    """Return major, minor and patch of a version; what is not written is 0."""
    numbers = [int(part) for part in re.findall(r"\d+", re.split(r"[-+]", version)[0])][:3]
    major, minor, patch = [*numbers, 0, 0, 0][:3]
    return major, minor, patch


def next_version(version: str, step: Step) -> str:
    """Return the version that follows by this step, written as the old one is."""
    major, minor, patch = version_parts(version)
    following = {"major": (major + 1, 0, 0), "minor": (major, minor + 1, 0), "patch": (major, minor, patch + 1)}[step]
    return ("v" if version.startswith("v") else "") + ".".join(map(str, following))


def is_step(old: str, new: str, step: Step) -> bool:
    """Return True if a version follows another by this step at least."""
    before, after = version_parts(old), version_parts(new)
    length = {"major": 1, "minor": 2, "patch": 3}[step]
    return after[:length] > before[:length]


def kept_version(contract: Contract) -> str:
    """Return the id under which the major version of a contract is kept beside the next one."""
    return f"{contract.id}_v{contract.major}"

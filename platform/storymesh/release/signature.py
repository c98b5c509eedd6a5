"""Signatures of releases, and what somebody who was given one expects of it.

What is signed is the manifest, `release.json`, byte for byte. It has the digest of every other file, so a signature
covers the whole release. The signatures stand beside it, in `release.json.sig`: a line for each key, its public key and
its signature by Ed25519 (RFC 8032), both in base64. OpenSSL makes the keys.
"""

import base64
import binascii
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from storymesh.atomic_write import write_atomically
from storymesh.errors import StorymeshError, WrongUsage
from storymesh.input_file import InputFileRefused, read_input
from storymesh.release.layout import MANIFEST, PUBLIC_KEY, SIGNATURES
from storymesh.release.manifest import read_manifest_bytes

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_VARIABLE = "STORYMESH_SIGNING_KEY_FILE"
_LINE = re.compile(rf"(?P<key>{PUBLIC_KEY.pattern}) (?P<signature>[A-Za-z0-9+/]{{86}}==)")
_MAX_BYTES = 64 * 1024
# Public keys for which anybody can make a signature that holds: the points of small order, without their sign.
# Source: https://eprint.iacr.org/2020/1244, table 1.
_WEAK_KEYS = frozenset(
    bytes.fromhex(point)
    for point in (
        "00" * 32,
        "01" + "00" * 31,
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "ec" + "ff" * 30 + "7f",
        "ed" + "ff" * 30 + "7f",
        "ee" + "ff" * 30 + "7f",
    )
)
_MAKE_KEY = "make one with: openssl genpkey -algorithm ed25519 -out FILE"


@dataclass(frozen=True)
class ReleaseExpectation:
    """What must hold of a release beside its own promises: the digest of its manifest, and one of these `signers`."""

    digest: str | None = None
    signers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.digest is not None and not re.fullmatch("[0-9a-f]{64}", self.digest):
            words = f"'{self.digest[:80]}' is no digest of a lock: that has 64 digits of 0-9 and a-f"
            raise WrongUsage(words, f"its maker has it from: sha256sum {MANIFEST}")


NOTHING_EXPECTED = ReleaseExpectation()


def signing_key(path: Path | None = None) -> "Ed25519PrivateKey | None":
    """Return the private key in the PEM file `path`, or in the one that the environment names; None without either.

    Raises WrongUsage for a file that holds no such key. No message has anything of what is in it.
    """
    named = path or (Path(value) if (value := os.environ.get(KEY_VARIABLE)) else None)
    if named is None:
        return None
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        key = load_pem_private_key(read_input(named, named.parent, _MAX_BYTES), password=None)
    except InputFileRefused as refused:
        raise WrongUsage(f"the signing key cannot be read: {refused.message}", refused.hint or _MAKE_KEY) from None
    except TypeError:
        raise WrongUsage(
            f"the signing key {named} is encrypted", "decrypt it where only this process reads it"
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise WrongUsage(f"{named} is no private key in PEM", _MAKE_KEY) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise WrongUsage(f"{named} is no key of Ed25519", _MAKE_KEY)
    return key


def public_key_text(key: "Ed25519PrivateKey") -> str:
    """Return the public half of a key as `mesh.yaml` and `--signer` take it."""
    return f"ed25519:{base64.b64encode(key.public_key().public_bytes_raw()).decode()}"


def read_public_key(text: str) -> str:
    """Return a public key that is written out, or that stands in a PEM file of this path. Raises WrongUsage."""
    if PUBLIC_KEY.fullmatch(text):
        return text
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    path = Path(text)
    hint = "write ed25519:… as `storymesh sign` prints it, or name the file of: openssl pkey -in KEY -pubout"
    try:
        key = load_pem_public_key(read_input(path, path.parent, _MAX_BYTES))
    except (InputFileRefused, ValueError, UnsupportedAlgorithm):
        raise WrongUsage(f"'{text[:120]}' is no public key, and no file that holds one", hint) from None
    if not isinstance(key, Ed25519PublicKey):
        raise WrongUsage(f"{path} is no key of Ed25519", hint)
    return f"ed25519:{base64.b64encode(key.public_bytes_raw()).decode()}"


def sign_release(folder: Path, key: "Ed25519PrivateKey") -> str:
    """Sign the manifest in `folder`, beside the signatures of other keys. Return the public key."""
    public = public_key_text(key)
    signature = base64.b64encode(key.sign(read_manifest_bytes(folder))).decode()
    others = [line for line in _signature_lines(folder) if not line.startswith(f"{public} ")]
    write_atomically(folder / SIGNATURES, "".join(f"{line}\n" for line in (*others, f"{public} {signature}")))
    return public


def find_signers(folder: Path, manifest: bytes) -> tuple[list[str], list[str]]:
    """Return the public keys whose signatures of this manifest hold, and what is wrong with other signatures."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signers: list[str] = []
    faults: list[str] = []
    try:
        lines = _signature_lines(folder)
    except StorymeshError as error:
        return [], [error.message]
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None:
            faults.append(f"{SIGNATURES} has a line that is no signature")
            continue
        try:
            raw = base64.b64decode(match["key"].removeprefix("ed25519:"))
            if bytes((*raw[:-1], raw[-1] & 0x7F)) in _WEAK_KEYS:
                raise InvalidSignature
            public = Ed25519PublicKey.from_public_bytes(raw)
            public.verify(base64.b64decode(match["signature"], validate=True), manifest)
        except (InvalidSignature, ValueError, binascii.Error):
            faults.append(f"{SIGNATURES}: what stands there of {match['key']} is no signature of this {MANIFEST}")
        else:
            signers.append(match["key"])
    return list(dict.fromkeys(signers)), list(dict.fromkeys(faults))


def unmet(expected: ReleaseExpectation, manifest: bytes, records: str, signers: Iterable[str]) -> Iterator[str]:
    """Yield what of `expected` does not hold for a manifest that says `records` as the digest of its records."""
    found = hashlib.sha256(manifest).hexdigest()
    if expected.digest == records:
        yield f"the digest that was given covers records and drops alone: give what sha256sum {MANIFEST} gave its maker"
    elif expected.digest not in (None, found):
        yield f"{MANIFEST} is not the one with the digest that was given: its own is {found}"
    signed = list(signers)
    if expected.signers and not set(expected.signers) & set(signed):
        by = f"by {', '.join(signed)}, and by no key that is trusted" if signed else "by nobody"
        yield f"{MANIFEST} is signed {by}"


def _signature_lines(folder: Path) -> list[str]:
    path = folder / SIGNATURES
    if not (path.is_symlink() or path.exists()):
        return []
    try:
        return read_input(path, folder, _MAX_BYTES, links=False).decode("ascii").splitlines()
    except InputFileRefused as refused:
        raise StorymeshError(f"{SIGNATURES} {refused.reason}", refused.hint) from None
    except UnicodeDecodeError:
        raise StorymeshError(f"{SIGNATURES} is no text of signatures", "remove it, and sign again") from None

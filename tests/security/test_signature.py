"""Whose a release is: a signature or a digest of its lock covers every member of it and every file."""

import base64
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

import storymesh as package
from storymesh.engine.open import open_engine
from storymesh.errors import DefinitionErrors, StorymeshError, WrongUsage
from storymesh.lifecycle.pull import pull_release
from storymesh.lifecycle.verify import verify_release
from storymesh.mesh.mesh import Mesh, read_settings
from storymesh.release.catalog import find_release, read_release
from storymesh.release.layout import MANIFEST, SIGNATURES
from storymesh.release.manifest import read_manifest_bytes
from storymesh.release.signature import (
    _WEAK_KEYS,
    KEY_VARIABLE,
    ReleaseExpectation,
    find_signers,
    public_key_text,
    read_public_key,
    sign_release,
    signing_key,
    unmet,
)
from tests.support.edited_release import SMALL_LOCK, Lock, relist
from tests.support.release_meshes import storymesh

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)


def key_file(path: Path, key: Any = KEY, password: bytes | None = None) -> Path:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    return path


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    """A folder with a lock, signed by `KEY`."""
    folder = tmp_path / "signed"
    folder.mkdir()
    (folder / MANIFEST).write_text(json.dumps(SMALL_LOCK), encoding="utf-8")
    sign_release(folder, KEY)
    return folder


def signers(folder: Path) -> list[str]:
    return find_signers(folder, read_manifest_bytes(folder))[0]


def test_a_signature_holds_for_the_lock_that_was_signed(signed: Path) -> None:
    assert find_signers(signed, read_manifest_bytes(signed)) == ([public_key_text(KEY)], [])


def test_several_keys_sign_and_each_once(signed: Path) -> None:
    sign_release(signed, OTHER)
    sign_release(signed, KEY)
    assert sorted(signers(signed)) == sorted([public_key_text(KEY), public_key_text(OTHER)])
    assert len((signed / SIGNATURES).read_text(encoding="ascii").splitlines()) == 2


def leaves(value: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict) and value:
        return [leaf for name, inner in value.items() for leaf in leaves(inner, (*path, name))]
    return [path]


@pytest.mark.parametrize("path", leaves(SMALL_LOCK), ids=".".join)
def test_no_member_of_a_lock_is_changed_under_its_signature(signed: Path, path: tuple[str, ...]) -> None:
    lock = json.loads((signed / MANIFEST).read_text(encoding="utf-8"))
    inner = lock
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = {"added": 1} if isinstance(inner[path[-1]], dict) else f"{inner[path[-1]]}1"
    (signed / MANIFEST).write_text(json.dumps(lock), encoding="utf-8")
    assert signers(signed) == []


CHANGES: dict[str, Callable[[bytes], bytes]] = {
    "a space": lambda text: text + b" ",
    "a member that was added": lambda text: text.replace(b"{", b'{"added": 1, ', 1),
    "a member that is there twice": lambda text: text.replace(b"{", b'{"narrative": "other", ', 1),
    "another order": lambda text: json.dumps(dict(reversed(json.loads(text).items()))).encode(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_no_byte_of_a_lock_is_changed_under_its_signature(signed: Path, change: Callable[[bytes], bytes]) -> None:
    (signed / MANIFEST).write_bytes(change((signed / MANIFEST).read_bytes()))
    found, faults = find_signers(signed, read_manifest_bytes(signed))
    assert found == []
    assert "is no signature of this" in faults[0]


LINES: dict[str, Callable[[str], str]] = {
    "another key's name": lambda line: f"{public_key_text(OTHER)} {line.split()[1]}",
    "no signature": lambda line: f"{line.split()[0]} {'A' * 86}==",
    "a key of zeros": lambda line: f"ed25519:{'A' * 43}= {'A' * 86}==",
    "another algorithm": lambda line: line.replace("ed25519", "none"),
    "no algorithm": lambda line: line.removeprefix("ed25519:"),
    "a part": lambda line: line[:-10],
    "more at the end": lambda line: f"{line} ed25519",
    "an escape sequence": lambda line: f"\x1b[2J{line}",
    "other spaces": lambda line: line.replace(" ", "\t"),
}


@pytest.mark.parametrize("change", LINES.values(), ids=LINES.keys())
def test_a_line_that_is_no_signature_signs_nothing_and_is_a_fault(signed: Path, change: Callable[[str], str]) -> None:
    path = signed / SIGNATURES
    path.write_text(change(path.read_text(encoding="ascii").strip()) + "\n", encoding="utf-8")
    found, faults = find_signers(signed, read_manifest_bytes(signed))
    assert found == []
    assert faults
    assert faults[0].isprintable()


@pytest.mark.parametrize("sign", [0, 0x80])
@pytest.mark.parametrize("point", sorted(_WEAK_KEYS), ids=lambda point: point.hex()[:8])
def test_a_key_for_which_anybody_can_sign_signs_nothing(signed: Path, point: bytes, sign: int) -> None:
    key = base64.b64encode(bytes((*point[:-1], point[-1] | sign))).decode()
    forged = (b"\x01" + bytes(31), bytes(32), point)  # R of small order; S is zero
    lines = [f"ed25519:{key} {base64.b64encode(first + bytes(32)).decode()}\n" for first in forged]
    (signed / SIGNATURES).write_text("".join(lines), encoding="ascii")
    assert signers(signed) == []


@pytest.mark.parametrize("content", [b"\xff\xfe", b"\0" * 100, b"a\n" * 40_000], ids=["no text", "NULs", "too large"])
def test_a_file_of_signatures_that_is_none_is_a_fault(signed: Path, content: bytes) -> None:
    (signed / SIGNATURES).write_bytes(content)
    found, faults = find_signers(signed, read_manifest_bytes(signed))
    assert (found, bool(faults)) == ([], True)


def test_signatures_behind_a_link_are_not_read(signed: Path, tmp_path: Path) -> None:
    (signed / SIGNATURES).rename(tmp_path / "elsewhere")
    (signed / SIGNATURES).symlink_to(tmp_path / "elsewhere")
    found, faults = find_signers(signed, read_manifest_bytes(signed))
    assert (found, faults) == ([], [f"{SIGNATURES} is a link"])


def test_the_digest_of_records_is_not_taken_for_that_of_the_lock(signed: Path) -> None:
    records = SMALL_LOCK["digest"]
    (words,) = unmet(ReleaseExpectation(records), read_manifest_bytes(signed), records, [])
    assert "covers records and drops alone" in words


def test_a_signature_of_a_key_that_nobody_trusts_is_not_enough(signed: Path) -> None:
    content = read_manifest_bytes(signed)
    (words,) = unmet(ReleaseExpectation(signers=(public_key_text(OTHER),)), content, "", signers(signed))
    assert "by no key that is trusted" in words
    (words,) = unmet(ReleaseExpectation(signers=(public_key_text(OTHER),)), content, "", [])
    assert "is signed by nobody" in words
    assert list(unmet(ReleaseExpectation(signers=(public_key_text(KEY),)), content, "", signers(signed))) == []


@pytest.mark.parametrize(
    "kind", ["missing", "link to nothing", "folder", "text", "elliptic", "encrypted", "public", "huge"]
)
def test_a_file_that_holds_no_signing_key_is_wrong_usage_without_a_word_of_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "key.pem"
    match kind:
        case "link to nothing":
            path.symlink_to(tmp_path / "nothing")
        case "folder":
            path.mkdir()
        case "text":
            path.write_text("a secret of somebody", encoding="utf-8")
        case "elliptic":
            key_file(path, generate_private_key(SECP256R1()))
        case "encrypted":
            key_file(path, password=b"password")
        case "public":
            path.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        case "huge":
            with path.open("wb") as file:
                file.truncate(2**40)
    with pytest.raises(WrongUsage) as refused:
        signing_key(path)
    assert "secret" not in str(refused.value)


def test_a_public_key_is_read_as_text_and_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "public.pem"
    path.write_bytes(KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    assert read_public_key(str(path)) == read_public_key(public_key_text(KEY)) == public_key_text(KEY)


@pytest.mark.parametrize(
    "text", ["", "ed25519:", "ed25519:AAAA", "rsa:AAAA", "nowhere.pem", "/etc/hostname", "/dev/zero", "-"]
)
def test_what_is_no_public_key_is_wrong_usage(text: str) -> None:
    with pytest.raises(WrongUsage, match="is no public key"):
        read_public_key(text)


@pytest.mark.parametrize("signer", ["ed25519:short", "/etc/passwd", "ed25519:" + "A" * 44, 1])
def test_a_trusted_key_in_the_settings_that_is_none_is_a_finding(tmp_path: Path, signer: Any) -> None:
    (tmp_path / "mesh.yaml").write_text(json.dumps({"signers": [signer]}), encoding="utf-8")
    with pytest.raises(DefinitionErrors):
        read_settings(tmp_path)


def test_an_edited_release_is_not_that_of_its_signer(
    roadside: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "sent"
    shutil.copytree(find_release(roadside.releases, "roadside@1.0.0-r1").path, folder)
    key, public = key_file(tmp_path / "key.pem"), public_key_text(KEY)
    code, out, _ = storymesh(roadside.root, "sign", str(folder), "--key", str(key))
    assert (code, public in out) == (0, True)
    given = verify_release(folder, open_engine, ReleaseExpectation(signers=(public,)))
    assert (given.differences, given.signers) == ((), (public,))
    pull_release(read_release(folder), tmp_path / "copy", open_engine, ReleaseExpectation(given.lock, (public,)))
    assert verify_release(tmp_path / "copy", open_engine, ReleaseExpectation(given.lock, (public,))).differences == ()

    (folder / "README.md").write_text("Trust me.", encoding="utf-8")
    relist(folder)
    assert any("no signature of this" in words for words in verify_release(folder, open_engine).differences)
    (folder / SIGNATURES).unlink()
    assert verify_release(folder, open_engine).differences == (), "it is whole, and says nothing of who wrote it"
    sign_release(folder, OTHER)
    for expected in (ReleaseExpectation(signers=(public,)), ReleaseExpectation(given.lock)):
        assert verify_release(folder, open_engine, expected).differences
        with pytest.raises(StorymeshError, match="is not whole"):
            pull_release(read_release(folder), tmp_path / "into", open_engine, expected)
    with pytest.raises(StorymeshError, match="is not whole"):
        package.load(str(folder), config="report", digest=given.lock)
    with pytest.raises(StorymeshError, match="is not whole"):
        package.load(str(folder), config="report", signers=[public])
    monkeypatch.setenv(KEY_VARIABLE, str(key))
    code, _, err = storymesh(roadside.root, "sign", str(folder))
    assert code == 0, err
    code, _, err = storymesh(roadside.root, "releases", str(folder), "--verify", "--signer", public)
    assert code == 0, err


def test_a_run_signs_what_it_makes(moved: Mesh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.release_meshes import release_all

    monkeypatch.setenv(KEY_VARIABLE, str(key_file(tmp_path / "key.pem")))
    shutil.rmtree(moved.releases)
    release = release_all(moved)
    assert signers(release.path) == [public_key_text(KEY)]
    monkeypatch.setenv(KEY_VARIABLE, str(tmp_path / "missing.pem"))
    with pytest.raises(WrongUsage, match="the signing key cannot be read"):
        release_all(moved)


def test_a_mesh_that_trusts_keys_asks_for_a_signature(moved: Mesh, tmp_path: Path) -> None:
    (moved.root / "mesh.yaml").write_text(json.dumps({"signers": [public_key_text(KEY)]}), encoding="utf-8")
    code, out, _ = storymesh(moved.root, "releases", "roadside@1.0.0-r1", "--verify")
    assert (code, "is signed by nobody" in out) == (1, True)
    code, _, err = storymesh(moved.root, "pull", "roadside@1.0.0-r1", str(tmp_path / "into"))
    assert (code, "is signed by nobody" in err) == (1, True)
    with pytest.raises(StorymeshError, match="is signed by nobody"):
        package.load("roadside", "1.0.0-r1", config="report", mesh=moved.root)
    sign_release(find_release(moved.releases, "roadside@1.0.0-r1").path, KEY)
    cache = str(tmp_path / "cache")
    assert package.load("roadside", "1.0.0-r1", config="report", mesh=moved.root, split="train", cache_dir=cache)
    code, _, err = storymesh(moved.root, "pull", "roadside@1.0.0-r1", str(tmp_path / "into"))
    assert code == 0, err


def test_a_release_whose_lock_lists_no_files_is_proved_by_nothing(signed: Path) -> None:
    lock: Lock = json.loads((signed / MANIFEST).read_text(encoding="utf-8"))
    del lock["files"], lock["sizes"]
    (signed / MANIFEST).write_text(json.dumps(lock), encoding="utf-8")
    (signed / SIGNATURES).unlink()
    sign_release(signed, KEY)
    expected = ReleaseExpectation(signers=(public_key_text(KEY),))
    assert any("lists no files" in words for words in verify_release(signed, open_engine, expected).differences)

"""Kills: what changes a store or releases is killed again and again, each time at another of its writes.

    python -m benchmarks.kills --kills 200 --seed 1

Publishing, making a release, signing one, forgetting a row (with and without the old releases removed), expiring,
making a release again, pulling one, and whole runs die by SIGKILL: just before a write that chance picks, or just
before or after the renames by which a release appears, a signature stands, a forgotten release vanishes, and the list
of forgotten rows changes. After each, whatever was there is there and whole, and signed by all who signed it; after
every tenth, an undisturbed run makes what is missing and leaves nothing behind.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.faults import COUNT, die_around, die_at_write
from benchmarks.soak import KEY, Broken, Soak, run_mesh

CALM_EVERY = 10
OPERATIONS = ("publish", "release", "sign", "forget", "forget and remove", "expire", "rebuild", "pull", "run")
SIGNERS = 3  # the first signs what is made, the others what is there
# target -> the event and a part of its paths: just before it, or just after, the process dies
TARGETS: Mapping[str, tuple[str, str]] = {
    "the rename of a release": ("os.rename", "/.cutting-"),
    "the rename of a signature": ("os.rename", "/.release.json.sig."),
    "the rename of a pulled release": ("os.rename", "storymesh-pull-"),
    "the list of forgotten rows": ("os.rename", "/forgotten.json"),
    "the rename of a forgotten release": ("os.rename", "/.cutting-removed-"),
    "the removal of a forgotten release": ("os.remove", "README.md"),
}
TARGETS_OF = {
    "release": ("the rename of a release", "the rename of a signature"),
    "sign": ("the rename of a signature",),
    "forget": ("the list of forgotten rows", "the rename of a release"),
    "forget and remove": tuple(name for name in TARGETS if "pulled" not in name and "signature" not in name),
    "pull": ("the rename of a pulled release",),
}


class KillSoak(Soak):
    """A mesh whose operations are killed."""

    def __init__(self, folder: Path, seed: int, say: Callable[[str], None]) -> None:
        super().__init__(folder, seed, say)
        self.writes = dict.fromkeys(OPERATIONS, 40)
        self.removable: set[str] = set()
        self.expirable: set[str] = set()
        self.numbers = iter(range(1, 10**6))
        self.signers: dict[str, set[str]] = {}  # release -> the keys that are known to have signed it
        self.keys = _write_keys(folder)
        os.environ["STORYMESH_PSEUDONYM_KEY"] = KEY
        os.environ["STORYMESH_SIGNING_KEY_FILE"] = str(self.keys[0])
        tempfile.tempdir = str(folder / "tmp")
        (folder / "tmp").mkdir()

    def run(self, kills: int) -> None:
        """Kill until as many processes as asked for have died; raises Broken with what was lost."""
        self.calm("first")
        self._preload()
        calm_at = CALM_EVERY
        while sum(self.met.values()) < kills:
            operation = self.random.choice(OPERATIONS[:-1] * 3 + OPERATIONS[-1:])
            what, ended = self._kill(operation)
            if ended == "killed":
                self.met[what] += 1
            self.ended[f"{operation}: {ended}"] += 1
            self.look()
            self.say(f"{sum(self.met.values()):>4} {what:<60} {ended}")
            if sum(self.met.values()) >= calm_at:
                self.calm(f"after {calm_at} kills")
                calm_at += CALM_EVERY
        self.calm("at the end")

    def calm(self, when: str) -> None:
        super().calm(when)
        # What a killed `pull` left goes with the next one.
        if (ended := self._ended(self._start_operation(lambda: None, "pull", {}))) != "done":
            raise Broken(f"{when}: a pull that nobody disturbed ended with {ended}:\n{self._said()}")
        left = [*(self.folder / "tmp").glob("*storymesh-*"), *self.folder.glob("*storymesh-*")]
        if left := [path for path in left if not _is_used(path)]:
            raise Broken(f"{when}: left behind: {left}")

    def _kill(self, operation: str) -> tuple[str, str]:
        from storymesh.lifecycle.expire import plan_expiry
        from storymesh.mesh.mesh import load_mesh

        if operation in ("publish", "release", "run"):
            self.change(next(self.numbers))
        arguments: dict[str, Any] = {"seed": self.random.random()}
        if operation == "sign":
            arguments["signing key"] = self.random.choice(self.keys[1:])
        if operation.startswith("forget"):
            arguments["key"] = f"T{self.random.randint(0, 9):02}"
            if operation == "forget and remove":
                self.removable |= set(self.seen.releases)
        if operation == "expire":
            mesh = load_mesh(self.root)
            plans = plan_expiry(mesh.products, mesh.warehouse, mesh.releases)
            self.expirable |= {snapshot.version for plan in plans for snapshot in plan.snapshots}
        targets = TARGETS_OF.get(operation, ())
        act: Callable[[], None]
        if targets and self.random.random() < 0.5:
            target, after = self.random.choice(targets), self.random.random() < 0.5
            what = f"{operation}, {'after' if after else 'before'} {target}"
            act = lambda: die_around(self._roots(), *TARGETS[target], after=after)  # noqa: E731
        else:
            place = self.random.randint(1, self.writes[operation])
            what = f"{operation}, at a write"
            act = lambda: die_at_write(self._roots(), place, self.folder)  # noqa: E731
        (self.folder / COUNT).unlink(missing_ok=True)
        ended = self._ended(self._start_operation(act, operation, arguments))
        if ended != "killed" and (self.folder / COUNT).is_file():
            # It ended before its turn came: now it is known how often it writes.
            self.writes[operation] = max(1, int((self.folder / COUNT).read_text(encoding="utf-8")))
        return what, ended

    def _roots(self) -> tuple[str, ...]:
        return tuple(str(self.folder / name) for name in ("mesh", "pulled", "rebuilt", "storymesh-"))

    def _start_operation(self, act: Callable[[], None], operation: str, arguments: Mapping[str, Any]) -> int:
        def operate(root: Path, folder: Path) -> int:
            return _operate(root, folder, operation, arguments)

        return self._start(act, operate)

    def look(self) -> None:
        """Check that what was there is there and whole, but for what was to be removed."""
        seen = dict(self.seen.releases)
        present = {f"{path.parent.name} {path.name}" for path in (self.root / "releases").glob("*/*-r*")}
        gone = set(seen) - present
        if lost := gone - self.removable:
            raise Broken(f"lost: {lost}")
        if seen and not present:
            raise Broken("no release is left: what is forgotten has a successor")
        self.seen.releases = {name: lock for name, lock in seen.items() if name not in gone}
        for product, versions in self.seen.versions.items():
            self.seen.versions[product] = [version for version in versions if version not in self.expirable]
        super().look()
        self.require_signatures()

    def require_signatures(self) -> None:
        """Raise Broken where a signature has gone, does not hold, or has never been made."""
        from storymesh.release.catalog import list_releases
        from storymesh.release.manifest import read_manifest_bytes
        from storymesh.release.signature import find_signers, public_key_text, signing_key

        private = signing_key(self.keys[0])
        assert private is not None
        own = public_key_text(private)
        for release in list_releases(self.root / "releases"):
            signers, faults = find_signers(release.path, read_manifest_bytes(release.path))
            if missing := self.signers.get(release.name, {own}) - set(signers):
                raise Broken(f"{release.name} is not signed any more by {missing}")
            if faults:
                raise Broken(f"{release.name}: {faults}")
            self.signers[release.name] = set(signers)

    def require_newest(self, when: str) -> None:
        """Require nothing: a change of a row that is forgotten gives no new release."""

    def require_numbers(self, numbers: list[int]) -> None:
        if len(set(numbers)) < len(numbers):
            raise Broken(f"the releases are numbered {numbers}")


def _write_keys(folder: Path) -> list[Path]:
    """Write private keys to sign with, and return their files."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    files = [folder / f"key-{number}.pem" for number in range(SIGNERS)]
    for number, file in enumerate(files):
        key = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return files


def _is_used(path: Path) -> bool:
    """Return True for a temporary folder of a living process."""
    from storymesh.file_lock import is_lock_held

    try:
        return is_lock_held(path / ".lock")
    except OSError:
        return False


def _operate(root: Path, folder: Path, operation: str, arguments: Mapping[str, Any]) -> int:
    """Do one operation on the mesh, and return its exit code."""
    import shutil

    from storymesh.errors import StorymeshError
    from storymesh.lifecycle.erase import Erasure
    from storymesh.lifecycle.expire import expire_snapshots, plan_expiry
    from storymesh.lifecycle.pull import pull_release
    from storymesh.lifecycle.rebuild import rebuild_release
    from storymesh.mesh.mesh import load_mesh
    from storymesh.mesh.snapshot_pinning import pin_build
    from storymesh.product.publish import publish
    from storymesh.product.sources.open import open_product_rows
    from storymesh.product.store import ProductStore
    from storymesh.release.catalog import list_releases
    from storymesh.release.rewritten_records import write_all_records
    from storymesh.release.write import write_release

    if operation == "run":
        return run_mesh(root, folder)
    mesh = load_mesh(root)
    try:
        if operation in ("publish", "release"):
            product = mesh.product("fleet.trucks")
            contract, place = mesh.contract(product.id), mesh.domain_folder("fleet")
            with mesh.open_engine() as engine:
                rows = open_product_rows(product, contract, place, Path("none"), engine)
                store = ProductStore(mesh.warehouse, "fleet")
                publish(product, contract, rows, store, engine, f"soak-{os.getpid()}")
        if operation == "release":
            build = pin_build(mesh, mesh.narrative("roadside"))
            write_all_records(build)
            write_release(build)
        if operation.startswith("forget"):
            erasure = Erasure(mesh.warehouse, mesh.releases, mesh.open_engine, mesh.contracts)
            plans = [erasure.plan("fleet.trucks", arguments["key"])]
            list(erasure.erase(plans))
            if operation == "forget and remove":
                erasure.remove_old(plans)
        if operation == "expire":
            plans = plan_expiry(mesh.products, mesh.warehouse, mesh.releases)
            expire_snapshots(plans, mesh.warehouse, mesh.releases)
        if operation == "sign":
            _sign(mesh.releases, arguments["signing key"])
        if operation in ("rebuild", "pull") and (found := list_releases(mesh.releases)):  # all may be forgotten
            release = found[-1]
            into = folder / ("rebuilt" if operation == "rebuild" else "pulled")
            shutil.rmtree(into, ignore_errors=True)
            if operation == "rebuild":
                rebuild_release(release, mesh.warehouse, mesh.open_engine, into)
            else:
                pull_release(release, into, mesh.open_engine)
    except StorymeshError as error:
        print(f"{error.message} ({error.hint})")
        return 1
    return 0


def _sign(releases: Path, file: Path) -> None:
    from storymesh.release.catalog import list_releases
    from storymesh.release.signature import sign_release, signing_key

    key = signing_key(file)
    assert key is not None
    for release in list_releases(releases)[-1:]:
        sign_release(release.path, key)


def soak(kills: int, seed: int, say: Callable[[str], None]) -> Mapping[str, int]:
    """Return what was killed -> how often. Raises Broken with what was lost."""
    with tempfile.TemporaryDirectory(prefix="storymesh-soak-") as folder:
        mesh = KillSoak(Path(folder), seed, say)
        try:
            mesh.run(kills)
        finally:
            tempfile.tempdir = None
        say(f"ended: {json.dumps(mesh.ended, indent=1, sort_keys=True)}")
        return Counter(mesh.met)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    met = soak(asked.kills, asked.seed, lambda line: print(line, flush=True))
    for what, count in sorted(met.items()):
        print(f"{count:>5}  {what}")
    spent = sum(resource.getrusage(who).ru_utime for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(f"{sum(met.values())} kills, nothing lost: {time.monotonic() - began:.0f} s, {spent:.0f} s of CPU")


if __name__ == "__main__":
    main()

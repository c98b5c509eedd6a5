"""What is said of releases that were verified, rebuilt, pushed or freed of what is to be forgotten."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from storymesh.lifecycle.erase import Found, Succeeded
    from storymesh.lifecycle.expire import Expiring
    from storymesh.lifecycle.ocel import Log
    from storymesh.lifecycle.push import Going
    from storymesh.release.manifest import Release


def verify_all(releases: "Sequence[Release]", form: Literal["text", "json"]) -> bool:
    """Verify one after the other and say what was found; whether all are whole."""
    from storymesh.lifecycle.verify import verify

    told, whole = [], True
    for release in releases:
        found = verify(release.path)
        whole = whole and not found.differences
        told.append(
            {
                "narrative": release.narrative,
                "version": release.version,
                "digest": release.digest,
                "recomputed": found.digest,
                "records": found.records,
                "differences": list(found.differences),
            }
        )
        if form == "text":
            name = f"{release.narrative} {release.version}"
            if found.differences:
                typer.echo(f"✗ {name}: not as its lock says")
                for words in found.differences:
                    typer.echo(f"  {words}")
            else:
                typer.echo(f"✓ {name}: {found.records:,} records, digest {release.digest[:12]}, as it was cut")
    if form == "json":
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
    return whole


def show_found(found: "Found", *, yes: bool) -> None:
    """Where the row stands, which records used it, and what is done, or would be."""
    here = "also in the one that readers see now" if found.current else "no more in the one that readers see now"
    typer.echo(f"{found.product} {found.key}: in {_many(len(found.versions), 'version')} of the product, {here}")
    for used in found.used:
        release = used.release
        records = ", ".join(f"{config} {count:,}" for config, count in used.records.items()) or "no record prints it"
        quotes = ", ".join(f"{config} {count:,}" for config, count in used.quotes.items())
        quoting = f"; quoted by {quotes}" if quotes else ""
        typer.echo(f"{release.narrative} {release.version}: {_many(used.cases, 'case')}; {records}{quoting}")
        more = sum(used.records.values()) + sum(used.quotes.values()) - len(used.some)
        for record in used.some:
            typer.echo(f"  {record}")
        if more > 0:
            typer.echo(f"  and {more:,} more")
    for release, words in found.unknown:
        typer.echo(f"{release.narrative} {release.version}: {words}", err=True)
    if not found.used:
        typer.echo("no release used it")
    typer.echo(f"old versions of {found.product} keep the row until they expire: storymesh expire {found.product}")
    if found.current:
        typer.echo("its domain removes the row itself; until then later cuts leave out the cases that it belongs to")
    if not yes:
        typer.echo("nothing was changed: --yes does it", err=True)


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' * (count != 1)}"


def show_succeeded(succeeded: "Succeeded") -> None:
    old, new = succeeded.old, succeeded.new
    typer.echo(f"{old.narrative} {new.version} succeeds {old.version}, without them")


def show_going(what: "Going", *, dry: bool) -> None:
    """Which files go where, and who may read them there; without `dry` in one line."""
    release = what.release
    place = f"{'public' if what.public else 'private'} dataset {what.repository}"
    size = sum(what.files.values())
    typer.echo(f"{release.narrative} {release.version}: {len(what.files)} files, {size:,} bytes, to the {place}")
    if not dry:
        return
    for name, count in what.files.items():
        typer.echo(f"  {count:>12,}  {name}")
    if what.internal:
        typer.echo(f"prints internal values, so it may not be public: {', '.join(what.internal)}")
    typer.echo("nothing was sent", err=True)


def show_log(log: "Log") -> None:
    """What an event log holds, and which cases it does not hold."""
    release = log.release
    held = f"{_many(log.cases, 'case')}, {_many(log.objects, 'object')} and {_many(log.events, 'event')}"
    typer.echo(f"{release.narrative} {release.version}: {held} written to {log.path}")
    for reason, count in log.dropped.items():
        typer.echo(f"  without {_many(count, 'case')}: {reason}")


def show_expiring(found: "Sequence[Expiring]", *, yes: bool) -> None:
    """Which versions of each product go, or would, which stay and what for, and what is lost with those that go."""
    for one in found:
        typer.echo(f"{one.product}: {_many(len(one.snapshots), 'version')} of {len(one.snapshots) + len(one.kept)}")
        for snapshot in one.snapshots:
            when = f"{snapshot.published_at:%Y-%m-%d %H:%M}"
            typer.echo(f"  {snapshot.version[:12]} goes: {snapshot.rows:,} rows, published {when} UTC")
        for version, releases in one.kept.items():
            told = [f"{release.narrative} {release.version}" for release in releases]
            seen = ["what readers see"] if version == one.current else []
            typer.echo(f"  {version[:12]} stays: {', '.join([*seen, *told])}")
    lost = dict.fromkeys(f"{release.narrative} {release.version}" for one in found for release in one.lost)
    if lost:
        typer.echo(f"can no longer be rebuilt, traced or exported: {', '.join(lost)}")
    if not any(one.snapshots for one in found):
        typer.echo("nothing expires", err=True)
    elif not yes:
        typer.echo("nothing was changed: --yes does it", err=True)

"""An event log that was written from a release."""

from typing import TYPE_CHECKING

from storymesh.cli.output.console import echo
from storymesh.cli.output.counting import count_of

if TYPE_CHECKING:
    from storymesh.lifecycle.ocel import EventLog


def show_event_log(log: "EventLog") -> None:
    """Print how many cases, objects and events the log holds, and which cases it leaves out."""
    release = log.release
    held = f"{count_of(log.cases, 'case')}, {count_of(log.objects, 'object')} and {count_of(log.events, 'event')}"
    echo(f"{release.name}: {held} written to {log.path}")
    for reason, count in log.dropped.items():
        echo(f"  without {count_of(count, 'case')}: {reason}")

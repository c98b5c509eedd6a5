"""The `storymesh` command: its commands are in `commands`, what they print is in `output`."""

import sys

INTERRUPTED = 130  # as shells have it


def main() -> None:
    """Run the command that the arguments of this process name, and exit with its code.

    Whoever presses Ctrl-C while the commands are being imported sees no traceback either.
    """
    try:
        from storymesh.cli.app import run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(INTERRUPTED)

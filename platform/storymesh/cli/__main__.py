"""Run the command as `python -m storymesh.cli`, where the console script is not installed."""

from storymesh.cli import main

main()

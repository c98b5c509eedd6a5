"""How varied the stories of the reference mesh are with one, twelve and forty variants of their template.

    python -m benchmarks.variants --delays 5000

A scripted model answers `storymesh vary` with templates put together from the paragraphs in `report/`, so that figures
are of wordings by people; each passes the checks that every variant passes. Then the records are written and measured
as each release measures its own.
"""

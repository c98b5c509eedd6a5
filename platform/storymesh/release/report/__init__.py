"""The report of a release, report.html: stories whose every value shows the row that it comes from, and charts."""

from storymesh.release.report.render import render_report

__all__ = ["render_report"]

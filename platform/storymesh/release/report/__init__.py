"""The report.html of a release."""

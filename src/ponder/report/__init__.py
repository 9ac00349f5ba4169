"""report.html: a run as one page that opens from a file, without a server or the network."""

from ponder.report.html import write_report

__all__ = ["write_report"]

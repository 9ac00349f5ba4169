"""report.html of a pipeline: the graph, the stage table, comparisons, curves, data cards."""

from ponder.pipeline.report.page import write_pipeline_report

__all__ = ["write_pipeline_report"]

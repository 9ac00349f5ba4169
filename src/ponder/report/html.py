"""Puts the page together: one file, nothing fetched, nothing that a model wrote ever runs.

What came from a run reaches the page in three ways only: as escaped HTML (``header``), as JSON in
a data block whose ``<``, ``>`` and ``&`` are escaped, and as base64. The scripts put text into the
page as text nodes. Besides, a content security policy allows the page's own script and style by
their hashes, and nothing else: no other script, no request.
"""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

import ponder
from ponder.report.embed import DEFAULT_LIMIT, Embedded, embed_rollouts
from ponder.report.header import alarms_html, config_html, facts_html, lead_html, table_html
from ponder.report.load import MAX_POINTS, RunData, load_run, thin
from ponder.report.page import asset, fill_page, joined_scripts
from ponder.runlog import RunFolder
from ponder.runlog.durable import write_atomic
from ponder.text.reflection import REFLECTIVE_WORDS

_SCRIPTS = (
    "dom.js", "chart.js", "figures.js", "verbatim.js", "rollouts.js", "theme.js", "main.js",
)  # fmt: skip


def write_report(run_path: Path) -> Path:
    """Write RUN/report.html from the run folder as it is now, and return its path.

    Works while the run goes on, and on runs without evaluations, rollouts or alarms.

    Raises:
        PonderError: ``run_path`` is no run folder, its files are damaged, or the disk is full.
    """
    run = load_run(RunFolder.open(run_path))
    page = render_page(run, embed_rollouts(run.folder.rollouts_dir, run.rollout_steps))
    write_atomic(run.folder.report_path, page.encode("utf-8", "replace"))
    return run.folder.report_path


def render_page(run: RunData, rollouts: Embedded) -> str:
    """The page as text."""
    slots = {
        "title": escape(run.name),
        "lead": lead_html(run),
        "facts": facts_html(run),
        "table": table_html(run),
        "alarms": alarms_html(run),
        "config": config_html(run.config_toml),
        "version": escape(ponder.__version__),
        "data": safe_json(_page_data(run, rollouts)),
        "rollouts": "\n".join(
            f'<script type="text/plain" id="rollouts-{item.step}">{item.payload}</script>'
            for item in rollouts.steps
        ),
    }
    return fill_page("page.html", slots, joined_scripts(_SCRIPTS), asset("style.css"))


def safe_json(value: Any) -> str:
    """JSON that cannot end the ``<script>`` element it stands in, whatever strings it holds."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _page_data(run: RunData, rollouts: Embedded) -> dict[str, Any]:
    thinned = any(len(series.steps) > MAX_POINTS for series in run.series.values())
    return {
        "series": {
            key: [short.steps, [float(f"{value:.6g}") for value in short.values]]
            for key, series in run.series.items()
            for short in [thin(series)]
        },
        "maxPoints": MAX_POINTS if thinned else None,
        "words": REFLECTIVE_WORDS,
        "rollouts": {
            "steps": [
                {
                    "step": item.step,
                    "groups": item.num_groups,
                    "kept": item.kept_groups,
                    "reflective": item.reflective,
                    "plain": item.plain,
                }
                for item in rollouts.steps
            ],
            "numSteps": rollouts.num_steps,
            "limit": rollouts.limit,
            "isDefaultLimit": rollouts.limit == DEFAULT_LIMIT,
            "damaged": rollouts.damaged,
        },
    }

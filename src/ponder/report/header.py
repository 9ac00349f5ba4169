"""The parts of the page that are plain HTML: what the run was, before and after, alarms, config."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape
from pathlib import PurePath
from typing import Any

from ponder.report.load import RunData

Figures = dict[str, Any]

_ROWS = {
    "pass@1": ("pass@1", "share"),
    "mean_tokens": ("tokens per completion", "number"),
    "reflective_words_per_completion": ("reflective words per completion", "number"),
    "reflective_share": ("completions that reflect", "share"),
    "format": ("strict format", "share"),
    "truncated_fraction": ("cut at the token limit", "share"),
}
_AT_K = re.compile(r"(?:pass|cons)@\d+")


def lead_html(run: RunData) -> str:
    """One sentence: what the run did to held-out pass@1."""
    if run.before is None or run.after is None:
        return ""
    (_, before), (step, after) = run.before, run.after
    num_problems = after.get("num_problems")
    where = f"{num_problems:,.0f} held-out problems" if num_problems else "held-out problems"
    return (
        f"<p class='lead'>On {where}, pass@1 went from <b>{_pass_at_1(before)}</b> to "
        f"<b>{_pass_at_1(after)}</b> in {step:,} steps.</p>"
    )


def facts_html(run: RunData) -> str:
    """What was run, as a list of terms."""
    return "".join(
        f"<div><dt>{escape(term)}</dt><dd>{escape(text)}</dd></div>" for term, text in _facts(run)
    )


def table_html(run: RunData) -> str:
    """Before and after, with the standard error of pass@1."""
    if run.before is None:
        return "<p class='note'>This run has no held-out evaluation yet.</p>"
    (first, before) = run.before
    (last, after) = run.after or (None, None)
    head = _row("th", "", f"before<small>step {first:,}</small>", *_after_head(run, last))
    rows = [_measure(key, before, after) for key in _keys(before)]
    return (
        f"<table><thead>{head}</thead><tbody>{''.join(rows)}</tbody></table>"
        f"<p class='note'>{_table_note(before)}</p>"
    )


def alarms_html(run: RunData) -> str:
    """What the guards said."""
    if not run.alarms:
        return "<p class='note'>No alarm was raised.</p>"
    rows = "".join(
        "<li>"
        f"<a class='tostep' href='#step={escape(str(alarm.get('step')), quote=True)}'>"
        f"step {escape(str(alarm.get('step')))}</a> "
        f"<b>{escape(str(alarm.get('name', 'alarm')).replace('_', ' '))}</b> "
        f"<span>{escape(_alarm_text(alarm))}</span></li>"
        for alarm in run.alarms
    )
    return f"<ul class='alarms'>{rows}</ul>"


def config_html(config_toml: str) -> str:
    """The resolved config, its section names and comments set apart."""
    return "\n".join(_config_line(line) for line in config_toml.rstrip().splitlines())


def duration(seconds: float) -> str:
    """Seconds as a person says them: "41 s", "12 min 5 s", "3 h 7 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _facts(run: RunData) -> Iterable[tuple[str, str]]:
    config = run.config
    batch, algorithm = config.get("batch", {}), config.get("algorithm", {})
    yield "model", str(config.get("model", "unknown"))
    if config.get("kind") == "sft":
        yield from _sft_facts(config)
    elif config.get("kind") == "reward_model":
        yield from _reward_facts(config)
    else:
        yield "problems", problems_in_words(config.get("problems", {}))
    if algorithm:
        yield "algorithm", _algorithm(algorithm)
    if "prompts_per_step" in batch:
        prompts, size, updates = (
            batch[key] for key in ("prompts_per_step", "group_size", "minibatches")
        )
        yield (
            "each step",
            f"{prompts} problems × {size} completions, {updates} update{'s'[: updates > 1]}",
        )
    yield "steps", f"{run.num_steps:,} of {config.get('steps', run.num_steps):,} ({_status(run)})"
    if run.seconds is not None:
        yield "time", duration(run.seconds)
    yield "started", run.started.strftime("%Y-%m-%d %H:%M")
    yield "seed", str(config.get("seed", "unknown"))


def _sft_facts(config: Figures) -> Iterable[tuple[str, str]]:
    data, batch = config.get("data", {}), config.get("batch", {})
    tokens, samples = batch.get("tokens"), batch.get("samples")
    yield "samples", str(data.get("path", "unknown"))
    yield "each step", f"{tokens:,} tokens at most" if tokens else f"{samples:,} samples"
    yield "epochs", str(config.get("epochs", "unknown"))


def _reward_facts(config: Figures) -> Iterable[tuple[str, str]]:
    yield "preferences", str(config.get("data", {}).get("path", "unknown"))
    yield "objective", str(config.get("objective", "unknown"))
    yield "each step", f"{config.get('batch_size', 0):,} examples"
    yield "epochs", str(config.get("epochs", "unknown"))


def _status(run: RunData) -> str:
    if run.summary is None:
        return "not finished"
    return "finished" if run.summary.get("finished", True) else "stopped early"


def problems_in_words(problems: Figures) -> str:
    if problems.get("mixture"):
        return " + ".join(_source(part) for part in problems["mixture"])
    settings = problems.get("settings") or {}
    listed = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"{_source(problems)} ({listed})" if listed else _source(problems)


def _source(problems: Figures) -> str:
    """What problems are called: by task or name, else by hub id, else by file."""
    for key in ("task", "name", "hub"):
        if problems.get(key):
            return str(problems[key])
    return PurePath(str(problems["path"])).name if problems.get("path") else "unknown"


def _algorithm(algorithm: Figures) -> str:
    parts = [
        str(algorithm.get("loss", "")),
        f"normalised by {algorithm.get('normalise')}",
        f"advantage {algorithm.get('advantage')}",
        f"KL {algorithm.get('kl_coef', 0):g}",
    ]
    return ", ".join(parts)


def _keys(figures: Figures) -> list[str]:
    """The measures that an evaluation has, in the table's order, pass@k by rising k."""
    at_k = sorted(
        (key for key in figures if _AT_K.fullmatch(key) and key != "pass@1"),
        key=lambda key: (key.startswith("cons"), int(key.split("@")[1])),
    )
    plain = [key for key in _ROWS if key in figures and key != "pass@1"]
    return (["pass@1"] if "pass@1" in figures else []) + at_k + plain


def _measure(key: str, before: Figures, after: Figures | None) -> str:
    label, kind = _ROWS.get(key, (key, "share"))
    cells = [_cell(key, kind, before)]
    if after is not None:
        cells += [_cell(key, kind, after), _change(kind, before.get(key), after.get(key))]
    return _row("td", escape(label), *cells)


def _cell(key: str, kind: str, figures: Figures) -> str:
    value = figures.get(key)
    if value is None:
        return "–"
    if key == "pass@1":
        return _pass_at_1(figures)
    return f"{100 * value:.1f} %" if kind == "share" else f"{value:,.1f}"


def _pass_at_1(figures: Figures) -> str:
    value, error = figures["pass@1"], figures.get("stderr")
    shown = f"{100 * value:.1f}"
    return f"{shown} ± {100 * error:.1f} %" if error is not None else f"{shown} %"


def _change(kind: str, before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "–"
    difference = after - before
    if kind == "share":
        return f"{_sign(100 * difference)} <span class='unit'>points</span>"
    factor = f" <small>× {after / before:.2g}</small>" if before > 0 and after > 0 else ""
    return _sign(difference) + factor


def _sign(value: float) -> str:
    return f"{value:+,.1f}".replace("-", "−")


def _after_head(run: RunData, step: int | None) -> list[str]:
    if step is None:
        return []
    word = "after" if run.summary and run.summary.get("after") else "latest"
    return [f"{word}<small>step {step:,}</small>", "change"]


def _table_note(figures: Figures) -> str:
    problems, samples = figures.get("num_problems"), figures.get("num_samples")
    if not problems:
        return "± is the standard error over problems."
    each = f", {samples:,.0f} completions" if samples else ""
    return f"{problems:,.0f} held-out problems{each}; ± is the standard error over problems."


def _row(tag: str, *cells: str) -> str:
    first = f"<th scope='row'>{cells[0]}</th>" if tag == "td" else f"<th>{cells[0]}</th>"
    return f"<tr>{first}{''.join(f'<{tag}>{cell}</{tag}>' for cell in cells[1:])}</tr>"


def _alarm_text(alarm: Figures) -> str:
    known = {"step", "name", "message"}
    rest = {key: value for key, value in alarm.items() if key not in known}
    return str(alarm.get("message", "")) + (f" {rest}" if rest else "")


def _config_line(line: str) -> str:
    text = escape(line)
    if line.lstrip().startswith("#"):
        return f"<i>{text}</i>"
    return f"<b>{text}</b>" if line.startswith("[") else text

"""Small charts as SVG text: columns with error bars, and curves over steps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

from ponder.pipeline.table import SECTIONS, StageTable
from ponder.report.load import Series

TONES = ("blue", "red", "green", "violet", "gold", "ink", "grey")
WIDTH, HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 38, 8, 10, 26
_LETTER = 5.5
"""Width of a letter under a column, roughly."""


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to heights in the picture."""

    low: float
    high: float

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return HEIGHT - _BOTTOM - share * (HEIGHT - _TOP - _BOTTOM)

    def ticks(self) -> list[float]:
        """About four round values."""
        step = _round_step((self.high - self.low) / 4)
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def scale_of(values: Sequence[float], most: float | None = None) -> Scale:
    """Round bounds around values; from 0 where the lowest is near it, and up to ``most``."""
    low, high = min(values), max(values)
    if low == high == 0:
        return Scale(0.0, 1.0)
    low = min(low, high - max(0.04 * abs(high), 1e-9))
    if low > 0 and low < 0.6 * high:
        low = 0.0
    step = _round_step((high - low) / 4)
    top = math.ceil(high / step - 1e-9) * step
    return Scale(math.floor(low / step + 1e-9) * step, top if most is None else min(top, most))


def table_charts(table: StageTable) -> str:
    """One figure for each measure: columns along, a line for each benchmark."""
    names = table.benchmarks
    figures = "".join(_measure_figure(table, measure) for measure in SECTIONS)
    return f"{legend(names)}<div class='charts'>{figures}</div>" if names else ""


def curve_figures(curves: Mapping[str, Mapping[str, Series]], wanted: Mapping[str, str]) -> str:
    """One figure for each metric that a stage has, a line for each stage. ``wanted``: titles."""
    figures = []
    for key, title in wanted.items():
        found = {name: series[key] for name, series in curves.items() if key in series}
        if found:
            tones = [TONES[list(curves).index(name) % len(TONES)] for name in found]
            figures.append(_figure(title, _curves_svg(title, found, tones)))
    if not figures:
        return ""
    return f"{legend(list(curves))}<div class='charts'>{''.join(figures)}</div>"


def legend(names: Sequence[str]) -> str:
    """Names with their colours."""
    keys = "".join(
        f"<span class='key {tone}'><i></i>{escape(name)}</span>"
        for name, tone in zip(names, _tones(len(names)), strict=True)
    )
    return f"<div class='legend chartkey'>{keys}</div>"


def _measure_figure(table: StageTable, measure: str) -> str:
    title, factor, decimals, marks = SECTIONS[measure]
    lines = {name: _points(table, measure, name) for name in table.benchmarks}
    ends = [
        point.value + sign * point.error
        for points in lines.values()
        for point in points
        for sign in (-1, 1)
    ]
    if not ends:
        return ""
    most = factor if marks else None  # shares end at 100 %, error bars may not
    scale = scale_of(ends if most is None else [min(end, most) for end in ends], most)
    body = [_frame(scale, [column.label for column in table.columns])]
    for number, (name, tone) in enumerate(zip(lines, _tones(len(lines)), strict=True)):
        shift = 5.0 * (number - (len(lines) - 1) / 2)
        marked = _marked_line(name, lines[name], shift, scale, decimals)
        body.append(f"<g class='{tone}'>{marked}</g>")
    return _figure(title, _svg(title, body))


@dataclass(frozen=True, slots=True)
class _Point:
    """A cell of the table where it is drawn, in the measure's unit."""

    x: float
    value: float
    error: float
    label: str


def _points(table: StageTable, measure: str, benchmark: str) -> list[_Point]:
    """The cells that a benchmark has, from column to column."""
    factor, columns = SECTIONS[measure][1], table.columns
    return [
        _Point(
            _x(place, len(columns)),
            factor * cell.value,
            factor * (cell.stderr or 0.0),
            column.label,
        )
        for place, column in enumerate(columns)
        if (cell := column.cells.get((measure, benchmark))) is not None
    ]


def _marked_line(
    name: str, points: Sequence[_Point], shift: float, scale: Scale, decimals: int
) -> str:
    """A line with its error bars, moved aside so that lines do not hide each other's."""
    line = " ".join(f"{point.x + shift:.1f},{scale.y(point.value):.1f}" for point in points)
    marks = [
        _mark(
            point.x + shift,
            scale,
            point.value,
            point.error,
            f"{name}, {point.label}: {point.value:,.{decimals}f} ± {point.error:,.{decimals}f}",
        )
        for point in points
    ]
    return f"<polyline class='thin' points='{line}'/>{''.join(marks)}"


def _mark(x: float, scale: Scale, value: float, error: float, said: str) -> str:
    top, middle = scale.y(min(value + error, scale.high)), scale.y(value)
    low = scale.y(max(value - error, scale.low))
    bar = (
        f"<path class='errorbar' d='M{x:.1f} {top:.1f}V{low:.1f}"
        f"M{x - 2.5:.1f} {top:.1f}h5M{x - 2.5:.1f} {low:.1f}h5'/>"
    )
    dot = f"<circle class='dot' cx='{x:.1f}' cy='{middle:.1f}' r='3'/>"
    return f"<g><title>{escape(said)}</title>{bar}{dot}</g>"


def _curves_svg(title: str, found: Mapping[str, Series], tones: Sequence[str]) -> str:
    values = [value for series in found.values() for value in series.values]
    scale = scale_of(values)
    last = max(1, max(series.steps[-1] for series in found.values()))
    body = [_frame(scale, ())]
    width = WIDTH - _LEFT - _RIGHT
    step = max(1, round(_round_step(last / 4)))
    body += [
        f"<text class='tick' text-anchor='middle' x='{_LEFT + width * at / last:.1f}' "
        f"y='{HEIGHT - 9}'>{at}</text>"
        for at in range(0, last + 1, step)
    ]
    for (name, series), tone in zip(found.items(), tones, strict=True):
        line = " ".join(
            f"{_LEFT + width * at / last:.1f},{scale.y(value):.1f}"
            for at, value in zip(series.steps, series.values, strict=True)
        )
        said = f"{name}: {series.values[0]:.3g} → {series.values[-1]:.3g}"
        body.append(
            f"<g class='{tone}'><title>{escape(said)}</title><polyline points='{line}'/></g>"
        )
    return _svg(title, body)


def _frame(scale: Scale, labels: Sequence[str]) -> str:
    parts = []
    for tick in scale.ticks():
        y = scale.y(tick)
        parts.append(
            f"<line class='gridline' x1='{_LEFT}' x2='{WIDTH - _RIGHT}' y1='{y:.1f}' y2='{y:.1f}'/>"
        )
        parts.append(
            f"<text class='tick' text-anchor='end' x='{_LEFT - 6}' y='{y + 3.5:.1f}'>"
            f"{tick:,.4g}</text>"
        )
    longest = _LETTER * max(map(len, labels), default=0)
    is_tight = longest * len(labels) > WIDTH - _LEFT - _RIGHT
    for place, label in enumerate(labels):
        drop = -1 if is_tight and place % 2 else 9
        parts.append(
            f"<text class='tick' text-anchor='middle' x='{_x(place, len(labels)):.1f}' "
            f"y='{HEIGHT - drop}'>{escape(label)}</text>"
        )
    return "".join(parts)


def _x(place: int, count: int) -> float:
    return _LEFT + (WIDTH - _LEFT - _RIGHT) * (place + 0.5) / count


def _svg(title: str, body: Sequence[str]) -> str:
    box = f"viewBox='0 0 {WIDTH} {HEIGHT + 4}'"
    label = f"role='img' aria-label='{escape(title, quote=True)}'"
    return f"<svg {box} {label}>{''.join(body)}</svg>"


def _figure(title: str, svg: str) -> str:
    return f"<figure class='small'><h3>{escape(title)}</h3>{svg}</figure>"


def _tones(count: int) -> list[str]:
    return [TONES[number % len(TONES)] for number in range(count)]


def _round_step(rough: float) -> float:
    power = 10 ** math.floor(math.log10(rough))
    return next(float(power * k) for k in (1, 2, 2.5, 5, 10) if power * k >= rough * 0.999)

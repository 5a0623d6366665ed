"""Charts as inline SVG: they need no script and no network, follow the page's colours, and can be printed.

Every chart has its numbers in its labels or in a table beside it; colour alone tells nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from pipeline.evaluation.page.markup import Markup, tag


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a stacked bar; `kind` is the class that colours it, `label` what a pointer over it tells."""

    value: float
    kind: str
    label: str


def bar(parts: Iterable[Part], whole: float, label: str) -> Markup:
    """A stacked bar as wide as its place; `whole` is its full width."""
    drawn, left = [tag("rect", class_="track", width=100, height=10)], 0.0
    for part in parts:
        width = 100 * part.value / whole if whole else 0.0
        if width > 0:
            drawn.append(tag("rect", tag("title", part.label), class_=part.kind, x=left, width=width, height=10))
        left += width
    return tag(
        "svg", *drawn, class_="bar", viewBox="0 0 100 10", preserveAspectRatio="none", role="img", aria_label=label
    )


# --- quality against time ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Point:
    """A model in the scatter: `x` in seconds, `y` from 0 to 1. `kind`: good, bad or reference."""

    x: float
    y: float
    label: str
    kind: str


_WIDTH, _HEIGHT = 780, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 66.0, 756.0, 18.0, 326.0


def scatter(points: Sequence[Point], x_title: str, y_title: str) -> Markup:
    """Quality upwards, time to the right on a logarithmic scale: the best stand at the top left."""
    ticks = _ticks([point.x for point in points])
    low, high = math.log10(ticks[0]), math.log10(ticks[-1])
    floor = math.floor(max(0.0, min(point.y for point in points) - 0.02) * 10) / 10

    def across(x: float) -> float:
        return _LEFT + (math.log10(max(x, ticks[0])) - low) / (high - low) * (_RIGHT - _LEFT)

    def up(y: float) -> float:
        return _BOTTOM - (y - floor) / (1 - floor) * (_BOTTOM - _TOP)

    drawn: list[Markup] = []
    step = 0.1 if floor < 0.8 else 0.05
    for y in (floor + step * number for number in range(round((1 - floor) / step) + 1)):
        drawn.append(tag("line", class_="grid", x1=_LEFT, x2=_RIGHT, y1=up(y), y2=up(y)))
        drawn.append(tag("text", f"{y:.0%}", class_="tick", x=_LEFT - 8, y=up(y) + 4, text_anchor="end"))
    for x in ticks:
        drawn.append(tag("line", class_="grid", x1=across(x), x2=across(x), y1=_TOP, y2=_BOTTOM))
        drawn.append(tag("text", seconds(x), class_="tick", x=across(x), y=_BOTTOM + 18, text_anchor="middle"))
    drawn.append(tag("text", x_title, class_="axis", x=(_LEFT + _RIGHT) / 2, y=_HEIGHT - 10, text_anchor="middle"))
    turned = f"translate(16 {(_TOP + _BOTTOM) / 2:.0f}) rotate(-90)"
    drawn.append(tag("text", y_title, class_="axis", transform=turned, text_anchor="middle"))
    taken: list[tuple[float, float]] = []
    drawn += [_point(p, across(p.x), up(p.y), taken) for p in sorted(points, key=lambda found: -found.y)]
    told = "; ".join(f"{point.label}: {point.y:.1%} in {seconds(point.x)}" for point in points)
    return _framed(_WIDTH, _HEIGHT, drawn, f"{y_title} against {x_title}. {told}")


def _ticks(values: Iterable[float]) -> list[float]:
    """1, 2 and 5 of each power of ten, from below the least value to above the greatest."""
    known = [max(value, 1e-4) for value in values]
    powers = range(math.floor(math.log10(min(known))) - 1, math.ceil(math.log10(max(known))) + 2)
    marks = [m * 10.0**power for power in powers for m in (1, 2, 5)]
    first = max(n for n, mark in enumerate(marks) if mark < min(known))
    last = min(n for n, mark in enumerate(marks) if mark > max(known))
    return marks[max(0, first - 1) : last + 2]


def seconds(value: float) -> str:
    """A time as a person reads it."""
    if value < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s" if value < 120 else f"{value / 60:.3g} min"


_LETTER = 7.4  # width of a letter of a label, about, in the units of the drawing
_LINE = 16.0  # height of a label's line


def mark(kind: str, x: float, y: float) -> Markup:
    """A model's mark: a disc where it keeps every limit, a cross where it does not, a lozenge for the reference."""
    if kind == "good":
        return tag("circle", class_="mark good", cx=x, cy=y, r=6)
    way = f"M{x - 5:.1f} {y - 5:.1f}l10 10m0 -10l-10 10" if kind == "bad" else f"M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z"
    return tag("path", class_=f"mark {kind}", d=way)


def _point(point: Point, x: float, y: float, taken: list[tuple[float, float]]) -> Markup:
    """The mark with its label, which goes down until it stands on no other."""
    width = _LETTER * len(point.label)
    is_left = x + 14 + width > _RIGHT
    start = x - 12 - width if is_left else x + 12
    at = y + 4
    while any(abs(at - other) < _LINE and start < end and begin < start + width for other, begin, end in _boxes(taken)):
        at += _LINE
    taken += [(at, start), (at, start + width)]
    label = tag(
        "text", point.label, class_="label", x=x - 12 if is_left else x + 12, y=at,
        text_anchor="end" if is_left else None,
    )  # fmt: skip
    return Markup(mark(point.kind, x, y) + label)


def _boxes(taken: list[tuple[float, float]]) -> list[tuple[float, float, float]]:
    return [(at, start, end) for (at, start), (_at, end) in zip(taken[::2], taken[1::2], strict=True)]


# --- values by level ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Line:
    """A model's values by level of concurrency; `kind` is the class that colours it."""

    label: str
    kind: str
    values: Sequence[tuple[int, float]]


def lines(given: Sequence[Line], levels: Sequence[int], title: str, written: Callable[[float], str]) -> Markup:
    """A small chart: one line a model over the levels, with its last value written at its end."""
    width, height, left, right, top, bottom = 350, 220, 24.0, 262.0, 42.0, 174.0
    most = max((value for line in given for _level, value in line.values), default=0.0) or 1.0

    def across(level: int) -> float:
        return left + levels.index(level) / max(1, len(levels) - 1) * (right - left)

    def up(value: float) -> float:
        return bottom - value / most * (bottom - top)

    drawn = [
        tag("text", title, class_="axis strong", x=8, y=18),
        tag("line", class_="grid", x1=left, x2=right, y1=bottom, y2=bottom),
        tag("text", "consultations at once", class_="axis", x=(left + right) / 2, y=height - 8, text_anchor="middle"),
    ]
    for level in levels:
        drawn.append(tag("line", class_="grid", x1=across(level), x2=across(level), y1=top, y2=bottom))
        drawn.append(tag("text", str(level), class_="tick", x=across(level), y=bottom + 17, text_anchor="middle"))
    for line in given:
        path = " ".join(f"{across(level):.1f},{up(value):.1f}" for level, value in line.values)
        drawn.append(tag("polyline", class_=f"line {line.kind}", points=path))
        for level, value in line.values:
            tip = tag("title", f"{line.label}, {level} at once: {written(value)}")
            drawn.append(tag("circle", tip, class_=f"dot {line.kind}", cx=across(level), cy=up(value), r=3.5))
    drawn += _ends(given, across, up, written)
    told = "; ".join(f"{n.label}: {', '.join(f'{written(v)} at {level}' for level, v in n.values)}" for n in given)
    return _framed(width, height, drawn, f"{title}. {told}", "small")


def _ends(
    given: Sequence[Line],
    across: Callable[[int], float],
    up: Callable[[float], float],
    written: Callable[[float], str],
) -> list[Markup]:
    """The last values, from the top downwards, none on another."""
    drawn, last = [], -math.inf
    for line in sorted((n for n in given if n.values), key=lambda n: up(n.values[-1][1])):
        level, value = line.values[-1]
        last = max(up(value) + 4, last + 13)
        drawn.append(tag("text", written(value), class_=f"value {line.kind}", x=across(level) + 8, y=last))
    return drawn


def _framed(width: int, height: int, drawn: list[Markup], label: str, kind: str = "") -> Markup:
    return tag(
        "svg", *drawn, class_=f"chart {kind}".strip(), viewBox=f"0 0 {width} {height}", role="img", aria_label=label
    )

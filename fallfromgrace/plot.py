"""A picture of a recording and of what rules would have done. Needs matplotlib, which nothing else here does."""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator, Sequence
from datetime import datetime
from math import ceil, floor, log2, log10
from pathlib import Path
from typing import Any, NamedTuple

from fallfromgrace.curves import Curve, Mark, Panel
from fallfromgrace.exits import Failure, NotPermitted, UsageError
from fallfromgrace.logs import one_line
from fallfromgrace.units import Dimension, human

SUFFIXES = (".svg", ".png", ".pdf")
_CURE = (
    "write 'apt-get install python3-matplotlib', or for a virtual environment \"pip install 'fall-from-grace[plot]'\""
)

_WIDTH, _HEIGHT = 11.0, 2.8  # of a panel, in inches
# So many curves have a colour and stand in the legend.
_NAMED = 6
_GREY, _LIMIT = "#b8b8b8", "#c22222"
# How much of a command line, and of a trigger, in characters.
_LONGEST_NAME, _LONGEST_TRIGGER = 32, 90
# A limit that is so many times higher than all that there is would make everything else flat.
_FAR = 4
_TICKS = 5
# Labels that would cover each other stand in so many rows, the others are left out; a character takes so much of the
# width.
_LEVELS, _ROW, _CHARACTER, _LONGEST_MARK = 4, 0.065, 0.0075, 40
# So that a label can be read where it stands on a line.
_BEHIND = {"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.75}


class Times(NamedTuple):
    """When the frames began and ended, and what people called the time when they began."""

    began: float
    ended: float
    wall: float

    def date(self, at: float) -> datetime:
        """A time of the frames, as it is here."""
        return datetime.fromtimestamp(self.wall + at - self.began).astimezone()


def check(path: Path) -> None:
    """Raises UsageError or Failure where there can be no picture: before much work is done for it."""
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"--plot makes a file whose name ends with {', '.join(SUFFIXES)}; '{path}' does not")
    _check_place(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of one library about another
            import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise Failure(f"--plot needs matplotlib ({error}); {_CURE}") from None


def _check_place(path: Path) -> None:
    try:
        there = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        there = None
    except OSError as error:
        raise _unwritable(path, error) from error
    if there and stat.S_ISDIR(there.st_mode):
        raise UsageError(f"--plot: {path} is a directory; write the name of a file")
    if not os.path.isdir(path.parent):
        raise UsageError(f"--plot: there is no directory {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise NotPermitted(f"--plot: only who may write to {path.parent} can make {path.name} there")


def draw(panels: Sequence[Panel], title: str, times: Times, path: Path) -> None:
    """Write the picture, whole or not at all. Raises Failure."""
    import matplotlib

    with matplotlib.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of characters that a font does not have
        matplotlib.rcdefaults()  # whatever somebody likes theirs to be, such as set by LaTeX
        matplotlib.rcParams.update({"svg.fonttype": "none", "font.size": 9, "axes.spines.top": False})
        data = io.BytesIO()
        _figure(panels, title, times).savefig(data, format=path.suffix.lower()[1:], dpi=110)
    _replace(path, data.getvalue())


def _replace(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        with draft.open("xb") as file:  # whatever is there already may be a link of somebody else's
            try:
                file.write(data)
                file.flush()
                draft.replace(path)
            except BaseException:
                draft.unlink(missing_ok=True)
                raise
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> Failure:
    kind = NotPermitted if isinstance(error, PermissionError) else Failure
    return kind(f"cannot write {path}: {error.strerror}")


def plain(text: str, longest: int) -> str:
    """A text as it is, in so many characters, and nothing in it taken for a formula."""
    shown = one_line(text)
    shown = shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
    return shown.replace("$", r"\$")


def _figure(panels: Sequence[Panel], title: str, times: Times) -> Any:
    from matplotlib.figure import Figure

    rows = max(1, len(panels))
    figure = Figure(figsize=(_WIDTH, 0.7 + _HEIGHT * rows), layout="constrained")
    figure.suptitle(plain(title, 140), fontsize=10)
    axes = figure.subplots(rows, 1, sharex=True, squeeze=False)[:, 0]
    if not panels:
        axes[0].text(0.5, 0.5, "no rule compares anything that was recorded", ha="center", transform=axes[0].transAxes)
    for each, panel in zip(axes, panels, strict=False):
        _draw_panel(each, panel, times)
    _draw_dates(axes[-1], times)
    return figure


def _draw_dates(axes: Any, times: Times) -> None:
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    zone = times.date(times.began).tzinfo
    locator = AutoDateLocator(tz=zone, minticks=4, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, tz=zone))
    axes.set_xlim(times.date(times.began), times.date(max(times.ended, times.began + 1)))


def _draw_panel(axes: Any, panel: Panel, times: Times) -> None:
    axes.set_title(f"{plain(panel.monitor, 60)}: {plain(str(panel.what), _LONGEST_TRIGGER)}", loc="left", fontsize=9)
    axes.grid(alpha=0.25)
    low, high = _range(panel)
    axes.set_ylim(low, high)
    axes.set_yticks(list(_ticks(low, high, panel.dimension)))
    axes.yaxis.set_major_formatter(lambda value, _: human(value, panel.dimension))
    _draw_curves(axes, panel, times)
    _draw_limits(axes, panel, high)
    _draw_marks(axes, panel.marks, times)
    axes.set_title("; ".join(_left_out(panel, high)), loc="right", fontsize=7, color=_LIMIT)


def _range(panel: Panel) -> tuple[float, float]:
    """From nothing, or from the lowest below it, to where labels have room above everything."""
    values = [value for curve in panel.curves for _, value in curve.points]
    least, most = min(0.0, *values), max(0.0, *values)
    near = [limit for limit in panel.limits.values() if limit is not None and limit <= _FAR * most]
    most = max(most, *near) if near else most
    return least, most + 0.35 * (most - least or 1.0)


def _ticks(low: float, high: float, dimension: Dimension) -> Iterator[float]:
    """Numbers that are round to people."""
    rough = (high - low) / _TICKS
    ten = 10.0 ** floor(log10(rough))
    binary = dimension in (Dimension.SIZE, Dimension.RATE)
    step = 2.0 ** ceil(log2(rough)) if binary else next(ten * each for each in (1, 2, 5, 10) if ten * each >= rough)
    yield from (step * place for place in range(ceil(low / step), floor(high / step) + 1))


# --- curves ---


def _draw_curves(axes: Any, panel: Panel, times: Times) -> None:
    """The highest in colours, above the others."""
    curves = panel.curves
    for curve in curves[_NAMED:]:
        _draw_curve(axes, curve, times, color=_GREY, linewidth=0.8, zorder=1)
    handles = [_draw_curve(axes, curve, times, linewidth=1.4, zorder=2) for curve in curves[:_NAMED]]
    labels = [_name(curve) for curve in curves[:_NAMED]]
    more = len(curves) - len(handles) + panel.left_out
    if more:
        handles += axes.plot([], [], color=_GREY)
        labels.append(f"{more} more" + (f", {panel.left_out} not drawn" if panel.left_out else ""))
    if not panel.common:
        axes.legend(handles, labels, fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.02))


def _draw_curve(axes: Any, curve: Curve, times: Times, **style: Any) -> Any:
    points = curve.points
    dot = "o" if len(points) == 1 else ""  # a line would not be seen
    dates = [times.date(at) for at, _ in points]
    return axes.plot(dates, [value for _, value in points], marker=dot, markersize=3, **style)[0]


def _name(curve: Curve) -> str:
    process = curve.process
    return plain(f"{process.id.pid} {process.image.shown}", _LONGEST_NAME) if process else ""


# --- limits and actions ---


def _draw_limits(axes: Any, panel: Panel, high: float) -> None:
    """Each with its trigger; every other to the right, or those close to each other would be one blot."""
    known = sorted((limit, label) for label, limit in panel.limits.items() if limit is not None)
    for place, (limit, label) in enumerate(each for each in known if each[0] <= high):
        x, side = (0.995, "right") if place % 2 else (0.005, "left")
        axes.axhline(limit, color=_LIMIT, linewidth=0.8, linestyle="--", zorder=0)
        style = {"ha": side, "va": "bottom", "fontsize": 7, "color": _LIMIT, "zorder": 3, "bbox": _BEHIND}
        axes.text(x, limit, plain(label, _LONGEST_TRIGGER), transform=axes.get_yaxis_transform(), **style)


def _left_out(panel: Panel, high: float) -> Iterator[str]:
    """What there is no room for."""
    above = [label for label, limit in panel.limits.items() if limit is not None and limit > high]
    if above:
        yield f"far above: {plain(', '.join(above), _LONGEST_TRIGGER)}"
    if panel.unmarked:
        yield f"{panel.unmarked} more actions, not marked"


def _draw_marks(axes: Any, marks: Sequence[Mark], times: Times) -> None:
    """Where the rule stood when the action was due; what it is stands above everything, a thin line leads to it."""
    for mark in marks:
        axes.plot([times.date(mark.at)], [mark.value or 0.0], "v", color="black", markersize=4, zorder=4)
    for mark, level, side in _labelled(marks, times):
        style = {"ha": side, "va": "top", "fontsize": 7, "zorder": 5, "bbox": _BEHIND}
        where, corner = times.date(mark.at), (float(side == "right"), 0.0)
        line = {"arrowstyle": "-", "color": _GREY, "linewidth": 0.5, "shrinkA": 0, "relpos": corner}
        style |= {"xytext": (where, 0.985 - _ROW * level), "textcoords": axes.get_xaxis_transform(), "arrowprops": line}
        axes.annotate(plain(mark.text, _LONGEST_MARK), (where, mark.value or 0.0), **style)


def _labelled(marks: Sequence[Mark], times: Times) -> Iterator[tuple[Mark, int, str]]:
    """Those that there is room to label, in which row, and to which side of its label a mark is."""
    free = [0.0] * _LEVELS
    for mark in marks:
        place = (mark.at - times.began) / max(times.ended - times.began, 1.0)
        width = _CHARACTER * len(mark.text[:_LONGEST_MARK]) + 0.01
        side = "left" if place + width <= 1 else "right"
        begin = place if side == "left" else place - width
        level = next((level for level, end in enumerate(free) if end <= begin), None)
        if level is not None:
            free[level] = begin + width
            yield mark, level, side

"""The runs as pictures: what was asked, what was let through and what was refused, by second."""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.recovery.report import Row
from benchmarks.recovery.shapes import shape_named

MISSING = "matplotlib is not installed: no picture was drawn"
# Calls above this multiple of the allowance are cut off: they would flatten all the rest.
HIGHEST = 4.0
WIDTH, HEIGHT = 2.7, 1.7
SMALL = ("token-bucket", ("none", "plain", "pace"))
# Told apart without colours as well: by their lines, and by the legend's order.
OFFERED: dict[str, Any] = {"color": "#888888", "linewidth": 0.8, "label": "calls"}
SERVED: dict[str, Any] = {"color": "#2a9d5c", "alpha": 0.55, "linewidth": 0, "label": "200"}
REFUSED: dict[str, Any] = {"color": "#d1342f", "linewidth": 1.0, "label": "429"}
ALLOWED: dict[str, Any] = {"color": "black", "linewidth": 0.9, "linestyle": "--"}
OVER: dict[str, Any] = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 1}
PACE: dict[str, Any] = {"color": "#1f5fbf", "linewidth": 1.2, "label": "pace"}


def draw(rows: Sequence[Row], path: Path) -> list[str]:
    """Draw a panel per shape and policy; what could not be done is returned as a note."""
    if not rows:
        return []
    if not _is_here():
        return [MISSING]
    shapes = list(dict.fromkeys(row.plan.shape for row in rows))
    policies = list(dict.fromkeys(row.plan.policy for row in rows))
    figure, axes = _panels(len(shapes), len(policies))
    found = {(row.plan.shape, row.plan.policy): row for row in rows}
    for down, shape in enumerate(shapes):
        for right, policy in enumerate(policies):
            panel = axes[down][right]
            if (shape, policy) in found:
                row = found[shape, policy]
                _draw(panel, row)
                said = f"{policy}: {row.score.goodput:.2f}, {row.score.waste:.1%} waste"
                panel.set_title(said, fontsize=8)
            else:
                panel.set_axis_off()
            if right == 0:
                panel.set_ylabel(shape, fontsize=9)
    _save(figure, axes[0][0], path)
    return []


def draw_small(rows: Sequence[Row], path: Path) -> list[str]:
    """Draw the one shape that explains it, for the documentation."""
    shape, policies = SMALL
    chosen = {row.plan.policy: row for row in rows if row.plan.shape == shape}
    shown = [chosen[policy] for policy in policies if policy in chosen]
    if not shown:
        return [f"{path.name} was not drawn: it takes {shape} with {', '.join(policies)}"]
    if not _is_here():
        return [MISSING]
    figure, axes = _panels(1, len(shown))
    for panel, row in zip(axes[0], shown, strict=True):
        _draw(panel, row)
        panel.set_title(f"{row.plan.policy}: {row.score.goodput:.0%} used", fontsize=9)
    axes[0][0].set_ylabel("per second", fontsize=8)
    _save(figure, axes[0][0], path)
    return []


def _is_here() -> bool:
    return importlib.util.find_spec("matplotlib") is not None


def _panels(down: int, right: int) -> tuple[Any, Any]:
    matplotlib: Any = importlib.import_module("matplotlib")
    matplotlib.use("Agg")  # draws files, wants no screen
    # The same picture is the same file, and its text stays text.
    matplotlib.rcParams |= {"svg.hashsalt": "recovery", "svg.fonttype": "none"}
    pyplot = importlib.import_module("matplotlib.pyplot")
    size = (right * WIDTH + 0.6, down * HEIGHT + 0.6)
    figure, axes = pyplot.subplots(
        down, right, figsize=size, squeeze=False, sharex="row", layout="constrained"
    )
    return figure, axes


def _draw(panel: Any, row: Row) -> None:
    plan, series = row.plan, row.series
    shape = shape_named(plan.shape, plan.rate, plan.seconds)
    middles = [second + 0.5 for second in range(len(series["calls"]))]
    fine = [step * plan.seconds / 600 for step in range(600)]
    allowed = [shape.allowed(at) for at in fine]
    panel.fill_between(middles, series["served"], step="mid", **SERVED)
    panel.step(middles, series["calls"], where="mid", **OFFERED)
    panel.step(middles, series["refused"], where="mid", **REFUSED)
    panel.plot(fine, allowed, label="allowance", **ALLOWED)
    paces = [(at, float("nan") if pace is None else pace) for at, pace in row.paces]
    panel.plot([at for at, _ in paces], [pace for _, pace in paces], **PACE)
    panel.set_xlim(0, plan.seconds)
    highest = HIGHEST * max(allowed)
    panel.set_ylim(0, highest)
    if max(series["calls"]) > highest:
        said = f"up to {max(series['calls'])} calls/s"
        place = (plan.seconds / 2, 0.92 * highest)
        panel.text(*place, said, fontsize=7, ha="center", va="top", bbox=OVER)
    panel.tick_params(labelsize=7)


def _save(figure: Any, panel: Any, path: Path) -> None:
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        fontsize=8,
        frameon=False,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else None
    figure.savefig(path, dpi=100, metadata=metadata)
    importlib.import_module("matplotlib.pyplot").close(figure)

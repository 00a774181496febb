"""Line charts as plain SVG: rates over sizes, under the ceiling."""

from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 420, 250  # of a panel
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 34, 40
COLOURS = {"talkformer": "#d9480f", "PyTorch": "#1c6fb8"}
GREY, LIGHT = "#555555", "#e3e3e3"


@dataclass
class Panel:
    """One chart: a rate in GFLOP/s per line and size; `None` if not measured."""

    title: str
    sizes: list[str]
    lines: dict[str, list[float | None]]
    ceiling: float


def text(x: float, y: float, words: str, colour: str = GREY, anchor: str = "middle", more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" fill="{colour}" text-anchor="{anchor}" {more}>{escape(words)}</text>'


def rule(y: float, colour: str, more: str = "") -> str:
    return f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{colour}" {more}/>'


def round_step(most: float) -> float:
    """A round step that divides the axis into about four parts."""
    return next(step for step in (5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000) if most / step <= 5.5)


def draw_panel(panel: Panel, x_label: str) -> list[str]:
    most = 1.12 * panel.ceiling
    slot = (WIDTH - LEFT - RIGHT) / len(panel.sizes)

    def at(i: int, value: float) -> tuple[float, float]:
        return LEFT + slot * (i + 0.5), HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / most

    parts = [text(LEFT, 18, panel.title, "#222222", "start", 'font-weight="600" font-size="13"')]
    step = round_step(panel.ceiling)
    for mark in range(int(panel.ceiling / step) + 1):
        y = at(0, mark * step)[1]
        parts += [rule(y, LIGHT), text(LEFT - 6, y + 4, f"{mark * step:g}", anchor="end")]
    y = at(0, panel.ceiling)[1]
    parts.append(rule(y, GREY, 'stroke-dasharray="5 4"'))
    parts.append(text(WIDTH - RIGHT, y - 5, f"ceiling {panel.ceiling:.0f} GFLOP/s", anchor="end"))
    parts += [text(at(i, 0)[0], HEIGHT - BOTTOM + 16, size) for i, size in enumerate(panel.sizes)]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, x_label))
    for name, values in panel.lines.items():
        points = [at(i, value) for i, value in enumerate(values) if value is not None]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        colour = COLOURS[name]
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in points]
    return parts


def legend(names: list[str], width: float) -> list[str]:
    parts, x = [], width - RIGHT
    for name in reversed(names):
        parts.append(text(x, 18, name, COLOURS[name], "end", 'font-weight="600"'))
        x -= 8 * len(name) + 14
    return parts


def draw(panels: list[Panel], x_label: str) -> str:
    """Panels on white, two per row."""
    columns, head = min(2, len(panels)), 26
    rows = -(-len(panels) // columns)
    width, height = columns * WIDTH, rows * HEIGHT + head
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        *legend(list(panels[0].lines), width),
    ]
    for i, panel in enumerate(panels):
        x, y = i % columns * WIDTH, i // columns * HEIGHT + head
        parts += [f'<g transform="translate({x} {y})">', *draw_panel(panel, x_label), "</g>"]
    return "\n".join([*parts, "</svg>", ""])

"""Writes the tables and the plots of a page of docs from its results: `page.py` for docs/performance.md and
docs/performance.json, `page.py performance-avx2` for those of AVX2."""

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from cases import LENGTHS, SQUARES
from plot import Panel, draw
from run import OURS, ratio

DOCS = Path(__file__).parents[2] / "docs"
Row = dict
PRECISIONS = ("f32", "bf16")


def operations(row: Row) -> float:
    """Floating-point operations of a run; twice as many in addition for the backward pass."""
    if row["kind"] == "product":
        m, k, n = row["size"]
        return 2.0 * m * k * n
    batch, heads, seq, head_dim = row["size"]
    forward = 4.0 * batch * heads * seq * seq * head_dim
    if row["kind"] == "block":
        forward += 8.0 * batch * seq * (heads * head_dim) ** 2
    return forward * (3 if row.get("backward") else 1)


def rate(row: Row, name: str) -> float:
    """GFLOP/s, from the median over the rounds."""
    return operations(row) / median(row["seconds"][name]) / 1e9


def best_other(row: Row) -> str:
    found = ratio(row)
    assert found
    return found[0]


class Results:
    def __init__(self, found: dict) -> None:
        self.date, self.machines, self.rows = found["date"], found["machines"], found["rows"]

    def of(self, kind: str, **wanted: object) -> list[Row]:
        match = {"kind": kind, **wanted}
        return [row for row in self.rows if all(row.get(key, False) == value for key, value in match.items())]

    def one(self, kind: str, **wanted: object) -> Row | None:
        return next(iter(self.of(kind, **wanted)), None)

    def ceiling(self, precision: str, threads: int = 1) -> float:
        return next(one[precision] for one in self.machines if one["threads"] == threads) / 1e9


def table(head: list[str], lines: list[list[str]]) -> str:
    rule = ["---"] + ["---:"] * (len(head) - 1)
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [head, rule, *lines])


def times(size: list[int]) -> str:
    return " × ".join(map(str, size))


def machine(found: Results) -> str:
    first = found.machines[0]
    told = f"{first['machine']['processor']}, {first['machine']['cores']} cores ({', '.join(first['machine']['instructions'])}); "
    told += f"PyTorch {first['torch']}, onnxruntime {first['onnxruntime']}; {found.date}."
    lines = [[str(one["threads"]), f"{one['f32'] / 1e9:.0f}", f"{one['bf16'] / 1e9:.0f}"] for one in found.machines]
    return told + "\n\n" + table(["threads", "ceiling `f32`, GFLOP/s", "`bf16`"], lines)


def compared(row: Row | None, found: Results) -> list[str]:
    """Our rate with its share of the ceiling, the best other rate, and the ratio of the times."""
    if row is None:
        return ["–", "–", "–"]
    ours, (name, times_longer) = rate(row, OURS), ratio(row) or ("", 0.0)
    share = 100 * ours / found.ceiling(row["precision"], row["threads"])
    way = " (unfused)" if "unfused" in name else ""
    return [f"{ours:.0f} ({share:.0f} %)", f"{rate(row, name):.0f}{way}", f"{times_longer:.2f}"]


def products(found: Results) -> str:
    precisions = [precision for precision in PRECISIONS if found.of("product", threads=1, precision=precision)]
    head = ["rows × inner × columns", *(f"{precision} {what}" for precision in precisions for what in ("ours", "PyTorch", "ratio"))]
    sizes = [row["size"] for row in found.of("product", threads=1, precision="f32")]
    line = lambda size: [times(size)] + [
        cell for precision in precisions for cell in compared(found.one("product", threads=1, precision=precision, size=size), found)
    ]
    return table(head, [line(size) for size in sizes])


def attention(found: Results, kind: str) -> str:
    tables = []
    for threads in sorted({row["threads"] for row in found.of(kind)}):
        for precision in PRECISIONS:
            rows = found.of(kind, threads=threads, precision=precision, backward=False)
            if not rows:
                continue
            names = [f"{way}{what}" for way in ("forward, ", "and backward, ") for what in ("ours", "PyTorch", "ratio")]
            line = lambda size: [times(size)] + [
                cell
                for backward in (False, True)
                for cell in compared(
                    found.one(kind, threads=threads, precision=precision, backward=backward, size=size), found
                )
            ]
            title = f"`{precision}`, {threads} thread{'s' if threads > 1 else ''}:"
            tables.append(f"{title}\n\n" + table(["batch × heads × seq × head", *names], [line(row["size"]) for row in rows]))
    return "\n\n".join(tables)


def training(found: Results) -> str:
    lines = []
    for row in found.of("training"):
        memory = found.one("memory", **{key: row[key] for key in ("threads", "precision", "columns", "drop_rate")})
        held = memory["bytes"] if memory else {}
        name = best_other(row)
        seconds = [median(row["seconds"][one]) for one in (OURS, name)]
        lines.append(
            [
                f"{row['columns']:,} features, dropout {row['drop_rate']:g}, `{row['precision']}`",
                str(row["threads"]),
                *(f"{1e3 * one:.0f}" for one in seconds),
                f"{ratio(row)[1]:.2f}",
                f"{row['size'][0] / seconds[0]:,.0f}",
                *(f"{held[one] / 2**20:,.0f}" if one in held else "–" for one in (OURS, "torch")),
            ]
        )
    rest = found.one("memory at rest", threads=1)
    told = ""
    if rest:
        ours, torch = (rest["bytes"][name] / 2**20 for name in (OURS, "torch"))
        told = f"\n\nAn idle process holds {ours:,.0f} MiB with talkformer and {torch:,.0f} MiB with PyTorch."
    head = ["step", "threads", "ours, ms", "PyTorch, ms", "ratio", "messages/s", "ours, peak MiB", "PyTorch, peak MiB"]
    return table(head, lines) + told


def answers(found: Results) -> str:
    def line(row: Row) -> list[str]:
        names = (OURS, "onnxruntime", "torch")
        return [str(row["size"][0]), *(f"{1e3 * median(row['seconds'][name]):.2f}" for name in names)]

    head = ["tokens", "ours, text to answer, ms", "onnxruntime, encoder only, ms", "PyTorch, encoder only, ms"]
    return table(head, [line(row) for row in found.of("answer", threads=1)])


def lines_of(rows: list[Row | None]) -> dict[str, list[float | None]]:
    return {
        "talkformer": [row and rate(row, OURS) for row in rows],
        "PyTorch": [row and rate(row, best_other(row)) for row in rows],
    }


def plots(found: Results) -> dict[str, tuple[list[Panel], str]]:
    panels = [
        Panel(
            f"Product, {precision}, 1 thread",
            [str(size[0]) for size in SQUARES],
            lines_of([found.one("product", threads=1, precision=precision, size=size) for size in SQUARES]),
            found.ceiling(precision),
        )
        for precision in PRECISIONS
    ]
    charts = {"products": (panels, "rows = inner size = columns")}
    for kind, title in (("attention", "Attention"), ("block", "Self-attention block")):
        precisions = [precision for precision in PRECISIONS if found.of(kind, threads=1, precision=precision)]
        panels = [
            Panel(
                f"{title}, {precision}, forward{' and backward' if backward else ''}",
                [str(size[2]) for size in LENGTHS],
                lines_of(
                    [found.one(kind, threads=1, precision=precision, backward=backward, size=size) for size in LENGTHS]
                ),
                found.ceiling(precision),
            )
            for precision in precisions
            for backward in (False, True)
        ]
        if panels:
            charts[kind] = (panels, "length of a sequence")
    return charts


def fill(page: str, name: str, content: str) -> str:
    """Replaces the text between `<!-- name -->` and `<!-- end -->`."""
    between = re.compile(f"(<!-- {name} -->\n).*?(\n?<!-- end -->)", re.DOTALL)
    assert between.search(page), f"the page has no place for {name}"
    return between.sub(lambda match: f"{match[1]}\n{content}\n\n<!-- end -->", page)


def main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "performance"
    suffix = name.removeprefix("performance")
    found = Results(json.loads((DOCS / f"{name}.json").read_text()))
    path = DOCS / f"{name}.md"
    page = path.read_text()
    parts: dict[str, Callable[[], str]] = {
        "machine": lambda: machine(found),
        "products": lambda: products(found),
        "attention": lambda: attention(found, "attention"),
        "block": lambda: attention(found, "block"),
        "training": lambda: training(found),
        "answers": lambda: answers(found),
    }
    charts = plots(found)
    (DOCS / "images").mkdir(exist_ok=True)
    for name, content in parts.items():
        text = content()
        if name in charts:
            panels, x_label = charts[name]
            (DOCS / "images" / f"{name}{suffix}.svg").write_text(draw(panels, x_label))
            text = f"![{panels[0].title}, and what follows, under the ceiling](images/{name}{suffix}.svg)\n\n{text}"
        page = fill(page, name, text)
    path.write_text(page)


if __name__ == "__main__":
    main()

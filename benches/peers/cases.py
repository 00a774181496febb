"""The cases to measure: each is the line that every worker reads, except for the measuring time."""

from typing import Any

from texts import made_up, minilm

Case = dict[str, Any]

# Rows × inner size × columns.
SQUARES = [[side, side, side] for side in (64, 128, 256, 512, 1024)]
DIET_PRODUCTS = [[12, 256, 256], [12, 256, 1024], [600, 256, 256], [600, 256, 1024], [600, 1024, 256]]

# [batch, heads, seq, head_dim]: the same number of rows at every length, then the shapes of DIET and of
# one long text.
HEADS, HEAD_DIM, ROWS = 8, 64, 2048
LENGTHS = [[max(1, ROWS // seq), HEADS, seq, HEAD_DIM] for seq in (8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096)]
SHAPES = [[64, 4, 16, 64], [64, 4, 32, 64], [64, 4, 128, 64], [1, 8, 512, 64]]


def products() -> list[Case]:
    return [
        {"kind": "product", "size": size, "precision": precision}
        for precision in ("f32", "bf16")
        for size in SQUARES + DIET_PRODUCTS
    ]


def attention(kind: str, sizes: list[list[int]], precisions: list[str]) -> list[Case]:
    return [
        {"kind": kind, "size": size, "precision": precision, "backward": backward}
        for precision in precisions
        for backward in (False, True)
        for size in sizes
    ]


def training() -> list[Case]:
    step: Case = {"kind": "training", "size": [64, 12], "precision": "f32", "columns": 4000, "drop_rate": 0.0}
    return [step, step | {"drop_rate": 0.2}, step | {"columns": 60_000}, step | {"precision": "bf16"}]


def answers() -> list[Case]:
    return [{"kind": "answer", "size": [tokens]} for tokens in (7, 11)]


def embeddings() -> list[Case]:
    """Number of texts and tokens per text; a single text is encoded repeatedly, to measure latency."""
    sizes = [[1000, 12], [1000, 128], [1, 12], [1, 128]]
    return [
        {"kind": "embed", "size": size, "precision": precision, "model": str(minilm()), "texts": made_up(*size)}
        for precision in ("f32", "bf16")
        for size in sizes
    ]


def all_cases() -> list[Case]:
    return [
        *products(),
        *attention("attention", LENGTHS + SHAPES, ["f32", "bf16"]),
        *attention("block", LENGTHS, ["f32"]),
        *training(),
        *answers(),
        *embeddings(),
    ]

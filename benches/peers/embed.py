"""Compares embeddings with sentence-transformers: vectors of the same texts by the encoder in the same folder.

    python benches/peers/embed.py                      1,000 made-up texts, all-MiniLM-L6-v2 from PyPI
    python benches/peers/embed.py --texts lines.txt --model FOLDER --program target/release/talkformer

Prints the lowest cosine between the two vectors of a text, the largest difference of a number, and for --precision bf16
what that costs. Ends with 1 where `f32` does not agree to 1e-5.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from texts import made_up, minilm

ROOT = Path(__file__).parents[2]


def ours(program: Path, model: Path, texts: list[str], *flags: str) -> np.ndarray:
    """The vectors of the program."""
    with tempfile.TemporaryDirectory() as folder:
        lines, out = Path(folder, "lines.txt"), Path(folder, "vectors.npy")
        lines.write_text("".join(f"{text}\n" for text in texts))
        command = [program, "embed", "--model", model, "--input", lines, "--out", out, *flags]
        subprocess.run(command, check=True)
        return np.load(out)


def theirs(model: Path, texts: list[str]) -> np.ndarray:
    """The vectors of sentence-transformers."""
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(str(model), device="cpu").encode(texts, batch_size=32)


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort().argsort().astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, help="a file with one text a line")
    parser.add_argument("--model", type=Path, help="the folder of an encoder")
    parser.add_argument("--program", type=Path, default=ROOT / "target/release/talkformer")
    options = parser.parse_args()
    texts = options.texts.read_text().splitlines() if options.texts else made_up(500, 12) + made_up(500, 128)
    model = options.model or minilm()
    reference = theirs(model, texts)
    right = True
    for precision in ("f32", "bf16"):
        found = ours(options.program, model, texts, "--precision", precision)
        cosines = (unit(found) * unit(reference)).sum(1)
        worst = np.abs(found - reference).max()
        print(f"{precision}: {len(texts)} texts, lowest cosine {cosines.min():.7f}, largest difference {worst:.1e}")
        if precision == "f32":
            right = cosines.min() >= 0.99999 and worst < 1e-5
        # What matters for search: whether pairs of texts have the same order, and each text the same nearest neighbour.
        other = np.random.default_rng(1).permutation(len(texts))
        pairs = [(unit(vectors) * unit(vectors)[other]).sum(1) for vectors in (reference, found)]
        order = np.corrcoef(ranks(pairs[0]), ranks(pairs[1]))[0, 1]
        nearest = [(unit(vectors) @ unit(vectors).T - 2 * np.eye(len(texts))).argmax(1) for vectors in (reference, found)]
        kept = (nearest[0] == nearest[1]).mean()
        print(f"      similarities of pairs keep their order to {order:.5f} (Spearman), {kept:.1%} keep their nearest text")
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()

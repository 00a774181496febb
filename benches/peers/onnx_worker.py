"""onnxruntime's side of `just bench-peers`: the encoder of DIET for one message, and MiniLM for many."""

import io
import json
import sys
import warnings

import numpy as np
import onnxruntime
import torch

from torch_worker import Encoder, measure, measure_texts


def session(rows: int, threads: int) -> onnxruntime.InferenceSession:
    """The encoder for messages with this number of rows, exported from PyTorch."""
    model = io.BytesIO()
    warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter wants a package more
    torch.onnx.export(Encoder().eval(), (torch.randn(1, rows, 128),), model, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.getvalue(), options, providers=["CPUExecutionProvider"])


class Embed:
    """MiniLM in onnxruntime: texts sorted by length, 32 at a time, the normalised mean of each."""

    def __init__(self, model: str, threads: int) -> None:
        from tokenizers import Tokenizer
        from transformers import AutoModel

        encoder = AutoModel.from_pretrained(model, attn_implementation="eager").eval()
        names = ["input_ids", "attention_mask", "token_type_ids"]
        example = (torch.ones(2, 7, dtype=torch.long), torch.ones(2, 7, dtype=torch.long), torch.zeros(2, 7, dtype=torch.long))
        axes = {name: {0: "text", 1: "token"} for name in [*names, "rows"]}
        file = io.BytesIO()
        warnings.simplefilter("ignore")

        class Rows(torch.nn.Module):
            """The exporter passes arguments by position, the encoder takes them by name."""

            def __init__(self) -> None:
                super().__init__()
                self.encoder = encoder

            def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
                return self.encoder(**dict(zip(names, inputs))).last_hidden_state

        torch.onnx.export(
            Rows().eval(), example, file, input_names=names, output_names=["rows"], dynamic_axes=axes, dynamo=False
        )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
        self.tokenizer = Tokenizer.from_file(f"{model}/tokenizer.json")
        self.tokenizer.enable_truncation(256)
        self.tokenizer.enable_padding()

    def embed(self, texts: list[str]) -> list[np.ndarray]:
        texts = sorted(texts, key=len)
        found = []
        for at in range(0, len(texts), 32):
            batch = self.tokenizer.encode_batch(texts[at : at + 32])
            ids = np.array([one.ids for one in batch])
            mask = np.array([one.attention_mask for one in batch])
            inputs = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
            rows = self.session.run(["rows"], inputs)[0]
            sums = (rows * mask[:, :, None]).sum(1)
            found.append(sums / np.linalg.norm(sums, axis=1, keepdims=True))
        return found


def main() -> None:
    threads = int(sys.argv[1])
    minilm: Embed | None = None
    for line in sys.stdin:
        work = json.loads(line)
        if work["kind"] == "machine":
            answer: object = {"onnxruntime": onnxruntime.__version__}
        elif work["kind"] == "answer":
            rows = work["size"][0] + 1
            encoder, x = session(rows, threads), torch.randn(1, rows, 128).numpy()
            answer = measure(work["seconds"], lambda: encoder.run(None, {"x": x}))
        elif work["kind"] == "embed" and work["precision"] == "f32":
            encoder = minilm = minilm or Embed(work["model"], threads)
            answer = measure_texts(work["texts"], work["seconds"], encoder.embed)
        else:
            answer = None
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

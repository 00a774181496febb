"""onnxruntime's side of `just bench-peers`: the encoder of DIET for one message."""

import io
import json
import sys
import warnings

import onnxruntime
import torch

from torch_worker import Encoder, measure


def session(rows: int, threads: int) -> onnxruntime.InferenceSession:
    """The encoder for messages of so many rows, exported from PyTorch."""
    model = io.BytesIO()
    warnings.simplefilter("ignore", DeprecationWarning)  # the newer exporter wants a package more
    torch.onnx.export(Encoder().eval(), (torch.randn(1, rows, 128),), model, input_names=["x"], dynamo=False)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model.getvalue(), options, providers=["CPUExecutionProvider"])


def main() -> None:
    threads = int(sys.argv[1])
    for line in sys.stdin:
        work = json.loads(line)
        if work["kind"] == "machine":
            answer: object = {"onnxruntime": onnxruntime.__version__}
        elif work["kind"] == "answer":
            rows = work["size"][0] + 1
            encoder, x = session(rows, threads), torch.randn(1, rows, 128).numpy()
            answer = measure(work["seconds"], lambda: encoder.run(None, {"x": x}))
        else:
            answer = None
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()

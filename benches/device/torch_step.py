"""PyTorch's side of `run.sh`: the training step of `talkformer bench --device cuda`, on the same card."""

import time
from statistics import median

import torch
from torch_worker import ENTITY_TYPES, ENTRIES, INTENTS, Diet

COLUMNS, TOKENS, DROP_RATE = 60_000, 12, 0.2


def training(messages: int, bf16: bool) -> float:
    """The median time of a step: forward, backward and AdamW, after a few as warm-up."""
    model = Diet(COLUMNS, DROP_RATE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.002, fused=True)
    tokens = torch.randint(COLUMNS, (messages, TOKENS, ENTRIES))
    intents = torch.randint(INTENTS, (messages,))
    tags = 4 * torch.randint(ENTITY_TYPES + 1, (messages, TOKENS))
    times = []
    for _ in range(30):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        optimizer.zero_grad()
        with torch.autocast("cuda", torch.bfloat16, enabled=bf16):
            loss = model.loss(tokens, intents, tags)
        loss.backward()
        optimizer.step()
        loss.item()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begun)
    return median(times[10:])


torch.set_default_device("cuda")
print(f"PyTorch {torch.__version__}, {torch.cuda.get_device_name()}")
for messages in (64, 256, 1024):
    for bf16 in (False, True):
        step = training(messages, bf16)
        name = "bf16 autocast" if bf16 else "f32"
        print(f"  {messages:>5} messages, {name:<13} {1e3 * step:>7.1f} ms {messages / step:>9.0f} messages/s")

"""PyTorch's side of `just bench-peers`: it reads and writes the same lines as `ours.rs`."""

import json
import math
import sys
import time
from collections.abc import Callable
from statistics import median

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PRECISIONS = {"f32": torch.float32, "bf16": torch.bfloat16}
INTENTS, ENTITY_TYPES, ENTRIES = 60, 54, 24
TAGS = 4 * ENTITY_TYPES + 1


def measure(seconds: float, work: Callable[[], object]) -> float:
    """The median time of a run, after a warm-up run: at least three runs, for at least the given seconds."""
    work()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return median(times)


def measure_texts(texts: list[str], seconds: float, embed: Callable[[list[str]], object]) -> float:
    """A single text repeatedly; many texts once, after a few as warm-up, because they take long."""
    if len(texts) == 1:
        return measure(seconds, lambda: embed(texts))
    embed(texts[:32])
    begun = time.perf_counter()
    embed(texts)
    return time.perf_counter() - begun


def unfused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.softmax(q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1]), -1) @ v


def attention(size: list[int], dtype: torch.dtype, backward: bool, seconds: float) -> dict[str, float]:
    """Attention alone, fused and unfused: `[batch, heads, seq, head_dim]` each."""
    q, k, v = (torch.randn(size, dtype=dtype, requires_grad=backward) for _ in range(3))
    slope = torch.randn(size, dtype=dtype)

    def run(function: Callable[..., Tensor]) -> Callable[[], object]:
        if not backward:
            return lambda: function(q, k, v)
        return lambda: torch.autograd.grad(function(q, k, v), (q, k, v), slope)

    times = {"fused": measure(seconds, run(F.scaled_dot_product_attention))}
    batch, heads, seq, _ = size
    if batch * heads * seq * seq <= 1 << 26:  # a quarter of a gibibyte of scores
        times["unfused"] = measure(seconds, run(unfused))
    return times


class Attention(nn.Module):
    """Projections around attention over sequences of one length."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, function: Callable[..., Tensor] = F.scaled_dot_product_attention) -> Tensor:
        batch, seq, width = x.shape
        heads = self.query_key_value(x).view(batch, seq, 3, self.heads, width // self.heads)
        q, k, v = heads.permute(2, 0, 3, 1, 4)  # [batch, heads, seq, head_dim]
        return self.output(function(q, k, v).transpose(1, 2).reshape(batch, seq, width))


def block(size: list[int], dtype: torch.dtype, backward: bool, seconds: float) -> dict[str, float]:
    """The trainable block; the backward pass computes the gradients of input and weights."""
    batch, heads, seq, head_dim = size
    layer = Attention(heads * head_dim, heads).to(dtype)
    x = torch.randn(batch, seq, heads * head_dim, dtype=dtype, requires_grad=backward)

    def run(function: Callable[..., Tensor]) -> Callable[[], object]:
        def forward() -> Tensor:
            return layer(x, function)

        def both() -> object:
            return torch.autograd.grad(forward().sum(), (x, *layer.parameters()))

        return both if backward else torch.no_grad()(forward)

    functions = {"fused": F.scaled_dot_product_attention, "unfused": unfused}
    return {name: measure(seconds, run(function)) for name, function in functions.items()}


class Layer(nn.Module):
    """A transformer layer with layer norm before attention and before the feed-forward layer."""

    def __init__(self, width: int, heads: int, inner: int, drop_rate: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.feed_forward = nn.Sequential(
            nn.Linear(width, inner), nn.GELU(), nn.Dropout(drop_rate), nn.Linear(inner, width)
        )
        self.dropout = nn.Dropout(drop_rate)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norms[0](x)))
        return x + self.dropout(self.feed_forward(self.norms[1](x)))


class Encoder(nn.Module):
    """Input layer, two transformer layers of width 256 with four heads, and a final layer norm."""

    def __init__(self, drop_rate: float = 0.0) -> None:
        super().__init__()
        self.input = nn.Linear(128, 256)
        self.layers = nn.Sequential(*(Layer(256, 4, 1024, drop_rate) for _ in range(2)))
        self.norm = nn.LayerNorm(256)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.layers(self.input(x)))


class Diet(nn.Module):
    """DIET as `speed::DietTraining` trains it: sparse features in, intent and tags out."""

    def __init__(self, columns: int, drop_rate: float) -> None:
        super().__init__()
        bag = dict(mode="sum", include_last_offset=False)
        self.sequence = nn.EmbeddingBag(columns, 128, **bag)
        self.sentence = nn.EmbeddingBag(columns, 128, **bag)
        self.dropout = nn.Dropout(drop_rate)
        self.encoder = Encoder(drop_rate)
        self.label = nn.Embedding(INTENTS, 20)
        self.embed_text = nn.Linear(256, 20)
        self.embed_label = nn.Linear(20, 20)
        self.emission = nn.Linear(256, TAGS)
        self.transitions = nn.Parameter(0.01 * torch.randn(TAGS, TAGS))

    def loss(self, tokens: Tensor, intents: Tensor, tags: Tensor) -> Tensor:
        messages, length, entries = tokens.shape
        rows = self.sequence(tokens.view(-1, entries)).view(messages, length, 128)
        whole = self.sentence(tokens.view(messages, -1)).unsqueeze(1)
        x = self.encoder(self.dropout(torch.cat([rows, whole], 1)))  # [message, token + 1, 256]
        scores = self.embed_text(x[:, -1]) @ self.embed_label(self.label.weight).T
        return F.cross_entropy(scores, intents) + self.crf(self.emission(x[:, :-1]), tags)

    def crf(self, logits: Tensor, tags: Tensor) -> Tensor:
        """`−log p(tags)` of a linear-chain CRF, in the probability domain, the fastest way with plain operations."""
        own = logits.gather(2, tags.unsqueeze(2)).sum((1, 2))
        gold = own + self.transitions[tags[:, :-1], tags[:, 1:]].sum(1)
        moves = self.transitions.exp()
        top = logits[:, 0].amax(1, keepdim=True)
        forward, total = (logits[:, 0] - top).exp(), top.squeeze(1)
        for row in logits[:, 1:].unbind(1):
            norm = forward.sum(1, keepdim=True)
            top = row.amax(1, keepdim=True)
            forward = (forward / norm) @ moves * (row - top).exp()
            total = total + (norm.log() + top).squeeze(1)
        return (total + forward.sum(1).log() - gold).mean()


def training(size: list[int], dtype: torch.dtype, columns: int, drop_rate: float, seconds: float) -> float:
    """A training step: forward, backward and AdamW; `bf16` products by autocast."""
    messages, length = size
    model = Diet(columns, drop_rate)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.002, fused=True)
    tokens = torch.randint(columns, (messages, length, ENTRIES))
    intents = torch.randint(INTENTS, (messages,))
    tags = 4 * torch.randint(ENTITY_TYPES + 1, (messages, length))

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
            loss = model.loss(tokens, intents, tags)
        loss.backward()
        optimizer.step()

    return measure(seconds, step)


@torch.inference_mode()
def answer(tokens: int, seconds: float) -> float:
    """The encoder alone for one message: without features, heads and decoding."""
    encoder, x = Encoder().eval(), torch.randn(1, tokens + 1, 128)
    return measure(seconds, lambda: encoder(x))


@torch.inference_mode()
def embed(model: str, texts: list[str], dtype: torch.dtype, seconds: float) -> float:
    """Texts to vectors by sentence-transformers, which sorts them by length itself."""
    from sentence_transformers import SentenceTransformer

    encoder = SentenceTransformer(model, device="cpu").to(dtype)
    return measure_texts(texts, seconds, lambda some: encoder.encode(some, batch_size=32, convert_to_tensor=True))


@torch.inference_mode()
def product(size: list[int], dtype: torch.dtype, seconds: float) -> float:
    m, k, n = size
    a, b, out = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype), torch.empty(m, n, dtype=dtype)
    return measure(seconds, lambda: torch.mm(a, b, out=out))


def answer_line(work: dict) -> object:
    size, seconds = work.get("size", []), work["seconds"]
    dtype, backward = PRECISIONS[work.get("precision", "f32")], work.get("backward", False)
    match work["kind"]:
        case "machine":
            return {"torch": torch.__version__}
        case "product":
            return product(size, dtype, seconds)
        case "attention":
            return attention(size, dtype, backward, seconds)
        case "block":
            return block(size, dtype, backward, seconds)
        case "training":
            return training(size, dtype, work["columns"], work["drop_rate"], seconds)
        case "answer":
            return answer(size[0], seconds)
        case "embed":
            return embed(work["model"], work["texts"], dtype, seconds)
    return None


def main() -> None:
    torch.manual_seed(1)
    torch.set_num_threads(int(sys.argv[1]))
    for line in sys.stdin:
        print(json.dumps(answer_line(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()

"""Makes the tiny encoders of tests/golden/encoders and writes down what transformers computes with them.

    pip install torch transformers tokenizers safetensors
    python tests/golden/encoders.py

Weights are random, so the folders mean nothing; they are as small as the real ones are large. The versions that made
the values stand in each `expected.json`.
"""

import json
from pathlib import Path

import tokenizers
import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = Path(__file__).parent / "encoders"
TEXTS = [
    "money in the bank",
    "The bank of the river, at dawn",
    "Café Zürich: naïve façade",
    "",
    "she sat on the bank and counted the money " * 2,
]
CORPUS = TEXTS * 3 + ["a river runs by the old bank", "he paid money into the bank", "sit down at the river"]


def word_pieces(special: dict[str, str]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token=special["unk"]))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = [special[name] for name in ("cls", "pad", "sep", "unk")]
    tokenizer.train_from_iterator(CORPUS, trainers.WordPieceTrainer(vocab_size=70, special_tokens=names))
    return framed(tokenizer, special)


def byte_pairs(special: dict[str, str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    names = [special[name] for name in ("cls", "pad", "sep", "unk")]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=290, special_tokens=names, initial_alphabet=alphabet)
    tokenizer.train_from_iterator(CORPUS, trainer)
    return framed(tokenizer, special)


def framed(tokenizer: Tokenizer, special: dict[str, str]) -> Tokenizer:
    cls, sep = special["cls"], special["sep"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{cls} $A {sep}",
        pair=f"{cls} $A {sep} $B {sep}",
        special_tokens=[(name, tokenizer.token_to_id(name)) for name in (cls, sep)],
    )
    return tokenizer


BERT = {"cls": "[CLS]", "pad": "[PAD]", "sep": "[SEP]", "unk": "[UNK]"}
ROBERTA = {"cls": "<s>", "pad": "<pad>", "sep": "</s>", "unk": "<unk>"}
SIZES = {"hidden_size": 12, "num_attention_heads": 3, "num_hidden_layers": 2, "intermediate_size": 20}
DISTIL = {"dim": 12, "n_heads": 3, "n_layers": 2, "hidden_dim": 20}
FAMILIES = {
    "bert": (transformers.BertConfig, BERT, word_pieces, SIZES | {"max_position_embeddings": 24}),
    "distilbert": (transformers.DistilBertConfig, BERT, word_pieces, DISTIL | {"max_position_embeddings": 24, "activation": "relu"}),
    "roberta": (transformers.RobertaConfig, ROBERTA, byte_pairs, SIZES | {"max_position_embeddings": 66, "type_vocab_size": 1}),
    "mpnet": (transformers.MPNetConfig, ROBERTA, word_pieces, SIZES | {"max_position_embeddings": 26}),
}


def main() -> None:
    for name, (config, special, make, sizes) in FAMILIES.items():
        torch.manual_seed(len(name))
        folder = HERE / name
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer = make(special)
        settings = config(vocab_size=tokenizer.get_vocab_size(), pad_token_id=1, **sizes)
        model = transformers.AutoModel.from_config(settings, attn_implementation="eager").eval()
        with torch.no_grad():
            for parameter in model.parameters():  # large enough that every one of them matters
                parameter.add_(0.3 * torch.randn_like(parameter))
        tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        kept = settings.to_dict() | {"model_type": name}
        (folder / "config.json").write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n")
        weights = {key: value.contiguous() for key, value in model.state_dict().items() if "position_ids" not in key}
        save_file(weights, folder / "model.safetensors")
        longest = settings.max_position_embeddings - (2 if special is ROBERTA else 0)
        tokenizer.enable_truncation(longest)
        expected = []
        for text in TEXTS:
            encoded = tokenizer.encode(text)
            with torch.no_grad():
                found = model(torch.tensor([encoded.ids]), output_attentions=True)
            expected.append(
                {
                    "text": text,
                    "ids": encoded.ids,
                    "rows": found.last_hidden_state[0].tolist(),
                    "attention": found.attentions[-1][0].tolist(),
                }
            )
        versions = {"transformers": transformers.__version__, "torch": torch.__version__, "tokenizers": tokenizers.__version__}
        text = json.dumps({"versions": versions, "texts": expected})
        (folder / "expected.json").write_text(json.dumps(json.loads(text, parse_float=lambda x: round(float(x), 6))) + "\n")


if __name__ == "__main__":
    main()

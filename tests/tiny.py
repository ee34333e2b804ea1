"""A tiny random Llama in Hugging Face layout, for tests that need a model but not a good one.

    python tests/tiny.py FOLDER

A byte-level BPE of about 400 pieces with a ChatML template, and a seeded, untrained model of two
layers with tied embeddings, under 300,000 parameters. Two calls write the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

TEXT = """\
The heart pumps blood through the arteries, and the veins bring it back to the heart.
The lungs take oxygen from the air; the blood carries oxygen to every organ of the body.
The kidneys filter the blood, and the liver stores sugar and breaks down what is harmful.
Which organ filters the blood? The kidney. Which organ pumps the blood? The heart.
Nerves carry signals from the skin to the brain and from the brain to the muscles.
The stomach and the small intestine digest food; the large intestine takes up water.
"""


def tiny_model(folder: Path, text: str = TEXT) -> None:
    """Write the tokenizer, trained on `text`, and the model to `folder`."""
    import torch
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    bpe.train_from_iterator(
        [text],
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        unk_token="<|endoftext|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                num_key_value_heads=1,
                max_position_embeddings=512,
                tie_word_embeddings=True,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def untied(tied: Path, folder: Path) -> None:
    """Write the tiny model with an output layer of its own."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(tied)
    model.config.tie_word_embeddings = False
    with torch.random.fork_rng():
        torch.manual_seed(1)
        rows = 0.02 * torch.randn_like(model.lm_head.weight)
    model.lm_head.weight = torch.nn.Parameter(rows)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tied).save_pretrained(folder)


if __name__ == "__main__":
    tiny_model(Path(sys.argv[1]))

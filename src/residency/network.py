"""network: a model's folder, loaded to be asked."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any


def load(model: Path, precision: str) -> tuple[Any, Any]:
    """The network and the tokenizer of a folder of build/models, on the device there is.

    `precision`: float32 or bfloat16, of the weights and what is computed with them; the output
    layer always computes in float32.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    network: Any = AutoModelForCausalLM.from_pretrained(
        model, local_files_only=True, use_safetensors=True, dtype=precision
    )
    output_in_float32(network)
    return network.to("cuda" if torch.cuda.is_available() else "cpu").eval(), tokenizer


def output_in_float32(model: Any) -> None:
    """Let the output layer compute in float32: bfloat16 logits are 0.1 apart where they matter."""
    import torch

    head = model.get_output_embeddings()
    if head.weight.dtype != torch.float32:
        exact = copy.deepcopy(head).float()  # a copy: the input embedding may be the same weights
        exact.register_forward_pre_hook(lambda _module, inputs: (inputs[0].float(),))
        model.set_output_embeddings(exact)

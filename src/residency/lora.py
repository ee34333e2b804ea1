"""lora: adapters put into a model and merged into its weights at the end."""

from __future__ import annotations

from typing import Any

from pydantic import Field, PositiveFloat, PositiveInt

from residency.section import Complaint, Section, Share, nearest


class Lora(Section):
    """Low-rank adapters (Hu et al. 2021, arXiv 2106.09685), merged into the weights at the end."""

    rank: PositiveInt = Field(description="Rank r of the update.")
    alpha: PositiveFloat = Field(description="Scale: the update is multiplied by alpha / rank.")
    dropout: Share = Field(description="Dropout on the adapter's input.")
    targets: list[str] = Field(min_length=1, description="Linear modules to adapt, by last name.")
    full: list[str] = Field(description="Modules trained in full beside the adapters.")


def adapt(model: Any, lora: Lora) -> Any:
    """Put adapters into the model, in place; the object that can merge them.

    `full` modules are trained as they are, not as the copies that peft's modules_to_save makes: a
    copy of a tied embedding would come loose from the output layer.
    """
    from peft import LoraConfig, get_peft_model
    from torch import nn

    tied = {id(model.get_input_embeddings().weight)}
    linear, every = set(), set()
    for name, module in model.named_modules():
        last = name.rpartition(".")[2]
        if next(module.parameters(recurse=False), None) is not None:
            every.add(last)
        if isinstance(module, nn.Linear) and id(module.weight) not in tied:
            linear.add(last)
    for key, names, known in ("targets", lora.targets, linear), ("full", lora.full, every):
        for name in names:
            if name not in known:
                raise Complaint(f"train.lora.{key}: no {name!r} to train; {nearest(name, known)}")
    config = LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules=lora.targets,
        task_type="CAUSAL_LM",
    )
    adapters = get_peft_model(model, config)
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in lora.full:
            module.requires_grad_(True)
    return adapters

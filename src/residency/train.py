"""train: a parent's weights plus packed data become a model.

    parent ── vocabulary grown ── adapters put in ── steps ── adapters merged ──> safetensors
                                                       │
                       pack: blocks, shuffled anew in each epoch

The loss of a step is the mean over all tokens learned in it, so it does not depend on how the step
is cut into micro-batches. Documents in one block do not see each other.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from residency import step
from residency.blocks import Blocks, collate
from residency.card import quoted, table, write_card
from residency.devices import large_pages, micro_batch
from residency.embeddings import grow, settle
from residency.files import read_json, write_json, write_rows
from residency.lora import Lora, adapt
from residency.section import Complaint, Section, Seed, Share

PROGRESS_SECONDS = 20
SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


class Train(Section):
    """How a model is trained. Where it runs, and in what micro-batches, is not part of it."""

    method: Literal["full", "lora"] = Field(description="Train all weights, or adapters.")
    lora: Lora | None = Field(description="The adapters where method is lora, else null.")
    epochs: PositiveInt = Field(description="Passes over the packed data.")
    batch_tokens: PositiveInt = Field(
        description="Tokens per optimiser step; rounded to whole blocks, at least one."
    )
    learning_rate: PositiveFloat = Field(description="Peak learning rate of AdamW.")
    schedule: Literal["cosine", "linear", "constant"] = Field(description="Decay after warm-up.")
    warmup: Share = Field(description="Share of all steps in which the rate rises.")
    weight_decay: float = Field(ge=0, description="AdamW's decoupled weight decay.")
    max_grad_norm: PositiveFloat = Field(description="Gradients are clipped to this norm.")
    precision: Literal["float32", "bfloat16"] = Field(
        description="Of the forward and backward pass (autocast); weights stay float32."
    )
    seed: Seed = Field(description="Seed of data order, dropout and new embeddings.")

    @model_validator(mode="after")
    def _lora_if_lora(self) -> Train:
        if (self.method == "lora") != (self.lora is not None):
            raise ValueError("lora holds the adapters where method is lora, and is null elsewhere")
        return self


def train(train: Train, parent: Path, tokenizer: Path | None, pack: Path, out: Path) -> None:
    """Train a model on packed blocks and write it in Hugging Face layout with log and card.

    `parent`: a folder of build/models; `tokenizer`: a folder of build/tokenizers where the model
    changes its parent's; `pack`: a folder of build/packs.

    Writes the model in float32, log.jsonl (a row per step; `tokens` are those learned so far,
    `loss` is in nats per learned token) and training.json (`final_loss` is the mean over the last
    epoch). Raises Complaint where the parts do not fit together and where training diverges.
    """
    large_pages()
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    set_seed(train.seed)
    load: Any = AutoModelForCausalLM.from_pretrained
    model = load(parent, dtype="float32", use_safetensors=True, local_files_only=True)
    coder = AutoTokenizer.from_pretrained(tokenizer or parent, local_files_only=True)
    blocks = Blocks(pack)
    if tokenizer is not None:
        grow(model, tokenizer, blocks, train.seed)
    _fit_together(train, model, blocks, grown=tokenizer is not None)

    adapters = None if train.lora is None else adapt(model, train.lora)
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    log = fit(model, train, blocks, out)
    if adapters is not None:
        model = adapters.merge_and_unload()
    settle(model, 1 + max(coder.get_vocab().values()))
    model.config.use_cache = True
    model.save_pretrained(out)
    coder.save_pretrained(out)

    counts = read_json(pack / "counts.json")["kept"]
    summary = _summary(log, counts, train.epochs) | {
        "parameters": model.num_parameters(),
        "trained": trained,
    }
    write_rows(out / "log.jsonl", log)
    write_json(out / "training.json", summary)
    told = train.canonical()
    lora = {f"lora.{key}": value for key, value in (told.pop("lora") or {}).items()}
    write_card(
        out,
        {"base_model": parent.name},
        "A trained model",
        [
            f"Trained from {quoted(parent.name)} on the pack {quoted(pack.name)}"
            + (f" with the tokenizer {quoted(tokenizer.name)}." if tokenizer else ".")
            + " Its licence follows from its parent's and its data's.",
            table(("hyperparameter", "value"), [*told.items(), *lora.items()]),
            table(("data, in one epoch", "number"), counts.items()),
            table(("result", "value"), summary.items()),
        ],
    )


def fit(model: Any, train: Train, blocks: Blocks, out: Path) -> list[dict[str, float]]:
    """Train the model in place; the rows of its log. `out`: a folder that Trainer may look at."""
    import torch
    from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

    at_a_time = micro_batch(model, _blocks_per_step(train, blocks), blocks.length)
    steps = train.epochs * math.ceil(len(blocks) / _blocks_per_step(train, blocks))
    arguments = TrainingArguments(
        output_dir=str(out),
        num_train_epochs=train.epochs,
        per_device_train_batch_size=at_a_time,
        gradient_accumulation_steps=_blocks_per_step(train, blocks) // at_a_time,
        optim="adamw_torch_fused",
        learning_rate=train.learning_rate,
        lr_scheduler_type=SCHEDULES[train.schedule],
        warmup_steps=math.ceil(train.warmup * steps),
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm,
        bf16=train.precision == "bfloat16",
        seed=train.seed,
        data_seed=train.seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # DataParallel would copy the model per step
    log: list[dict[str, float]] = []
    learned = 0
    began = told = time.monotonic()

    def loss(outputs: Any, labels: Any, num_items_in_batch: Any) -> Any:
        nonlocal learned
        targets = labels[labels != -100]
        learned += len(targets)
        total = torch.nn.functional.cross_entropy(outputs.logits, targets, reduction="sum")
        return total / num_items_in_batch.clamp(min=1)

    class Log(TrainerCallback):
        def on_log(self, args: Any, state: Any, control: Any, **event: Any) -> None:  # noqa: ARG002
            nonlocal told
            logs = event["logs"]
            if "loss" not in logs:
                return
            if not (math.isfinite(logs["loss"]) and math.isfinite(logs["grad_norm"])):
                raise Complaint(
                    f"training diverged at step {state.global_step}: loss {logs['loss']}, gradient "
                    f"norm {logs['grad_norm']}; lower train.learning_rate or raise train.warmup"
                )
            log.append(
                {
                    "step": state.global_step,
                    "epoch": state.epoch,
                    "loss": logs["loss"],
                    "bits_per_token": logs["loss"] / math.log(2),
                    "learning_rate": logs["learning_rate"],
                    "grad_norm": logs["grad_norm"],
                    "tokens": learned,
                }
            )
            now = time.monotonic()
            if now - told > PROGRESS_SECONDS or state.global_step in (1, steps):
                done = state.epoch * len(blocks) * blocks.length
                print(
                    f"step {state.global_step}/{steps}  loss {logs['loss']:.4f}  "
                    f"{done / (now - began):.0f} tokens/s",
                    flush=True,
                )
                told = now

    trainer = Trainer(
        model,
        arguments,
        data_collator=collate,
        train_dataset=blocks,
        compute_loss_func=loss,
        callbacks=[Log()],
    )
    trainer.remove_callback(PrinterCallback)
    hooks = only_where_learned(model)
    trainer.train()
    for hook in hooks:
        hook.remove()
    return log


def only_where_learned(model: Any) -> list[Any]:
    """Let the output layer see only the positions a `learned` mask names, where one is given.

    Called with `learned`, bool [batch, length], the model's logits are [learned, vocabulary]. With
    questions of which only the answers are learned this saves most of a large vocabulary's cost.
    """
    masks: list[Any] = []

    def keep(_module: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if "learned" in kwargs:
            masks.append(kwargs.pop("learned"))
        return args, kwargs

    def select(_module: Any, args: Any) -> Any:
        return (args[0][masks.pop()],) if masks else args

    return [
        model.register_forward_pre_hook(keep, with_kwargs=True),
        _head(model).register_forward_pre_hook(select),
    ]


def _fit_together(train: Train, model: Any, blocks: Blocks, *, grown: bool) -> None:
    """Raise Complaint for a model, tokenizer, pack and method that do not belong together."""
    import torch

    rows = model.get_input_embeddings().weight.shape[0]
    if int(blocks.tokens.max()) >= rows:
        raise Complaint(
            f"the pack holds token {int(blocks.tokens.max())}, the model knows {rows}: "
            "pack with the tokenizer that the model is trained with"
        )
    context = getattr(model.config, "max_position_embeddings", blocks.length)
    if blocks.length > context:
        raise Complaint(
            f"pack.length: {blocks.length} tokens, but the model's context is {context}"
        )
    if grown and train.lora is not None:
        names = {n.rpartition(".")[2]: m for n, m in model.named_modules()}
        full = {id(names[name].weight) for name in train.lora.full if name in names}
        if not {id(model.get_input_embeddings().weight), id(_head(model).weight)} <= full:
            raise Complaint(
                "train.lora.full: new pieces need their embeddings trained; "
                "add the input embedding and, where it is not tied, the output layer "
                "(embed_tokens and lm_head in most models)"
            )
    # Two documents in one block: changing the first must leave the second as it was.
    tokens = torch.tensor([[1, 2, 3, 1, 2, 3], [3, 1, 2, 1, 2, 3]])
    positions = torch.arange(3).repeat(2, 2)
    model.eval()
    with torch.no_grad():
        one, other = model(input_ids=tokens, position_ids=positions, use_cache=False).logits
    if not torch.allclose(one[3:], other[3:], atol=1e-5):
        raise Complaint(
            f"{type(model).__name__}: documents in one block see each other, because this "
            "architecture does not tell them apart by position; use another"
        )


def _blocks_per_step(train: Train, blocks: Blocks) -> int:
    return min(max(1, train.batch_tokens // blocks.length), len(blocks))


def _head(model: Any) -> Any:
    return model.get_output_embeddings()


def _summary(log: list[dict[str, float]], counts: dict[str, int], epochs: int) -> dict[str, float]:
    """The numbers of training.json; losses are means over the tokens learned in the last epoch."""
    steps = len(log) // epochs
    seen = [0.0, *(row["tokens"] for row in log)]
    total = sum(log[i]["loss"] * (seen[i + 1] - seen[i]) for i in range(len(log) - steps, len(log)))
    bits = total / math.log(2)
    return {
        "steps": len(log),
        "epochs": epochs,
        "tokens": counts["tokens"] * epochs,
        "learned": counts["learned"] * epochs,
        "final_loss": total / counts["learned"],
        "bits_per_token": bits / counts["learned"],
        "bits_per_byte": bits / max(counts["bytes"], 1),
    }


if __name__ == "__main__":
    step.run(train, Train)

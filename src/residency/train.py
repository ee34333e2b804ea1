"""train: a parent's weights plus packed data become a model.

    parent ── vocabulary grown ── adapters put in ── steps ── adapters merged ──> safetensors
                                                       │
                       pack: blocks, shuffled anew in each epoch

The loss of a step is the mean over all tokens learned in it, so it does not depend on how the step
is cut into micro-batches or dealt to processes. Documents in one block do not see each other.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from residency import checkpoints, step
from residency.blocks import Blocks, collate, takes_flat
from residency.card import quoted, table, write_card
from residency.course import Course
from residency.devices import (
    FILLED,
    How,
    Settings,
    attention,
    backed_off,
    blocks_at_once,
    free_memory,
    join,
    nodes,
    prepare_zero,
    processes,
    rank,
    ranks,
    settings,
    shared_out,
    state_bytes,
    where,
    zero_config,
)
from residency.embeddings import grow, settle
from residency.files import read_json, write_json, write_rows
from residency.fingerprint import fingerprint
from residency.gate import Gate, change, found, watching
from residency.launch import child, launch
from residency.lora import Lora, adapt
from residency.progress import Watch, logging, trackers
from residency.section import Complaint, Percent, Section, Seed, Setback, Share
from residency.unused import unused

SCHEDULES = {"cosine": "cosine", "linear": "linear", "constant": "constant_with_warmup"}


class Train(Section):
    """How a model is trained. Where it runs, and in what micro-batches, is not part of it."""

    method: Literal["full", "lora", "qlora"] = Field(
        description="Train all weights, or adapters, or adapters to weights held in 4 bits (GPU)."
    )
    lora: Lora | None = Field(description="The adapters where method is lora or qlora, else null.")
    epochs: PositiveInt | None = Field(
        description="Passes over the packed data; null where steps says how long."
    )
    steps: PositiveInt | None = Field(
        description="Optimiser steps; null where epochs says how long."
    )
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
    gate: Gate | None = Field(
        description="Watches what training does to text it does not learn; null: nothing does."
    )

    keep: list[Percent] = Field(
        description="Shares of all steps, such as 50%, after which the weights are kept too; "
        "evaluations name them <model>@50%."
    )

    @model_validator(mode="after")
    def _lora_if_lora(self) -> Train:
        if (self.method == "full") != (self.lora is None):
            raise ValueError(
                "lora holds the adapters where method is lora or qlora, and is null elsewhere"
            )
        return self

    @model_validator(mode="after")
    def _epochs_or_steps(self) -> Train:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give epochs or steps, and null for the other")
        return self


def train(train: Train, parent: Path, tokenizer: Path | None, pack: Path, out: Path) -> None:
    """Train a model on packed blocks and write it in Hugging Face layout with log and card.

    `parent`: a folder of build/models; `tokenizer`: a folder of build/tokenizers where the model
    changes its parent's; `pack`: a folder of build/packs.

    Writes the model in float32, log.jsonl (a row per step; `tokens` are those learned so far,
    `loss` is in nats per learned token), training.json (`final_loss` is the mean over the last
    epoch) and, where there is a gate, gate.jsonl. Raises Complaint where the parts do not fit
    together, where training diverges, and where the gate stops it.
    """
    check(train, parent, tokenizer, pack)
    blocks = blocks_per_step(train, Blocks(pack / "train"))
    spread = nodes(blocks)
    wanted = processes(settings(), blocks // spread)
    if wanted * spread > 1 and not child():
        launch(
            "residency.train",
            train,
            wanted,
            spread,
            parent=parent,
            tokenizer=tokenizer,
            pack=pack,
            out=out,
        )
        return
    with checkpoints.stoppable() as stopping:
        _trained(train, parent, tokenizer, pack, out, stopping)


def _trained(
    train: Train,
    parent: Path,
    tokenizer: Path | None,
    pack: Path,
    out: Path,
    stopping: Callable[[], bool],
) -> None:
    """The part of `train` that each process takes; it stops after a step where `stopping` says."""
    blocks = Blocks(pack / "train")
    join()
    from transformers import AutoTokenizer, set_seed
    from transformers.integrations.deepspeed import unset_hf_deepspeed_config
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    set_seed(train.seed)
    model, adapters = prepared(train, parent, tokenizer, quantised=train.method == "qlora")
    _fit_together(train, model, grown=tokenizer is not None)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    model.set_attn_implementation(attention(train.precision))
    gate = None
    if train.gate:
        pieces = None if tokenizer is None else read_json(tokenizer / "pieces.json")
        gate = watching(train.gate, pack, pieces, train.precision)
    inputs = [parent, pack] if tokenizer is None else [parent, pack, tokenizer]
    state = checkpoints.work(pack.name, train, inputs)
    log = fit(model, train, blocks, state, [gate] if gate else [], stopping)
    weights = whole(model) if in_parts(model) or train.method == "qlora" else None
    if rank() != 0:
        return
    if weights is not None:
        unset: Any = unset_hf_deepspeed_config
        unset()  # else the parent would be dealt out, too
        model, adapters = prepared(train, parent, tokenizer, quantised=False)
        put(model, weights)
    if adapters is not None:
        model = adapters.merge_and_unload()
    model.config.use_cache = True
    coder = AutoTokenizer.from_pretrained(tokenizer or parent, local_files_only=True)
    if tokenizer is not None:
        settle(model, 1 + max(coder.get_vocab().values()))
    with checkpoints.full_disk(state, ["the model"]), unused("deepspeed"):
        model.save_pretrained(out)
        coder.save_pretrained(out)
        checkpoints.put_kept(state, train.keep, coder, out)

    counts = read_json(pack / "counts.json")["kept"]
    summary = _summary(log, counts, math.ceil(len(blocks) / blocks_per_step(train, blocks)))
    summary |= {"parameters": model.num_parameters(), "trained": trained}
    write_rows(out / "log.jsonl", log)
    measured: dict[str, Any] = {}
    if train.gate and gate:
        write_rows(out / "gate.jsonl", gate.rows)
        measured = {"gate": found(train.gate, gate.rows)}
    write_json(out / "training.json", summary | measured)
    said = train.canonical()
    said |= {f"gate.{key}": value for key, value in (said.pop("gate") or {}).items()}
    lora = {f"lora.{key}": value for key, value in (said.pop("lora") or {}).items()}
    write_card(
        out,
        {"base_model": parent.name},
        "A trained model",
        [
            f"Trained from {quoted(parent.name)} on the pack {quoted(pack.name)}"
            + (f" with the tokenizer {quoted(tokenizer.name)}." if tokenizer else ".")
            + " Its licence follows from its parent's and its data's.",
            table(("hyperparameter", "value"), [*said.items(), *lora.items()]),
            table(("data, in one epoch", "number"), counts.items()),
            table(("result", "value"), summary.items()),
            *([f"Text that it did not learn: {change(gate.rows)}."] if gate else []),
        ],
    )
    checkpoints.finish(state)


def check(train: Train, parent: Path, tokenizer: Path | None, pack: Path) -> None:
    """Raise Complaint for parts that do not belong together, before any weights are read.

    Looks at the parent's config.json, the tokenizers' files and the pack's counts only.
    """
    if train.method == "qlora":
        _four_bits()
    counts, blocks = read_json(pack / "counts.json"), Blocks(pack / "train")
    config = read_json(parent / "config.json")
    config |= config.get("text_config") or {}
    ours = tokenizer or parent
    if counts["tokenizer"] != fingerprint(ours):
        raise Complaint(
            f"{pack}: was packed with another tokenizer than that of {ours}, which the model is "
            "trained with; give the model the tokenizer its data is packed with, or pack it anew"
        )
    rows = config.get("vocab_size", 0)
    if tokenizer is not None:
        rows = max(rows, *(1 + int(new) for new in read_json(tokenizer / "pieces.json")))
    largest = counts["largest_token"]
    if largest >= rows:
        raise Complaint(
            f"the pack holds token {largest}, the model knows {rows}: "
            "pack with the tokenizer that the model is trained with"
        )
    context = config.get("max_position_embeddings") or blocks.length
    if blocks.length > context:
        raise Complaint(
            f"pack.length: {blocks.length} tokens, but the model's context is {context}; "
            f"take at most {context}"
        )
    if counts["kept"]["learned"] == 0:
        raise Complaint(f"{pack}: nothing in it is learned; pack data that has something to learn")
    if not sorted(parent.glob("*.safetensors")):
        raise Complaint(f"{parent}: holds no weights in safetensors; adopt or train it anew")


def _four_bits() -> None:
    import torch

    if not torch.cuda.is_available():
        raise Setback(
            "train.method: qlora holds weights in 4 bits, which takes a GPU, and there is none; "
            "take lora, or train where there is one"
        )
    if importlib.util.find_spec("bitsandbytes") is None:
        raise Complaint(
            "train.method: qlora takes bitsandbytes, which is not installed; "
            "to install it: pip install bitsandbytes"
        )


def prepared(
    train: Train, parent: Path, tokenizer: Path | None, *, quantised: bool
) -> tuple[Any, Any]:
    """The parent with its vocabulary grown and its adapters in, and what can merge them.

    In float32 on the CPU; `quantised` holds what adapters are put to in 4 bits, on the GPU
    (Dettmers et al. 2023, "QLoRA", arXiv 2305.14314, section 3).
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    how: dict[str, Any] = {}
    if quantised:
        four_bits: Any = BitsAndBytesConfig
        how["quantization_config"] = four_bits(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, train.precision),
        )
        how["device_map"] = {"": torch.cuda.current_device()}
    load: Any = AutoModelForCausalLM.from_pretrained
    model = load(parent, dtype="float32", use_safetensors=True, local_files_only=True, **how)
    if tokenizer is not None:
        grow(model, tokenizer, train.seed)
    return model, None if train.lora is None else adapt(model, train.lora)


def fit(
    model: Any,
    train: Train,
    blocks: Blocks,
    out: Path,
    callbacks: Sequence[Any] = (),
    stopping: Callable[[], bool] = lambda: False,
) -> list[dict[str, Any]]:
    """Train the model in place; the rows of its log.

    `out`: a folder for the state on the way, from which it goes on where there is a checkpoint.
    Raises SystemExit with status 75 where `stopping` said after a step that it should end there,
    Setback where the checkpoint was saved with another ZeRO.

    Called in each process. Weights and moments are float32 and the forward pass autocasts, also on
    a GPU: an update of bfloat16 weights is lost where it is smaller than their 8 bits.
    """
    import torch
    from transformers import PrinterCallback, Trainer, TrainingArguments

    told = settings()
    per_step = blocks_per_step(train, blocks)
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    how = where(told, model.num_parameters(), trained, ranks(), free_memory())
    log: list[dict[str, Any]] = []
    last = checkpoints.latest(out)
    if last is not None:
        checkpoints.resumed(last, log, how)
    hooks = only_where_learned(model)
    at_once, checkpointing = measured(model, train, blocks, told, how)
    at_a_time, accumulate = shared_out(per_step, ranks(), at_once)
    course = Course(blocks, per_step, at_a_time * accumulate * ranks(), train.seed)
    steps = train.steps or (train.epochs or 0) * course.steps
    zero = None
    if how.zero:
        prepare_zero()
        zero = zero_config(how, train.precision, at_a_time, accumulate, train.max_grad_norm)
    arguments = TrainingArguments(
        output_dir=str(out),
        max_steps=steps,
        per_device_train_batch_size=at_a_time,
        gradient_accumulation_steps=accumulate,
        train_sampling_strategy="sequential",  # the course is shuffled
        optim="adamw_torch_fused",
        learning_rate=train.learning_rate,
        lr_scheduler_type=SCHEDULES[train.schedule],
        warmup_steps=math.ceil(train.warmup * steps),
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm,
        bf16=train.precision == "bfloat16" and zero is None,
        deepspeed=zero,
        activation_checkpointing=checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False},
        ddp_find_unused_parameters=False,
        ddp_backend="gloo" if (ranks() > 1 or zero) and not torch.cuda.is_available() else None,
        seed=train.seed,
        data_seed=train.seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
        remove_unused_columns=False,
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=trackers() or "none",
        run_name=out.parent.name,
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # DataParallel would copy the model per step
    learned, calls = [int(log[-1]["tokens"]) if log else 0], 0
    writing: list[str] = []
    watch = Watch(course, flat=takes_flat(model))

    def loss(outputs: Any, labels: Any, num_items_in_batch: Any) -> Any:
        nonlocal calls
        if calls % accumulate == 0:
            learned[0] += int(num_items_in_batch)  # of the whole step, on all processes
        calls += 1
        total = summed_loss(outputs, labels)
        watch.lost(total / (labels != -100).sum().clamp(min=1))
        return total / num_items_in_batch.clamp(min=1)

    if told.compile:
        compile_layers(model)
    with unused("deepspeed"):
        trainer = Trainer(
            model,
            arguments,
            data_collator=watch.gathered,
            train_dataset=watch,
            compute_loss_func=loss,
            callbacks=[logging(log, learned, steps, watch, out), *callbacks],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.add_callback(checkpoints.keeping(out, train.keep, trainer))
        with checkpoints.full_disk(out, writing):
            trainer.add_callback(checkpoints.saving(out, log, how, stopping, writing))
            trainer.train(resume_from_checkpoint=None if last is None else str(last))
    for hook in hooks:
        hook.remove()
    if len(log) < steps:
        raise checkpoints.paused(len(log), steps)
    return log


def summed_loss(outputs: Any, labels: Any) -> Any:
    """The sum in nats over the learned tokens, of logits that `only_where_learned` gave."""
    import torch

    return torch.nn.functional.cross_entropy(
        outputs.logits.float(), labels[labels != -100], reduction="sum"
    )


def measured(
    model: Any, train: Train, blocks: Blocks, told: Settings, how: How
) -> tuple[int, bool]:
    """Blocks at a time at most, and whether activations are computed twice to keep fewer.

    On a GPU a trial step is taken, with half as many blocks again and again where memory runs out,
    and then with checkpointed activations; neither weights nor random numbers are changed by it.
    Raises Complaint where not even one block fits.
    """
    per_step = blocks_per_step(train, blocks)
    most = math.ceil(per_step / ranks())
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    free = free_memory()
    if free is not None:
        free = free * FILLED - state_bytes(how, model.num_parameters(), trained, ranks())
    first = min(told.micro_batch or blocks_at_once(model, blocks.length, free), most)
    checkpointing = bool(told.checkpoint_activations)
    if free is None or how.zero == 3 or in_parts(model):
        return first, checkpointing
    attempt = partial(trial, model, blocks, train.precision, state_bytes=8 * trained)
    for twice in [checkpointing] if told.checkpoint_activations is not None else [False, True]:
        if twice:
            model.activation_checkpointing_enable({"use_reentrant": False})
        found = backed_off(attempt, first)
        if found is not None:
            return found, twice
    raise Setback(
        f"one block of {blocks.length} tokens does not fit the GPU's memory beside the training "
        "state; take a shorter pack.length, method lora or qlora, set RESIDENCY_ZERO=3 and "
        "RESIDENCY_OFFLOAD=1, or use a larger GPU"
    )


def trial(model: Any, blocks: Blocks, precision: str, size: int, *, state_bytes: int = 0) -> None:
    """Forward and backward of `size` blocks learned in full, beside `state_bytes` of moments.

    Leaves weights, gradients and random numbers as they were.
    """
    import torch

    place = "cuda" if torch.cuda.is_available() else "cpu"
    if model.device.type != place:
        model.to(place)
    row = blocks[0]
    batch = collate([(row[0], row[1], row[2] * 0 + 1)] * size, flat=takes_flat(model))
    batch = {
        key: value.to(place) if hasattr(value, "to") else value for key, value in batch.items()
    }
    batch["labels"][:, 0] = -100
    labels = batch.pop("labels")
    model.train()
    with torch.random.fork_rng():
        try:
            moments = torch.empty(state_bytes, dtype=torch.uint8, device=place)
            with torch.autocast(place, torch.bfloat16, enabled=precision == "bfloat16"):
                summed_loss(model(**batch), labels).backward()
            del moments
        finally:
            model.zero_grad(set_to_none=True)


def compile_layers(model: Any) -> None:
    """Compile each repeated layer by itself; the choice of learned positions stays outside."""
    repeated = set(model._no_split_modules or [])
    for module in model.modules():
        if type(module).__name__ in repeated:
            module.compile()


def in_parts(model: Any) -> bool:
    """Whether ZeRO has dealt the weights out to several devices."""
    return any(hasattr(each, "ds_id") for each in model.parameters())


def whole(model: Any) -> dict[str, Any]:
    """The trained weights by name, float32 on the CPU; each process calls, rank 0 has them."""
    found = {}
    for name, weight in model.named_parameters():
        if weight.requires_grad:
            full = weight.detach()
            if hasattr(weight, "ds_id"):
                from deepspeed.utils import safe_get_full_fp32_param

                full = safe_get_full_fp32_param(weight)
            if rank() == 0:
                found[name] = full.float().cpu().clone()
    return found


def put(model: Any, weights: dict[str, Any]) -> None:
    """Set trained weights in another model prepared alike."""
    import torch

    to = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in weights.items():
            to[name].copy_(weight)


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


def _fit_together(train: Train, model: Any, *, grown: bool) -> None:
    """Raise Complaint for a model and method that do not belong together."""
    import torch

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
    tokens = torch.tensor([[1, 2, 3, 1, 2, 3], [3, 1, 2, 1, 2, 3]]).to(model.device)
    positions = torch.arange(3).repeat(2, 2).to(model.device)
    model.eval()
    with torch.no_grad():
        one, other = model(input_ids=tokens, position_ids=positions, use_cache=False).logits
    if not torch.allclose(one[3:], other[3:], atol=1e-5):
        raise Complaint(
            f"{type(model).__name__}: documents in one block see each other, because this "
            "architecture does not tell them apart by position; use another"
        )


def blocks_per_step(train: Train, blocks: Blocks) -> int:
    """Blocks of an optimiser step."""
    return min(max(1, train.batch_tokens // blocks.length), len(blocks))


def _head(model: Any) -> Any:
    return model.get_output_embeddings()


def _summary(log: list[dict[str, Any]], counts: dict[str, int], epoch: int) -> dict[str, float]:
    """The numbers of training.json; losses are means over the tokens learned in the last epoch.

    `epoch`: the steps of one. Of a last epoch that was not finished, the losses of its length
    before the end; `tokens` are then the pack's times the passes.
    """
    seen = [0.0, *(row["tokens"] for row in log)]
    last = range(max(0, len(log) - epoch), len(log))
    total = sum(log[i]["loss"] * (seen[i + 1] - seen[i]) for i in last)
    final = total / max(1, seen[-1] - seen[last[0]])
    bits = final / math.log(2)
    passes = len(log) / epoch
    return {
        "steps": len(log),
        "epochs": int(passes) if passes.is_integer() else passes,
        "tokens": round(counts["tokens"] * passes),
        "learned": int(seen[-1]),
        "final_loss": final,
        "bits_per_token": bits,
        "bits_per_byte": bits * counts["learned"] / max(counts["bytes"], 1),
    }


if __name__ == "__main__":
    step.run(train, Train, checkpoints.forget)

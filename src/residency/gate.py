"""gate: what training does to text it does not learn, measured while it is done.

    pack/held_out   domain text or questions kept from training ─┐
    pack/general    general text, kept from it likewise         ─┴─> bits per byte along training

The loss that training reports is of what it learns, so it falls also where the model forgets all
else. Bits per byte (Gao et al. 2020, "The Pile", arXiv 2101.00027, section 3.1) count what is not
learned and do not depend on how a tokenizer cuts it, so a model can be held against its parent.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from residency.blocks import Blocks, collate, takes_flat
from residency.section import Complaint, Section, in_order

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

PARTS = {"domain": "held_out", "general": "general"}
"""Each text that is measured, and the part of the pack that holds it."""

OWN, PARENTS = "its own", "its parent's"
LEVEL = 0.005
"""A smaller change is told as none."""


class Gate(Section):
    """What is measured while a model is trained, and what a loss on general text leads to."""

    every: float = Field(
        gt=0, le=1, description="Share of all steps between measurements; also before and after."
    )
    blocks: PositiveInt = Field(
        description="Blocks of each text that are measured, at most: the same ones each time."
    )
    warn_if_general_loss_rises_by: PositiveFloat | None = Field(
        description="Share of the parent's loss on general text, such as 0.02; null: no bound."
    )
    stop_if_general_loss_rises_by: PositiveFloat | None = Field(
        description="Likewise, such as 0.1: training fails and no model is written; null: no bound."
    )

    @model_validator(mode="after")
    def _warned_before_stopped(self) -> Gate:
        if None not in (self.warn_if_general_loss_rises_by, self.stop_if_general_loss_rises_by):
            in_order(self, "warn_if_general_loss_rises_by", "stop_if_general_loss_rises_by")
        return self

    @property
    def bounded(self) -> bool:
        """Whether general text is needed."""
        return (
            self.warn_if_general_loss_rises_by or self.stop_if_general_loss_rises_by
        ) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Blocks to measure: tokens, positions and what is learned of each, and their text's bytes."""

    rows: list[tuple[npt.NDArray[np.integer[Any]], ...]]
    bytes: int


def sampled(part: Path, most: int) -> Sample:
    """At most `most` blocks of a part of a pack, evenly spaced; documents' lengths rise or fall.

    Raises Complaint where nothing in them is learned.
    """
    import numpy as np

    blocks = Blocks(part)
    number = min(most, len(blocks))
    chosen = [index * len(blocks) // number for index in range(number)]
    size = sum(int(blocks.bytes[row]) for row in chosen)
    if size == 0:
        raise Complaint(
            f"{part}: nothing to measure in {len(blocks)} blocks; hold more out, or declare no gate"
        )
    return Sample(
        rows=[tuple(np.array(each) for each in blocks[row]) for row in chosen], bytes=size
    )


def in_old_pieces(sample: Sample, pieces: dict[str, list[int]], longest: int) -> Sample:
    """The same text in the parent's pieces: each new one as the old ones it is made of.

    A document that gets longer than `longest`, the model's context, goes on as another one.
    """
    import numpy as np

    rows: list[list[Any]] = []
    for tokens, positions, loss in sample.rows:
        old = [pieces.get(str(token), [token]) for token in tokens.tolist()]
        ends = np.cumsum([len(each) for each in old])
        starts = np.zeros(ends[-1], np.int64)
        first = np.concatenate([[0], ends[:-1]])[positions == 0]
        starts[first] = first
        place = (np.arange(ends[-1]) - np.maximum.accumulate(starts)) % longest
        learned = np.where(place == 0, 0, np.repeat(loss, np.diff(ends, prepend=0)))
        rows.append([np.concatenate([np.array(each) for each in old]), place, learned])
    widest = max(len(tokens) for tokens, *_ in rows)
    padded = []
    for row in rows:
        rest = widest - len(row[0])
        tail = (np.zeros(rest), np.arange(rest) % longest, np.zeros(rest))
        padded.append(
            tuple(np.concatenate([a, b.astype(a.dtype)]) for a, b in zip(row, tail, strict=True))
        )
    return Sample(rows=padded, bytes=sample.bytes)


def bits_per_byte(
    model: Any,
    sample: Sample,
    *,
    precision: str,
    device: Any,
    at_a_time: int,
    without: Sequence[int] = (),
) -> float:
    """What is not known of each byte of a sample's learned text, in bits.

    `model`: one whose output layer sees only what is learned (train.only_where_learned);
    `precision`: of the forward pass, bfloat16 by autocast; DeepSpeed would leave a model that is
    called outside its engine in float32. `at_a_time`: blocks in one forward pass; `without`:
    tokens that the model may not choose.

    Changes nothing: no gradient, no dropout, no random number. Where several processes train, all
    must call it: each takes its share of the blocks, in equally many passes, as ZeRO-3 needs.
    """
    import torch
    from torch import distributed

    several = distributed.is_available() and distributed.is_initialized()
    rank, ranks = (distributed.get_rank(), distributed.get_world_size()) if several else (0, 1)
    passes = math.ceil(math.ceil(len(sample.rows) / ranks) / at_a_time)
    mine = sample.rows[rank::ranks]
    place = torch.device(device).type
    barred = torch.tensor(list(without), dtype=torch.long, device=device)
    nats = torch.zeros((), dtype=torch.float64, device=device)
    training = [module for module in model.modules() if module.training]
    model.eval()
    with torch.no_grad():
        for turn in range(passes):
            rows = mine[turn * at_a_time : (turn + 1) * at_a_time]
            batch = collate(rows or sample.rows[:1], flat=takes_flat(model))
            batch = {k: v.to(device) if torch.is_tensor(v) else v for k, v in batch.items()}
            labels = batch.pop("labels")
            with torch.autocast(place, torch.bfloat16, enabled=precision == "bfloat16"):
                logits = model(**batch).logits.float()
            if without:
                logits = logits.index_fill(-1, barred, -torch.inf)
            loss = torch.nn.functional.cross_entropy(
                logits, labels[labels != -100], reduction="sum"
            )
            nats += loss if rows else 0
    for module in training:
        module.training = True
    if several:
        distributed.all_reduce(nats)
    return nats.item() / math.log(2) / sample.bytes


def moments(every: float, steps: int) -> set[int]:
    """The steps after which is measured: 0, the last, and those a share `every` apart."""
    return {0, steps} | {
        max(1, round(number * every * steps)) for number in range(1, math.ceil(1 / every))
    }


def watching(gate: Gate, pack: Path, pieces: dict[str, list[int]] | None, precision: str) -> Any:
    """A TrainerCallback that measures; its `rows` are what it found.

    `pieces`: the new pieces where the vocabulary is grown, each by the old ones it is made of. The
    parent is then measured in its own pieces too: that is what the grown model is compared with,
    for rows that nobody has trained yet are no part of what it knew.

    A row is {step, share, tokenizer, domain_bits_per_byte, general_bits_per_byte}, without what
    the pack does not hold. Rows are kept in the trainer's log_history as well, so in each of its
    checkpoints: a resumed training goes on with them.

    Raises Complaint where the pack holds nothing to measure, and, while training, where the loss
    on general text rises by more than the gate lets it, or is no number.
    """
    from transformers import TrainerCallback

    samples = {
        text: sampled(pack / part, gate.blocks)
        for text, part in PARTS.items()
        if (pack / part).is_dir()
    }
    if not samples or (gate.bounded and "general" not in samples):
        raise Complaint(
            f"{pack}: train.gate measures {' and '.join(PARTS.values())}, found "
            f"{', '.join(PARTS[text] for text in samples) or 'neither'}; declare pack.general "
            "(and pack.held_out), or set train.gate to null"
        )

    class Watch(TrainerCallback):
        rows: list[dict[str, Any]]

        def on_train_begin(self, args: Any, state: Any, control: Any, **event: Any) -> None:  # noqa: ARG002
            self.rows = [each["gate"] for each in state.log_history if "gate" in each]
            self.due = moments(gate.every, state.max_steps)
            if self.rows:
                return
            if pieces:
                longest = getattr(event["model"].config, "max_position_embeddings", 2**31)
                old = {k: in_old_pieces(v, pieces, longest) for k, v in samples.items()}
                self.measure(args, state, event["model"], old, [int(new) for new in pieces])
            self.measure(args, state, event["model"], samples)

        def on_step_end(self, args: Any, state: Any, control: Any, **event: Any) -> None:  # noqa: ARG002
            if state.global_step in self.due:
                self.measure(args, state, event["model"], samples)

        def measure(
            self,
            args: Any,
            state: Any,
            model: Any,
            texts: dict[str, Sample],
            without: Sequence[int] = (),
        ) -> None:
            size = args.per_device_train_batch_size
            found = {
                f"{text}_bits_per_byte": bits_per_byte(
                    model,
                    sample,
                    precision=precision,
                    device=args.device,
                    at_a_time=size,
                    without=without,
                )
                for text, sample in texts.items()
            }
            row = {
                "step": state.global_step,
                "share": state.global_step / state.max_steps,
                "tokenizer": PARENTS if without else OWN,
                **found,
            }
            self.rows.append(row)
            state.log_history.append({"step": state.global_step, "gate": row})
            said = judged(gate, self.rows, state.max_steps)
            if state.is_world_process_zero:
                print(said, flush=True)

    return Watch()


def judged(gate: Gate, rows: Sequence[dict[str, Any]], steps: int) -> str:
    """A line on the last row.

    Raises Complaint where it is not finite, or general text is worse off than the gate allows.
    """
    last = rows[-1]
    where = f"step {last['step']} of {steps}"
    for text in PARTS:
        value = last.get(f"{text}_bits_per_byte", 0.0)
        if not math.isfinite(value):
            raise Complaint(
                f"training diverged by {where}: {value} bits per byte of {text} text; lower "
                "train.learning_rate or raise train.warmup"
            )
    if last["tokenizer"] == PARENTS:
        return f"gate: the parent in its own pieces: {change(rows)}"
    line = f"gate: {where}: {change(rows)}"
    if last["step"] == 0:
        return line  # what it forgot, it did not forget in training
    stop, warn = gate.stop_if_general_loss_rises_by, gate.warn_if_general_loss_rises_by
    risen = rise(rows, "general") if gate.bounded else 0.0
    if stop is not None and risen > stop:
        raise Complaint(
            f"train.gate.stop_if_general_loss_rises_by: {stop:g} is passed at {where}: "
            f"{change(rows)}. No model is written, for what was declared would forget more than "
            "you allow. Replay general text (pack.general.replay), lower train.learning_rate, "
            "train for fewer epochs or with method lora; or allow more"
        )
    if warn is not None and risen > warn:
        line += f" (warning: general text rose by more than {warn:g} of what it was)"
    return line


def rise(rows: Sequence[dict[str, Any]], text: str) -> float:
    """By what share the bits per byte of a text rose from the first row to the last."""
    first, last = (rows[at][f"{text}_bits_per_byte"] for at in (0, -1))
    return float(last / first - 1)


def change(rows: Sequence[dict[str, Any]]) -> str:
    """What the last row says against the first, in words."""
    told = []
    for text in PARTS:
        key = f"{text}_bits_per_byte"
        if key not in rows[0]:
            continue
        first, last, by = rows[0][key], rows[-1][key], rise(rows, text)
        if len(rows) == 1:
            told.append(f"{text} text takes {first:.3f} bits per byte")
        elif abs(by) < LEVEL:
            told.append(f"{text} text stayed at {last:.3f} bits per byte (was {first:.3f})")
        else:
            moved = "rose" if by > 0 else "fell"
            share = f"{100 * abs(by):.1f} %"
            told.append(
                f"{text} text {moved} by {share} from {first:.3f} to {last:.3f} bits per byte"
            )
    return ", ".join(told)


def found(gate: Gate, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The numbers for training.json: of each text before and after, its rise, and the warning.

    `before` is the parent; `warned`, whether general text was past the bound at any time.
    """
    texts = [text for text in PARTS if f"{text}_bits_per_byte" in rows[0]]
    numbers: dict[str, Any] = {}
    for text in texts:
        key = f"{text}_bits_per_byte"
        numbers[text] = {
            "before": rows[0][key],
            "after": rows[-1][key],
            "rise": rise(rows, text),
        }
    warn = gate.warn_if_general_loss_rises_by
    risen = [
        rise([rows[0], row], "general") for row in rows if warn is not None and row["step"] > 0
    ]
    return numbers | {"warned": warn is not None and any(each > warn for each in risen)}

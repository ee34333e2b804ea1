"""pack: text or conversations become token blocks with document boundaries and loss masks.

    train/      what is learned in one epoch
    held_out/   documents or questions of the same data that are kept from it, where declared
    general/    general text that is kept from it, where declared

each of them memory-mapped:

    tokens.npy     int32 [blocks, length]   ids; the pad token where nothing is
    positions.npy  int32 [blocks, length]   0, 1, 2, ... anew in each document, and in the padding
    loss.npy       uint8 [blocks, length]   1 where the token is to be predicted from those before
    bytes.npy      int32 [blocks]           of UTF-8 text that the predicted tokens stand for

A document is a corpus's document, or a question as a conversation. Documents are put into blocks by
best-fit decreasing, so that none is cut but those longer than a block (Ding et al. 2024, "Fewer
Truncations Improve Language Modeling", arXiv 2404.10830). Each pass over the data is
packed by itself: what is passed over twice does not meet itself in one block.

Which documents are held out, or drawn where a weight is no whole number, is told by a hash of the
seed and a document's id, or a question's group: what belongs together stays together, and the order
of the data has no part in it.
"""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, PositiveFloat, model_validator

from residency import step
from residency.files import write_json, write_rows
from residency.fingerprint import fingerprint
from residency.records import Rejected
from residency.section import Complaint, Name, Section, Seed, Share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from residency.pieces import Source

    Chosen = NDArray[np.bool_]
    """Of the documents of a source."""


class General(Section):
    """General text, against forgetting: some measures it, the rest is replayed."""

    corpus: Name = Field(description="The corpus; none of `data`.")
    held_out: Share = Field(
        description="Share of its documents that is never learned, expected of a hash; on these "
        "forgetting is measured."
    )
    replay: float = Field(
        ge=0,
        lt=1,
        description="Share of an epoch's tokens that is drawn from the rest, exact to a document; "
        "a rest too small is passed over more than once, as counts.json says.",
    )

    @model_validator(mode="after")
    def _is_used(self) -> General:
        if self.held_out == 0 and self.replay == 0:
            raise ValueError("held_out and replay are both 0, so nothing is done; set it to null")
        if self.held_out == 1 and self.replay > 0:
            raise ValueError("held_out is 1, so that nothing is left to replay; lower one of them")
        return self


class Pack(Section):
    """What a model learns from, and in blocks of what length."""

    objective: Literal["pretrain", "instruct"] = Field(
        description="pretrain: every token of corpora; instruct: the answers to questions."
    )
    data: dict[Name, PositiveFloat] = Field(
        min_length=1,
        description="Corpora (pretrain), or exams' train splits and question sets (instruct), each "
        "with its weight: how many times its tokens are seen in one epoch. 2: each twice; 0.5: "
        "documents with half of the tokens once; 1.5: all once, and such a half once more.",
    )
    length: int = Field(ge=8, description="Block length in tokens.")
    held_out: float = Field(
        ge=0,
        lt=1,
        description="Share of the documents, or of the questions by groups, that is kept from "
        "training to be measured on, expected of a hash; 0 for none.",
    )
    general: General | None = Field(description="General text, against forgetting; null for none.")
    seed: Seed = Field(description="Seed of what is held out and drawn.")
    options: Literal["shown", "hidden", "each"] | None = Field(
        description="instruct: whether the prompt lists the options; each: they are put one by one "
        "instead, to be judged true or false, as propositions always are; pretrain: null."
    )
    explain: bool | None = Field(
        description="instruct: whether the prompt asks for the explanation, to follow the answer, "
        "where a question has one; pretrain: null."
    )
    system: str | None = Field(
        description="instruct: what the system turn says, the same as in the evaluations; null "
        "leaves it to the chat template, which may put one of its own; pretrain: null."
    )
    template: bool | None = Field(
        description="instruct: whether the chat template is used; else the prompt is 'Question: "
        "... Answer:', as base models without a template are asked; pretrain: null."
    )

    @model_validator(mode="after")
    def _general_is_other(self) -> Pack:
        if self.general is not None and self.general.corpus in self.data:
            raise ValueError(f"general.corpus: {self.general.corpus!r} is in data too; keep apart")
        return self


TRAIN, HELD_OUT, GENERAL = "train", "held_out", "general"
ELSEWHERE = "held out elsewhere"


def pack(pack: Pack, tokenizer: Path, data: list[Path], general: Path | None, out: Path) -> None:
    """Pack token blocks into folders of tokens.npy, positions.npy, loss.npy and bytes.npy.

    `tokenizer`: a folder of build/tokenizers or build/models; `data`: folders of build/corpora,
    or .jsonl files of questions, in the order of `pack.data`; `general`: a folder of build/corpora.

    In counts.json, "kept" is of train/ in one epoch, all passes together; "bytes" are of the text
    that is learned, for bits per byte; "parts" are the other folders, "data" what became of each
    source. With "objective", "length", "largest_token" and "tokenizer" (its fingerprint) training
    knows what it is given without reading it.

    Raises Complaint where data is empty or of the other objective's kind, where a share or weight
    leaves nothing, where the chat template cannot be learned by, or nothing is learned.
    """
    import numpy as np
    from transformers import AutoTokenizer

    from residency import pieces, prompts
    from residency.bestfit import write_blocks

    coder = AutoTokenizer.from_pretrained(tokenizer, local_files_only=True)
    if coder.eos_token_id is None:
        raise Complaint(f"{tokenizer}: its tokenizer names no end-of-text token; set eos_token")
    files = {name: _file(pack, name, path) for name, path in zip(pack.data, data, strict=True)}
    text = pieces.texts(coder, pack.length, pack.seed)
    cut = text
    if pack.objective == "instruct":
        assert pack.options is not None
        assert pack.explain is not None
        assert pack.template is not None
        if pack.template:
            prompts.check_template(coder, pack.system)
        cut = pieces.conversations(
            coder,
            pack.length,
            pack.seed,
            pack.options,
            pack.system,
            template=pack.template,
            explain=pack.explain,
        )
    spilled = out / "spilled"
    with spilled.open("wb") as spill:
        sources = {name: pieces.read(path, cut, spill) for name, path in files.items()}
        for name, source in sources.items():
            if not len(source.documents) and not source.rejected:
                raise Complaint(
                    f"pack.data.{name}: {files[name]} is empty; leave it out, or fill its split"
                )
        shares = dict.fromkeys(sources, pack.held_out)
        if pack.general is not None and general is not None:
            name = pack.general.corpus
            sources[name] = pieces.read(general / "documents.jsonl", text, spill)
            shares[name] = pack.general.held_out

    rejected = [each for source in sources.values() for each in source.rejected]
    held_out = {name: _share(source, shares[name]) for name, source in sources.items()}
    hidden = {name: source.documents["content"][held_out[name]] for name, source in sources.items()}
    secret = np.concatenate(list(hidden.values()))
    free: dict[str, Chosen] = {}
    for name, source in sources.items():
        again = ~held_out[name] & np.isin(source.documents["content"], secret)
        free[name] = ~held_out[name] & ~again
        for document in np.flatnonzero(again).tolist():
            row = source.row(document)
            detail = f"in {name} with the same text as what is held out"
            rejected.append(Rejected(id=row["id"], reason=ELSEWHERE, detail=detail, item=row))

    weights = dict(pack.data)
    rounds = {name: _rounds(sources[name], free[name], weight) for name, weight in weights.items()}
    if pack.general is not None:
        name = pack.general.corpus
        seen = sum(_tokens(sources[each], rounds[each]) for each in rounds)
        wanted = seen * pack.general.replay / (1 - pack.general.replay)
        weights[name] = wanted / max(1, _tokens(sources[name], [free[name]]))
        rounds[name] = _rounds(sources[name], free[name], weights[name])
    _check_shares(pack, held_out, free, rounds)

    passes = [
        [(sources[name], each[number]) for name, each in rounds.items() if number < len(each)]
        for number in range(max(map(len, rounds.values())))
    ]
    parts = {TRAIN: passes}
    if pack.held_out:
        parts[HELD_OUT] = [[(sources[name], held_out[name]) for name in pack.data]]
    if pack.general is not None and pack.general.held_out:
        name = pack.general.corpus
        parts[GENERAL] = [[(sources[name], held_out[name])]]
    pad = coder.eos_token_id if coder.pad_token_id is None else coder.pad_token_id
    counts = {}
    for part, turns in parts.items():
        laid = (np.concatenate([source.of(chosen) for source, chosen in turn]) for turn in turns)
        made = write_blocks(out / part, laid, spilled, pack.length, pad)
        documents = sum(int(chosen.sum()) for turn in turns for _, chosen in turn)
        counts[part] = {"blocks": made.pop("blocks"), "documents": documents, **made}
    spilled.unlink()
    if counts[TRAIN]["learned"] == 0:
        _nothing_learned(pack, counts[TRAIN]["documents"], rejected)
    write_rows(out / "rejected.jsonl", rejected)
    write_json(
        out / "counts.json",
        {
            "objective": pack.objective,
            "length": pack.length,
            "largest_token": max(pad, *(source.largest for source in sources.values())),
            "tokenizer": fingerprint(tokenizer),
            "data": {
                name: {
                    "documents": len(source.documents),
                    "held_out": int(held_out[name].sum()),
                    "tokens": _tokens(source, [free[name]]),
                    "weight": weights[name],
                    "seen": _tokens(source, rounds[name]),
                }
                for name, source in sources.items()
            },
            "kept": counts.pop(TRAIN),
            "parts": counts,
            "rejected": dict(sorted(Counter(each.reason for each in rejected).items())),
        },
    )


def _file(pack: Pack, name: str, path: Path) -> Path:
    """The JSON lines of a corpus or of questions, whichever is learned from."""
    if pack.objective == "pretrain":
        if not (path / "documents.jsonl").is_file():
            raise Complaint(f"pack.data.{name}: pretrain learns corpora, and {path} is none")
        return path / "documents.jsonl"
    if not path.is_file():
        raise Complaint(
            f"pack.data.{name}: instruct learns questions, expected a .jsonl file, found {path}"
        )
    return path


def _share(source: Source, share: float) -> Chosen:
    """The documents whose hash falls into a share; each by itself."""
    chosen: Chosen = source.documents["draw"] / 2.0**64 < share
    return chosen


def _rounds(source: Source, chosen: Chosen, weight: float) -> list[Chosen]:
    """The documents of each pass, so that the chosen ones' tokens are seen `weight` times.

    Of a pass over a part, the documents come in the order of their hashes, as many as bring their
    tokens nearest to that part. There is no pass over nothing.
    """
    import numpy as np

    if not chosen.any():
        return []
    fraction, whole = math.modf(weight)
    rounds = [chosen] * int(whole)
    there = np.flatnonzero(chosen)
    order = there[np.argsort(source.documents["draw"][there], kind="stable")]
    until = np.cumsum([0, *source.sizes[order]])
    first = int(np.argmin(abs(until - fraction * until[-1])))
    if first:
        some = np.zeros(len(chosen), bool)
        some[order[:first]] = True
        rounds.append(some)
    return rounds


def _tokens(source: Source, rounds: list[Chosen]) -> int:
    return sum(int(source.sizes[chosen].sum()) for chosen in rounds)


def _check_shares(
    pack: Pack,
    held_out: dict[str, Chosen],
    free: dict[str, Chosen],
    rounds: dict[str, list[Chosen]],
) -> None:
    """Raise Complaint where what is declared to be there would be empty."""
    asked = {f"pack.held_out: {pack.held_out:g}": list(pack.data)} if pack.held_out else {}
    if pack.general is not None and pack.general.held_out:
        asked[f"pack.general.held_out: {pack.general.held_out:g}"] = [pack.general.corpus]
    for place, names in asked.items():
        if not any(held_out[name].any() for name in names):
            count = sum(len(held_out[name]) for name in names)
            raise Complaint(f"{place} of {count} documents is none by their hashes; raise it")
    drawn = {f"pack.data.{name}: {weight:g}": name for name, weight in pack.data.items()}
    if pack.general is not None and pack.general.replay:
        drawn[f"pack.general.replay: {pack.general.replay:g}"] = pack.general.corpus
    for place, name in drawn.items():
        left = int(free[name].sum())
        if not rounds[name] and len(free[name]):
            cure = "raise it, or" if left else "give more documents, or"
            raise Complaint(
                f"{place} takes no document of the {left} of {len(free[name])} that are not "
                f"held out; expected at least one: {cure} lower what is held out"
            )


def _nothing_learned(pack: Pack, documents: int, rejected: list[Rejected]) -> None:
    reasons = Counter(each.reason for each in rejected)
    left_out = ", ".join(f"{count} were left out: {reason}" for reason, count in reasons.items())
    raise Complaint(
        f"{', '.join(pack.data)}: nothing to learn in {documents} documents of at most "
        f"{pack.length} tokens ({left_out or 'none was left out'}); expected at least one token "
        "that follows another: give more data or raise pack.length"
    )


if __name__ == "__main__":
    step.run(pack, Pack)

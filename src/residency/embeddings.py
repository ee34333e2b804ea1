"""embeddings: how the rows of new pieces begin, and what stands in rows beyond the vocabulary.

    id     0 ........ base | base + 1 ........ new | new + 1 ... multiple
    row    as it was       | from the parents'     | mean of all rows before it

The parents of a new piece are the base's pieces that it is made of (pieces.json). Input and output
embeddings begin alike, each from its own table; tied ones are one table.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveFloat, PositiveInt, Tag

from residency.blocks import Blocks, collate
from residency.files import read_json
from residency.section import Section, known_kind, told_by_kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

POSITIONS = 2048
"""Positions whose logits are held at once while rows are fitted."""

ITERATIONS = 8
"""Of the search that fits rows: with more, it would cost beyond a tenth of a short training."""

FIRST = 0.01
"""How far its first step moves a row, on average, as a share of the spread of the old ones."""

SIDES = ("input", "output")


class Mean(Section):
    """The mean of the parents' rows.

    Gee et al. 2022, "Fast Vocabulary Transfer for Language Model Compression", arXiv 2402.09977,
    section 3.
    """

    kind: Literal["mean"] = Field(description="The start's name.")


class Weighted(Section):
    """The mean of the parents' rows, in which a rare parent, which says more, weighs more.

    The weight of a piece that makes up the share p of the corpus is a / (a + p), the smooth inverse
    frequency of Arora et al. 2017, "A Simple but Tough-to-Beat Baseline for Sentence Embeddings",
    https://openreview.net/forum?id=SyK00v5xx, section 3.
    """

    kind: Literal["weighted"] = Field(description="The start's name.")
    smoothing: PositiveFloat = Field(
        description="The weight of a piece is a / (a + its share of the corpus); this is a, "
        "published as 1e-3."
    )


class Noise(Section):
    """The mean of all the base's rows plus noise of their covariance, whatever the parents.

    Hewitt 2021, "Initializing New Word Embeddings for Pretrained Language Models",
    https://nlp.stanford.edu/~johnhew/vocab-expansion.html; what transformers does by itself.
    """

    kind: Literal["noise"] = Field(description="The start's name.")
    scale: PositiveFloat = Field(
        description="The rows' covariance is multiplied by it; transformers takes 1e-9."
    )


class Exponential(Section):
    """A mean whose weights fall with each parent: from the last for input, the first for output.

    Reading, the last parent is where the base knows the whole piece; predicting, the first is what
    it has to choose. In tied embeddings a row is the mean of both. Nakash et al. 2025,
    "AdaptiVocab", arXiv 2503.19693, as in its code (exp_avrg in change_embeddings_in_model.py).
    """

    kind: Literal["exponential"] = Field(description="The start's name.")
    ratio: float = Field(
        gt=0, le=1, description="Of a parent's weight to the one before; 0.5 in the published code."
    )


class Fitted(Section):
    """The mean of the parents' rows, then fitted to predict the data with all else frozen.

    The second stage of Kim et al. 2024, "Efficient and Effective Vocabulary Expansion Towards
    Multilingual Large Language Models", arXiv 2402.14714 (new output embeddings alone), at small
    cost: with all else frozen the hidden states are computed once, and what is left is a convex
    softmax regression. A Gaussian prior holds rows that are seldom met near the mean, and those of
    tied embeddings, which are also read, near what the base can read.
    """

    kind: Literal["fitted"] = Field(description="The start's name.")
    tokens: PositiveInt = Field(description="Tokens of the packed data to fit to, at most.")
    hold: PositiveFloat = Field(
        description="How tightly a row is held to the mean of its parents: the prior's variance is "
        "that of the base's rows divided by it."
    )


STARTS = {
    "mean": Mean,
    "weighted": Weighted,
    "noise": Noise,
    "exponential": Exponential,
    "fitted": Fitted,
}


class Embeddings(Section):
    """How the rows of new pieces begin, in input and output embeddings."""

    start: Annotated[
        Annotated[Mean, Tag("<mean>")]
        | Annotated[Weighted, Tag("<weighted>")]
        | Annotated[Noise, Tag("<noise>")]
        | Annotated[Exponential, Tag("<exponential>")]
        | Annotated[Fitted, Tag("<fitted>")],
        told_by_kind(),
        known_kind(*STARTS),
    ] = Field(description="What a new row is made of.")
    multiple: PositiveInt | None = Field(
        description="The number of rows is rounded up to a multiple of it (64 suits GPUs); the "
        "tokenizer and its ids stay as they are. null adds no row."
    )


def grow(model: Any, tokenizer: Path, blocks: Blocks, seed: int) -> None:
    """Give the new ids of a grown tokenizer their rows, in place.

    `tokenizer`: a folder of build/tokenizers; `blocks`: what the model is about to be trained on,
    packed with that tokenizer. Whether embeddings are tied stays as it is. Rows beyond the
    vocabulary are left to `settle`, which is called here too.
    """
    import numpy as np
    import torch

    section = Embeddings.model_validate(read_json(tokenizer / "embeddings.json"))
    pieces = {int(new): old for new, old in read_json(tokenizer / "pieces.json").items()}
    first, end = min(pieces), 1 + max(pieces)
    _resize(model, end, section.multiple or 1)
    parents = [pieces[new] for new in range(first, end)]
    tables = _tables(model)
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    with torch.no_grad():
        for place, table in enumerate(tables):
            if isinstance(section.start, Noise):
                # Each table draws its own; the same numbers in both would correlate them.
                table[first:end] = _noisy(table[:first], len(parents), section.start, seed + place)
                continue
            shares = None
            if isinstance(section.start, Weighted):
                counts = np.load(tokenizer / "frequencies.npy")
                shares = counts / max(counts.sum(), 1)
            sides = SIDES if place == 0 and tied else SIDES[:1] if place == 0 else SIDES[1:]
            for new, old in enumerate(parents, first):
                share = sum(weights(section.start, old, side, shares) for side in sides)
                table[new] = torch.tensor(share / len(sides)) @ table[old].double()
        settle(model, end)
    if isinstance(section.start, Fitted):
        _fit(model, blocks, section.start, first, end)


def weights(
    start: Mean | Weighted | Exponential | Fitted,
    parents: list[int],
    side: str,
    shares: npt.NDArray[np.floating[Any]] | None,
) -> npt.NDArray[np.float64]:
    """The weight of each parent's row in a new one, float64 [parents]; they add up to 1.

    `side`: "input" or "output"; `shares`: of each of the base's pieces in the corpus, for Weighted.
    """
    import numpy as np

    found = np.ones(len(parents))
    if isinstance(start, Weighted):
        assert shares is not None
        found = np.asarray(start.smoothing / (start.smoothing + shares[parents]), np.float64)
    elif isinstance(start, Exponential):
        fallen = start.ratio ** np.arange(len(parents), dtype=np.float64)
        found = fallen[::-1] if side == "input" else fallen
    return np.asarray(found / found.sum(), np.float64)


def settle(model: Any, end: int) -> None:
    """Put into all rows from `end` on, which stand for no piece, the mean of those before it.

    Their logit is then the mean of the others', which is never above the highest: whatever the
    hidden state, no program that reads the model chooses an id that the tokenizer has not.
    """
    import torch

    with torch.no_grad():
        for table in _tables(model):
            if len(table) > end:
                table[end:] = table[:end].mean(dim=0)


def _tables(model: Any) -> list[Any]:
    """The weights of the input and the output embeddings, [rows, width]; one where they are tied.

    An output layer's bias is one more table, of width 1.
    """
    head = model.get_output_embeddings()
    tables = [model.get_input_embeddings().weight, head.weight]
    bias = [] if head.bias is None else [head.bias[:, None]]
    return (tables[:1] if tables[0] is tables[1] else tables) + bias


def _resize(model: Any, rows: int, multiple: int) -> None:
    """Add rows until there are `rows`, and their number is a multiple of `multiple`."""
    have = model.get_input_embeddings().weight.shape[0]
    wanted = -(-max(rows, have) // multiple) * multiple
    if wanted > have:
        model.resize_token_embeddings(wanted, mean_resizing=False)


def _noisy(old: Any, rows: int, noise: Noise, seed: int) -> Any:
    """Draws from a normal distribution with the mean and the scaled covariance of `old`."""
    import torch

    old = old.double()
    covariance = torch.cov(old.T).reshape(old.shape[1], old.shape[1])
    values, axes = torch.linalg.eigh(noise.scale * covariance)
    draws = torch.randn(
        rows,
        old.shape[1],
        dtype=torch.float64,
        generator=torch.Generator().manual_seed(seed),
    )
    return old.mean(dim=0) + draws * values.clamp(min=0).sqrt() @ axes.T


def _fit(model: Any, blocks: Blocks, fitted: Fitted, first: int, end: int) -> None:
    """Fit rows `first` to `end` of the output embeddings to the learned positions of `blocks`."""
    import torch

    head = model.get_output_embeddings()
    new = head.weight[first:end].detach().clone()
    spread = head.weight[:first].detach().std().item()
    precision = fitted.hold / spread**2
    states, others, targets = _states(model, blocks, fitted.tokens, first)
    targets = torch.where((targets >= first) & (targets < end), targets - first, -1)
    # The search's first step moves its variables by 1 in all: that is to be FIRST of the spread.
    unit = FIRST * spread * new.numel()
    moved = torch.zeros_like(new, requires_grad=True)
    search = torch.optim.LBFGS(
        [moved],
        max_iter=ITERATIONS,
        max_eval=2 * ITERATIONS,
        tolerance_change=0,
        line_search_fn="strong_wolfe",
    )

    def cost() -> Any:
        search.zero_grad()
        rows = (new + unit * moved.detach()).requires_grad_()
        total = (rows - new).square().sum() * (precision / 2)
        total.backward()
        total = total.detach()
        for start in range(0, len(states), POSITIONS):
            at = slice(start, start + POSITIONS)
            logits = states[at] @ rows.T
            every = torch.logaddexp(logits.logsumexp(dim=-1), others[at])
            known = targets[at] >= 0
            right = logits[known].gather(1, targets[at][known][:, None])
            part = every.sum() - right.sum()
            part.backward()
            total += part.detach()
        moved.grad = unit * rows.grad
        return total

    search.step(cost)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        head.weight[first:end] = new + unit * moved


def _states(model: Any, blocks: Blocks, tokens: int, first: int) -> tuple[Any, Any, Any]:
    """Of each learned position of the first blocks: what the output layer sees [positions, width],
    the log of the sum of exp of the logits of ids below `first`, and the id to predict."""
    import torch

    seen: list[Any] = []
    head = model.get_output_embeddings()
    hook = head.register_forward_pre_hook(lambda _module, args: seen.append(args[0]))
    states, others, targets = [], [], []
    model.eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for row in range(min(len(blocks), max(1, tokens // blocks.length))):
            batch = collate([blocks[row]])
            learned = batch.pop("learned")[0]
            logits = model(**{k: v for k, v in batch.items() if k != "labels"}).logits[0]
            states.append(seen.pop()[0, learned].float())
            others.append(logits[learned, :first].float().logsumexp(dim=-1))
            targets.append(batch["labels"][0, 1:][learned[:-1]])
    hook.remove()
    return torch.cat(states), torch.cat(others), torch.cat(targets)

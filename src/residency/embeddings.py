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

from residency.files import read_json
from residency.section import Section, known_kind, told_by_kind

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

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


STARTS = {
    "mean": Mean,
    "weighted": Weighted,
    "noise": Noise,
    "exponential": Exponential,
}


class Embeddings(Section):
    """How the rows of new pieces begin, in input and output embeddings."""

    start: Annotated[
        Annotated[Mean, Tag("<mean>")]
        | Annotated[Weighted, Tag("<weighted>")]
        | Annotated[Noise, Tag("<noise>")]
        | Annotated[Exponential, Tag("<exponential>")],
        told_by_kind(),
        known_kind(*STARTS),
    ] = Field(description="What a new row is made of.")
    multiple: PositiveInt | None = Field(
        description="The number of rows is rounded up to a multiple of it (64 suits GPUs); the "
        "tokenizer and its ids stay as they are. null adds no row."
    )


def grow(model: Any, tokenizer: Path, seed: int) -> None:
    """Give the new ids of a grown tokenizer their rows, in place.

    `tokenizer`: a folder of build/tokenizers. Whether embeddings are tied stays as it is. Rows
    beyond the vocabulary are left to `settle`, which is called here too.
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


def weights(
    start: Mean | Weighted | Exponential,
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

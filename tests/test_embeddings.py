from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tiny import tiny_model, untied

from residency.embeddings import Embeddings, Exponential, Mean, Weighted, grow, settle, weights
from residency.files import write_json

BASE = 400
PIECES = {400: [10, 20], 401: [30, 40, 50], 402: [60, 61]}


@pytest.fixture(scope="module")
def parents(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """The tiny model with tied embeddings, and with others for output."""
    folder = tmp_path_factory.mktemp("tiny")
    tiny_model(folder / "tied")
    untied(folder / "tied", folder / "untied")
    return {True: folder / "tied", False: folder / "untied"}


def tokenizer(folder: Path, start: dict[str, Any], multiple: int | None = None) -> Path:
    """What grow reads of a grown tokenizer."""
    folder.mkdir(exist_ok=True)
    write_json(folder / "pieces.json", {str(new): old for new, old in PIECES.items()})
    write_json(folder / "embeddings.json", {"start": start, "multiple": multiple})
    counts = np.ones(BASE, np.int64)
    counts[[10, 30, 40]] = 1000
    np.save(folder / "frequencies.npy", counts)
    return folder


def model(folder: Path) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(folder)


def tables(net: Any) -> list[Any]:
    """Input and output rows, copied."""
    both = net.get_input_embeddings(), net.get_output_embeddings()
    return [each.weight.detach().clone() for each in both]


def mixed(table: Any, old: list[int], shares: list[float]) -> Any:
    return sum(share * table[each] for each, share in zip(old, shares, strict=True)) / sum(shares)


RARE, COMMON = 1e-3 / (1e-3 + 1 / 3397), 1e-3 / (1e-3 + 1000 / 3397)
ROWS: dict[str, tuple[dict[str, Any], dict[int, list[float]], dict[int, list[float]]]] = {
    "mean": ({"kind": "mean"}, {400: [1, 1], 401: [1, 1, 1]}, {400: [1, 1], 401: [1, 1, 1]}),
    "weighted": (
        {"kind": "weighted", "smoothing": 1e-3},
        {400: [COMMON, RARE], 401: [COMMON, COMMON, RARE]},
        {400: [COMMON, RARE], 401: [COMMON, COMMON, RARE]},
    ),
    "exponential": (
        {"kind": "exponential", "ratio": 0.5},
        {400: [1, 2], 401: [1, 2, 4]},
        {400: [2, 1], 401: [4, 2, 1]},
    ),
}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", ROWS)
def test_a_new_row_is_the_mean_that_its_paper_says(
    parents: dict[bool, Path], tmp_path: Path, name: str, tied: bool
) -> None:
    import torch

    start, *ends = ROWS[name]
    net = model(parents[tied])
    before = tables(net)
    grow(net, tokenizer(tmp_path / "t", start), seed=0)
    assert (net.lm_head.weight is net.model.embed_tokens.weight) == tied
    after = tables(net)
    for new, old in list(PIECES.items())[:2]:
        told = [mixed(table, old, end[new]) for table, end in zip(before, ends, strict=True)]
        if tied:
            told = [(told[0] + told[1]) / 2] * 2
        for table, row in zip(after, told, strict=True):
            assert torch.allclose(table[new], row, atol=1e-6)
    for table, old_table in zip(after, before, strict=True):
        assert torch.equal(table[:BASE], old_table)


@pytest.mark.parametrize("tied", [True, False])
def test_noise_has_the_mean_and_the_covariance_of_the_old_rows(
    parents: dict[bool, Path], tmp_path: Path, tied: bool
) -> None:
    import torch

    place = tokenizer(tmp_path / "t", {"kind": "noise", "scale": 0.25})
    many = {str(BASE + i): [i] for i in range(3000)}
    write_json(place / "pieces.json", many)
    net = model(parents[tied])
    before = tables(net)
    grow(net, place, seed=3)
    for table, old in zip(tables(net), before, strict=True):
        assert torch.allclose(table[BASE:].mean(0), old.mean(0), atol=4 * old.std().item() / 100)
        drawn, real = torch.cov(table[BASE:].T), 0.25 * torch.cov(old.T)
        assert (drawn - real).norm() < 0.2 * real.norm()
    if not tied:
        one, other = (table[BASE:] - table[BASE:].mean(0) for table in tables(net))
        assert abs(torch.nn.functional.cosine_similarity(one, other).mean()) < 0.05


def test_the_same_seed_gives_the_same_rows(parents: dict[bool, Path], tmp_path: Path) -> None:
    import torch

    place = tokenizer(tmp_path / "t", {"kind": "noise", "scale": 1.0})
    nets = [model(parents[True]) for _ in range(3)]
    for net, seed in zip(nets, [1, 1, 2], strict=True):
        grow(net, place, seed)
    one, two, other = (tables(net)[0] for net in nets)
    assert torch.equal(one, two)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("tied", [True, False])
def test_padded_rows_never_win(parents: dict[bool, Path], tmp_path: Path, tied: bool) -> None:
    import torch

    net = model(parents[tied])
    grow(net, tokenizer(tmp_path / "t", {"kind": "mean"}, multiple=64), 0)
    assert net.config.vocab_size == 448 == len(net.lm_head.weight)
    end = BASE + len(PIECES)
    with torch.no_grad():
        net.model.embed_tokens.weight[end:] *= 50  # as training might
        net.lm_head.weight[end:] *= 50
    settle(net, end)
    net.save_pretrained(tmp_path / "out")
    again = model(tmp_path / "out")
    for states in torch.randn(200, 32), 100 * torch.randn(200, 32), -again.lm_head.weight[:200]:
        logits = again.lm_head(states).detach()
        assert int(logits.argmax(-1).max()) < end
        pads = logits.softmax(-1)[:, end:]
        assert float(pads.max()) <= 1 / end
    again.generation_config.eos_token_id = None
    told = again.generate(
        torch.tensor([[3, 4]]), attention_mask=torch.ones(1, 2), max_new_tokens=40, pad_token_id=0
    )
    assert int(told.max()) < end


def test_a_table_that_has_room_keeps_its_size(parents: dict[bool, Path], tmp_path: Path) -> None:
    import torch

    net = model(parents[True])
    net.resize_token_embeddings(512, mean_resizing=False)
    grow(net, tokenizer(tmp_path / "t", {"kind": "mean"}), 0)
    table = tables(net)[0]
    assert len(table) == 512
    assert torch.allclose(table[400], table[[10, 20]].mean(0))
    assert torch.allclose(table[403:], table[:403].mean(0).expand(109, -1))


def test_settling_a_table_without_spare_rows_changes_nothing(parents: dict[bool, Path]) -> None:
    import torch

    net = model(parents[False])
    before = tables(net)
    settle(net, BASE)
    settle(net, BASE + 5)
    assert all(torch.equal(one, other) for one, other in zip(before, tables(net), strict=True))


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.integers(0, 49), min_size=1, max_size=12),
    st.lists(st.integers(0, 10**9), min_size=50, max_size=50),
    st.floats(1e-6, 1),
    st.floats(0.05, 1),
    st.sampled_from(["input", "output"]),
)
def test_weights_are_positive_and_add_up_to_one(
    old: list[int], counts: list[int], smoothing: float, ratio: float, side: str
) -> None:
    shares = np.array(counts) / max(sum(counts), 1)
    for start in (
        Mean(kind="mean"),
        Weighted(kind="weighted", smoothing=smoothing),
        Exponential(kind="exponential", ratio=ratio),
    ):
        found = weights(start, old, side, shares)
        assert (found > 0).all()
        assert found.sum() == pytest.approx(1)
        if isinstance(start, Weighted):
            for i, one in enumerate(old):
                for j, other in enumerate(old):
                    assert counts[one] < counts[other] or found[i] <= found[j] * (1 + 1e-9)
    reversed_ = weights(start, old, "output" if side == "input" else "input", shares)
    assert reversed_ == pytest.approx(found[::-1])


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"start": {"kind": "average"}, "multiple": None}, "did you mean|known: "),
        ({"start": {"kind": "mean", "scale": 1.0}, "multiple": None}, "unknown key 'scale'"),
        ({"start": {"kind": "exponential", "ratio": 2.0}, "multiple": None}, "less than or equal"),
        ({"start": {"kind": "mean"}, "multiple": 0}, "greater than 0"),
        ({"start": {"kind": "mean"}}, "multiple"),
    ],
)
def test_a_wrong_section_is_refused(told: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Embeddings.model_validate(told)

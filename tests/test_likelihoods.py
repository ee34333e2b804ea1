from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_model

from residency import likelihoods
from residency.likelihoods import loglikelihoods
from residency.network import output_in_float32


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder)
    return spread(AutoModelForCausalLM.from_pretrained(folder))


def spread(network: Any) -> Any:
    """Untrained, every answer is about as likely: tell them apart."""
    for weights in network.parameters():
        weights.data *= 3
    return network.eval()


def sets(*options: list[int]) -> list[list[int]]:
    """Every set of options as a reply, joined by 7 and ended by 2."""
    found = []
    for size in range(1, len(options) + 1):
        for some in combinations(options, size):
            found.append([*some[0], *(token for each in some[1:] for token in [7, *each]), 2])
    return found


START = [1, 50, 60, 70]
ASKED = [
    ([*START, *range(100, 140)], [[9, 8, 2], [9, 2], [30, 31, 32, 33, 2]]),
    ([*START, 80, 90], sets([9, 10], [9, 11], [12], [13, 14, 15], [16])),
    ([*START, 81], [[9], [9], [9, 8, 7], [5], [9, 8]]),
    ([*START, *range(200, 230)], [[40 + i, 41, 42, 2] for i in range(5)]),
]


def definition(network: Any, prompt: list[int], reply: list[int]) -> float:
    """The whole sequence, one token's log-probability after another."""
    import torch

    with torch.no_grad():
        logprobs = network(torch.tensor([prompt + reply])).logits[0].double().log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(reply) - 1)
    return sum(float(logprobs[place, token]) for place, token in zip(places, reply, strict=True))


@pytest.mark.parametrize("batch", [1, 60, 120, 10_000])
def test_likelihoods_equal_the_definition_whatever_the_batch(network: Any, batch: int) -> None:
    expected = [
        [definition(network, prompt, each) for each in replies] for prompt, replies in ASKED
    ]
    found = loglikelihoods(network, ASKED, batch)
    for mine, theirs in zip(found, expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5, rel=1e-6)
        assert max(theirs) - min(theirs) > 1


def test_the_tree_is_what_was_computed(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    once: list[int] = []
    plain = likelihoods.plainly
    monkeypatch.setattr(
        likelihoods, "plainly", lambda *given: (once.append(len(given[2])), plain(*given))[1]
    )
    loglikelihoods(network, ASKED)
    assert once == [1]  # the comparison on the longest row


def test_equal_beginnings_are_one_branch() -> None:
    (row,) = likelihoods._rows(0, (1, 2), [[9, 8, 7], [9, 8], [9, 5, 4], [6]])
    assert row.tokens == [9, 5, 8]
    assert row.parents == [-1, 0, 0]
    assert row.depths == [1, 2, 2]


def test_a_tree_too_large_is_cut_into_rows(network: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = loglikelihoods(network, ASKED)
    monkeypatch.setattr(likelihoods, "BRANCHES", 6)
    assert len(likelihoods._rows(0, (1,), ASKED[1][1])) > 5
    for mine, theirs in zip(loglikelihoods(network, ASKED), whole, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)


def test_one_question_is_asked_as_several_are(network: Any) -> None:
    alone = [loglikelihoods(network, [each])[0] for each in ASKED]
    for mine, theirs in zip(alone, loglikelihoods(network, ASKED), strict=True):
        assert mine == pytest.approx(theirs, abs=1e-5)
    assert loglikelihoods(network, []) == []


def other(kind: str) -> Any:
    """A small untrained network of another architecture."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    small: dict[str, dict[str, Any]] = {
        "gpt2": {"n_embd": 32, "n_layer": 2, "n_head": 2},
        "bloom": {"hidden_size": 32, "n_layer": 2, "n_head": 2},
        "mistral": {"sliding_window": 8},
        "gemma2": {"sliding_window": 8, "head_dim": 16, "query_pre_attn_scalar": 16},
        "qwen3": {"head_dim": 16},
        "mamba": {"state_size": 4},
    }
    sizes = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
    }
    taken = small[kind] if kind in ("gpt2", "bloom") else {**sizes, **small[kind]}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model(kind, vocab_size=300, **taken)
        return spread(AutoModelForCausalLM.from_config(config))


@pytest.mark.parametrize("kind", ["gpt2", "bloom", "mistral", "gemma2", "qwen3", "mamba"])
def test_other_networks_are_scored_right_by_tree_or_plainly(kind: str) -> None:
    network = other(kind)
    expected = [
        [definition(network, prompt, each) for each in replies] for prompt, replies in ASKED
    ]
    for mine, theirs in zip(loglikelihoods(network, ASKED), expected, strict=True):
        assert mine == pytest.approx(theirs, abs=1e-4, rel=1e-5)


def test_in_bfloat16_the_output_layer_still_computes_in_float32(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    tiny_model(tmp_path / "tiny")
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny", dtype=torch.bfloat16).eval()
    hidden = network.model(torch.tensor([[1, 2, 3]])).last_hidden_state
    output_in_float32(network)
    logits = network(torch.tensor([[1, 2, 3]])).logits
    exact = hidden.float() @ network.get_input_embeddings().weight.float().T
    assert logits.dtype == torch.float32
    assert torch.allclose(logits, exact, atol=1e-6)
    assert network.get_input_embeddings().weight.dtype == torch.bfloat16

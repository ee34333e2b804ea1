from __future__ import annotations

from typing import Any

import pytest
from tiny import tiny_model

from residency import generation
from residency.generation import Task, generate

PROMPTS = [(1, 50, 60, 70), (1, 80), (1, 50, 60), tuple(range(3, 40)), (1, 80)]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model(folder)
    network = AutoModelForCausalLM.from_pretrained(folder).eval()
    for weights in network.parameters():  # untrained, it would repeat itself
        weights.data *= 3
    return network, AutoTokenizer.from_pretrained(folder)


def alone(network: Any, prompt: tuple[int, ...], most: int, stop: int) -> list[int]:
    """Hugging Face's generate, one by one."""
    import torch

    ids = torch.tensor([list(prompt)])
    with torch.no_grad():
        whole = network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=most,
            eos_token_id=stop,
            pad_token_id=0,
        )[0].tolist()
    new = whole[len(prompt) :]
    return new[: new.index(stop)] if stop in new else new


@pytest.mark.parametrize("rows", [1, 2, 5])
def test_texts_are_those_of_hugging_face_whatever_runs_beside(
    loaded: tuple[Any, Any], rows: int
) -> None:
    network, tokenizer = loaded
    stop = alone(network, PROMPTS[0], 12, -1)[5]  # so that one ends before the others
    expected = [alone(network, prompt, 12, stop) for prompt in PROMPTS]
    tasks = [Task(prompt=prompt, most=12) for prompt in PROMPTS]
    assert generate(network, tokenizer, tasks, stops=[stop], rows=rows) == expected
    assert len({len(each) for each in expected}) > 1


@pytest.mark.parametrize("tokens", [1, 30, 1000])
def test_prompts_are_read_in_slices_and_what_they_begin_with_once(
    loaded: tuple[Any, Any], tokens: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    network, tokenizer = loaded
    prompts = [(*range(50, 70), *each) for each in PROMPTS]
    stop = alone(network, prompts[0], 12, -1)[3]
    expected = [alone(network, prompt, 12, stop) for prompt in prompts]
    read: list[tuple[int, ...]] = []
    ask = generation._next
    monkeypatch.setitem(generation.READ, "cpu", tokens)
    monkeypatch.setattr(
        generation, "_next", lambda *given: (read.append(tuple(given[1].shape)), ask(*given))[1]
    )
    tasks = [Task(prompt=prompt, most=12) for prompt in prompts]
    assert generate(network, tokenizer, tasks, stops=[stop]) == expected
    slices = {1: [(1, 37), (1, 4), (1, 3), (1, 2)], 30: [(1, 37), (3, 4)], 1000: [(4, 37)]}
    assert read[: len(slices[tokens]) + 1] == [(1, 20), *slices[tokens]]


def test_each_text_is_told_its_share_of_the_time(loaded: tuple[Any, Any]) -> None:
    tasks = [Task(prompt=PROMPTS[0], most=most) for most in (1, 24)]
    seconds: list[float] = []
    generate(*loaded, tasks, stops=[], seconds=seconds)
    assert 0 < seconds[0] < seconds[1]


def test_a_network_with_a_window_writes_what_it_writes_alone() -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "sliding_window": 8}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = AutoConfig.for_model("mistral", vocab_size=300, **sizes, **heads)
        network = AutoModelForCausalLM.from_config(config).eval()
    for weights in network.parameters():
        weights.data *= 3
    found = generate(network, None, [Task(prompt=each, most=6) for each in PROMPTS], stops=[])
    assert found == [alone(network, each, 6, -1) for each in PROMPTS]


def test_what_is_drawn_depends_on_the_tasks_own_seed_alone(loaded: tuple[Any, Any]) -> None:
    network, tokenizer = loaded
    tasks = [
        Task(prompt=prompt, most=8, temperature=1.0, seed=f"{number}")
        for number, prompt in enumerate(PROMPTS)
    ]
    together = generate(network, tokenizer, tasks, stops=[2])
    by_itself = [generate(network, tokenizer, [task], stops=[2])[0] for task in reversed(tasks)]
    assert together == by_itself[::-1]
    assert together[1] != together[4]  # one prompt, two seeds


def test_draws_follow_the_models_probabilities(loaded: tuple[Any, Any]) -> None:
    import torch

    network, tokenizer = loaded
    with torch.no_grad():
        chances = network(torch.tensor([list(PROMPTS[0])])).logits[0, -1].softmax(-1)
    best = int(chances.argmax())
    tasks = [Task(prompt=PROMPTS[0], most=1, temperature=1.0, seed=f"{i}") for i in range(400)]
    drawn = [ids[0] for ids in generate(network, tokenizer, tasks, stops=[]) if ids]
    share = drawn.count(best) / len(drawn)
    assert share == pytest.approx(float(chances[best]), abs=0.08)


def test_a_bound_text_is_an_allowed_one_chosen_token_by_token(loaded: tuple[Any, Any]) -> None:
    import torch

    network, tokenizer = loaded
    allowed = ((40, 41, 2), (40, 42, 2), (50, 2), (50,))
    tasks = [Task(prompt=prompt, most=3, allowed=allowed) for prompt in PROMPTS]
    found = generate(network, tokenizer, tasks, stops=[2])
    for prompt, ids in zip(PROMPTS, found, strict=True):
        with torch.no_grad():
            first = network(torch.tensor([list(prompt)])).logits[0, -1]
        assert tuple(ids) in allowed
        assert ids[0] == (40 if first[40] > first[50] else 50)


def test_nothing_is_written_after_the_words_that_end_a_text(loaded: tuple[Any, Any]) -> None:
    network, tokenizer = loaded
    whole = alone(network, PROMPTS[0], 12, -1)
    words = tokenizer.decode(whole[3:4])
    (ids,) = generate(
        network, tokenizer, [Task(prompt=PROMPTS[0], most=12)], stops=[], until=[words]
    )
    assert len(ids) <= 4 < len(whole)
    assert tokenizer.decode(ids).endswith(words)


def test_no_task_is_no_work(loaded: tuple[Any, Any]) -> None:
    assert generate(*loaded, [], stops=[]) == []

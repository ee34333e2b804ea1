"""export_lm_eval: an evaluation by likelihood as a task that lm-evaluation-harness runs as it is.

The folder holds the prompts and candidates as this model is asked them, its chat template and
examples included, so that others can check our scores with their program. Written for its release
0.4.13. It moves white space at a prompt's end to the reply; that part of the reply's likelihood is
asked for by itself and taken off again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from residency import prompts
from residency.declaration import Declaration
from residency.evaluate import asked_of, examples_of
from residency.files import building, write_file, write_rows
from residency.protocols import sitting as shared
from residency.protocols.likelihood import Likelihood
from residency.protocols.sitting import Sitting
from residency.records import Question
from residency.section import Complaint, nearest, placed

TASK = """\
task: {name}
custom_dataset: !function task.questions
test_split: test
output_type: multiple_choice
doc_to_text: prompt
doc_to_choice: replies
doc_to_target: gold
target_delimiter: ""
process_results: !function task.scored
num_fewshot: 0
metric_list:
  - metric: acc
    aggregation: mean
    higher_is_better: true
metadata:
  version: {version}
"""
CODE = '''\
"""The questions of this task, and how a candidate is chosen; written by residency."""

from pathlib import Path

import datasets


def questions(**_given):
    """The rows beside this file."""
    rows = datasets.Dataset.from_json(str(Path(__file__).with_name("questions.jsonl")))
    return {"test": rows}


def scored(doc, results):
    """Right where the candidate with the highest score is; of equal ones the first."""
    found = [result[0] for result in results]
    before = found.pop() if doc["apart"] else 0.0
    scores = [
        round(round(each - before, 4) / length, 6)
        for each, length in zip(found, doc["lengths"])
    ]
    return {"acc": float(scores.index(max(scores)) == doc["gold"])}
'''


def export(
    name: str, protocol: Likelihood, tokenizer: Any, exam: Path, shown: Path | None, out: Path
) -> None:
    """Write a task folder: <name>.yaml, task.py and questions.jsonl.

    `tokenizer`: the model's; `exam`, `shown`: as `residency.evaluate` takes them.

    Raises Complaint where candidates are compared with what is likely unconditionally, or a
    question's text is read by the tokenizer as markup.
    """
    if protocol.normalise == "unconditional":
        raise Complaint(
            f"evaluations.{name}.protocol.normalise: unconditional, expected none, tokens or "
            "characters: lm-evaluation-harness asks each candidate after its own question only"
        )
    sitting = Sitting(
        network=None,
        tokenizer=tokenizer,
        system=protocol.system,
        template=protocol.template,
        examples=tuple(examples_of(protocol, shown)),
    )
    write_rows(out / "questions.jsonl", _rows(protocol, sitting, asked_of(protocol, exam)))
    write_file(out / f"{name}.yaml", TASK.format(name=name, version=protocol.version))
    write_file(out / "task.py", CODE)


def _rows(
    protocol: Likelihood, sitting: Sitting, asked: list[Question]
) -> Iterator[dict[str, Any]]:
    tokenizer = sitting.tokenizer
    opening = len(prompts.opening(tokenizer)) if not _templated(sitting) else 0
    for question in asked:
        ids = shared.put(sitting, shared.ask(question, protocol.options, protocol.of))[opening:]
        prompt = tokenizer.decode(ids, clean_up_tokenization_spaces=False)
        sets = shared.candidates(question)
        texts = [shared.told(question, each, protocol.of) for each in sets]
        said = [shared.said(sitting, text) for text in texts]
        replies = [tokenizer.decode(each, clean_up_tokenization_spaces=False) for each in said]
        for reply, each in zip(replies, said, strict=True):
            again = tokenizer(prompt + reply, add_special_tokens=False)["input_ids"]
            if again != ids + each:
                raise Complaint(
                    f"question {question.id!r}: its text with its answer is not read back as the "
                    "tokens that were scored (where it spells out markup, or a word would grow "
                    "into the prompt); leave it out of the raw exam, or compare without export"
                )
        lengths = {"none": [1] * len(sets), "tokens": [*map(len, said)]}
        lengths["characters"] = [*map(len, texts)]
        told = prompt.rstrip()
        space = prompt[len(told) :]
        yield {
            "id": question.id,
            "prompt": told,
            "replies": [space + reply for reply in replies] + ([space] if space else []),
            "apart": bool(space),
            "lengths": lengths[protocol.normalise],
            "gold": sets.index(tuple(sorted(question.answers))),
        }


def _templated(sitting: Sitting) -> bool:
    return sitting.template and sitting.tokenizer.chat_template is not None


def exported(declaration: Declaration, name: str, candidate: str, out: Path) -> None:
    """Export an evaluation of params.yaml for one of its models; both must be built.

    Raises Complaint for an unknown name, and for a protocol other than likelihood.
    """
    from transformers import AutoTokenizer

    declared = declaration.evaluations
    if name not in declared:
        raise Complaint(f"evaluations: there is no {name!r}; {nearest(name, declared)}")
    evaluation = declared[name]
    if candidate not in evaluation.models:
        known = nearest(candidate, evaluation.models)
        raise Complaint(f"evaluations.{name}: no model {candidate!r}; {known}")
    if not isinstance(evaluation.protocol, Likelihood):
        raise Complaint(
            f"evaluations.{name}.protocol: {evaluation.protocol.kind}, expected likelihood: the "
            "others have no counterpart there"
        )
    model, _, share = placed(candidate).partition("-")
    folder = Path("build/models", model, *(["checkpoints", share] if share else []))
    exam = Path("build/exams", evaluation.exam)
    for each in (folder, exam):
        if not each.is_dir():
            raise Complaint(f"{each}: not built yet; run `snakemake --cores all eval` first")
    with building(out) as made:
        export(
            name,
            evaluation.protocol,
            AutoTokenizer.from_pretrained(folder, local_files_only=True),
            exam / f"{evaluation.split}.jsonl",
            exam / "train.jsonl",
            made,
        )

"""parsing: a written text becomes an answer, or none.

Version 1, the first rule that finds something; letters are those of the options that there are:
1. after the last "Answer:" (also Réponse, Respuesta, Antwort, 答案, 故选, \\boxed), else the last
   "answer is": the rules 2 to 4
2. where the text begins with letters, set off from what follows: "B", "(B)", "B. aorta", "A; C",
   "A, B, and C", "B because", "A, C only"; of several answers also "ACD", behind rule 1 or alone
3. where the text begins with an option's text, as a word of its own: that option, the longest;
   of several answers all that it is joined to: "aorta; vein", "aorta, vein and heart"
4. options' texts anywhere, those inside a longer one that is there too, or behind "not", left out
Of a question with one right answer a rule that finds several finds nothing. Letters are read as a
whole or the text has no answer: not where more follow ("A, also C", "A or C"), or "is wrong", nor
two of one right. Case, white space and Markdown's emphasis do not count; a line's end sets letters
off.

Where texts are answered, a letter that is an option's whole text (blood groups) stands for that
option, unless the text that it is the letter of follows: "A. B". Such a text is set off too,
wherever it stands, or joined to another: "a" is an article as well.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase

from residency.records import Question

MARKS = (
    re.compile(
        r"\b(?:answers?|réponses?|respuestas?|antwort(?:en)?) ?[:：\n]"
        r"|答案 ?(?:[是为选] ?[:：]?|[:：])|(?<!不)[故应]选择? ?[:：]?(?=[ (（]?[A-Z])",
        re.IGNORECASE,
    ),
    re.compile(
        r"\b(?:answers?|(?:correct|right|best) (?:option|choice)s?"
        r"|réponses?(?: (?:correct|exact)es?)?|(?:respuestas?|opci(?:ón|ones))(?: correctas?)?"
        r"|antwort(?:en)?) (?:is|are|est|sont|es|son|ist|sind|laute[nt])\b(?: ?[:：])?"
        r"(?! (?:not|nicht|pas)\b)",
        re.IGNORECASE,
    ),
)
LEAD = (
    r"(?i:(?:(?:the|both|only|la|le|les|el|las|los|die|nur|beide) )*(?:(?:options?|choices?"
    r"|letters?|answers?|opci(?:ón|ones)|propositions?|réponses?|antwort(?:en)?) |选项 ?)?)"
)
SEPARATOR = (
    r"(?:\s*[;；,，/&+、]\s*(?i:(?:and|et|und|y)\s+|[和与及]\s*)?"
    r"|\s+(?i:and|et|und|y)\s+|\s*(?:以及|[和与及])\s*)"
)
OR = r"[\s(（,，;；]*(?i:(?:or|ou|oder|o)\s+|或者?\s*)"
RIGHT = (
    r"\s+(?i:(?:is|are|est|sont|es|son|ist|sind) (?:(?:the|la|le|les|die) )?"
    r"(?:right|correct|true|exact|juste|vrai|richtig))"
)
WRONG = (
    r"[\s.:：,，)–—-]*(?i:(?:(?:is|are|est|ist|es) )?(?:wrong|incorrect|false|faux|fausse|falsch"
    r"|falsa)|(?:is|are|ist|sind) (?:not|nicht)\b|错|不)"
)
END = (  # of a clause
    r"(?:[.。:：!！\n]|\s*[–—]|\s+-|-(?!\w)"
    r"|\s+(?i:(?:because|since|porque|ya que|weil|denn)\b|parce qu|puisqu)|\s*因)"
)
SET_OFF = (
    rf"(?=$|[,，;；)）\]]|\s*[(（]|{END}|{RIGHT}"
    r"|\s+(?i:only|uniquement|seulement|nur)\b|选?项(?=$|[.。,，;；]))"
)
LINE = r"[.。,，;；]?(?:\n|$)"  # nothing else in it
JOINED = r"(?=\s+(?:and|or|et|ou|und|oder|y|o)\s|\s*[/和或])"
NOT = r"(?:\b(?:not|nicht|pas|no es)\s+(?:(?:the|an?|le|la|les|der|die|das|el)\s+)?|不是)"
_EMPHASIS = re.compile(r"(?<!\w)[*_`]+|[*_`]+(?!\w)")
_OWN = "\ue000"
_LATIN = r"[^\W\u3400-\u9fff]"  # Chinese sets no words apart
_BOX = r"\$*\\boxed\s*\{(?:\\\w+\s*\{)?([^{}]*)\}+\$*"


def parse(text: str, question: Question, of: str) -> tuple[int, ...] | None:
    """The options that a text names, ascending; None where none of the rules applies.

    `of`: what was to be answered, "text" or "letter".
    """
    text = re.sub(rf"{_BOX}(?:(?:{SEPARATOR}|{OR}){_BOX})*", _unboxed, text)
    whole = "\n".join(filter(None, map(_plain, text.splitlines())))
    several = (question.form or question.kind) in ("multiple", "propositions")
    behind = [[whole[each.end() :].strip() for each in mark.finditer(whole)] for mark in MARKS]
    marked = [said for each in behind for said in [*filter(None, each)][-1:]]
    for said in [*marked, whole]:
        letters = _letters(said, question, several, of, said is not whole)
        folded = said.casefold().replace("\n", " ")
        if found := letters or _begins(folded, question, several):
            return found
        if letters is not None:
            return None
        if found := _anywhere(folded, question, several):
            return found
    return None


def _unboxed(boxes: re.Match[str]) -> str:
    return "\nAnswer: " + re.sub(_BOX, r"\1", boxes[0]) + "\n"


def _plain(text: str) -> str:
    return re.sub(r"^[-•] ", "", " ".join(_EMPHASIS.sub("", text).split()))


def _folded(text: str) -> str:
    return " ".join(_EMPHASIS.sub("", text.casefold()).split())


def _letters(
    text: str, question: Question, several: bool, of: str, marked: bool
) -> tuple[int, ...] | None:
    """The options whose letters begin a text, () where they are too many or not all that it names.

    `marked`: whether the text stands behind an answer mark.
    """
    capitals = ascii_uppercase[: len(question.options)]
    if several and (run := _run(text, question, capitals, marked)):
        return run
    for letters in (capitals, capitals.lower()):
        letter = (
            rf"(?<!{_LATIN})[(（\[$]{{0,2}}[{letters}][)）\]$]{{0,2}}(?!{_LATIN}|['’-]{_LATIN})"
        )
        short = _short(text, letter, question)
        one = letter + _OWN + "?"
        joined = rf"(?:{SEPARATOR}|{LINE}(?={one}{LINE}))" if several else SEPARATOR
        if found := re.match(rf"{LEAD}({one}(?:{joined}{one})*+)", short):
            break
    else:
        return None
    rest = short[found.end() :]
    led = found.start(1) > 0 and not marked
    if led and not re.match(rf"{RIGHT}|[.。!！]?$", rest):
        return None
    indexes = {_named(each[0], question, of) for each in re.finditer(one, found[1])}
    if not re.match(SET_OFF, rest) and found[0][-1] not in ")）]":
        return () if several and len(indexes) > 1 else None
    goes_on = any(re.match(each, rest) for each in (rf"(?:{SEPARATOR}|{OR}){letter}", WRONG))
    if not several:
        return () if goes_on or len(indexes) > 1 else tuple(indexes)
    clause = re.split(END, re.sub(r"[(（][^()（）]*[)）]", "", rest), maxsplit=1)[0]
    listed = rf"{letter}(?:[.:：]|\s+[-–—]|{RIGHT})"  # one by one
    if (
        goes_on
        or re.match(r"[;；]\s*\w", rest)
        or re.search(letter, clause)
        or _anywhere(clause.casefold(), question, True)
        or (len(indexes) == 1 and re.search(listed, rest))
    ):
        return ()
    return tuple(sorted(indexes))


def _run(text: str, question: Question, capitals: str, marked: bool) -> tuple[int, ...] | None:
    """The options that capitals in a row name: "ACD"."""
    found = re.match(rf"{LEAD}([{capitals}](?: ?[{capitals}])+){SET_OFF}", text)
    if not found or not (marked or re.fullmatch("[.。]?", text[found.end() :])):
        return None
    letters = found[1].replace(" ", "")
    word = re.compile(rf"(?<!\w){letters}(?!\w)", re.IGNORECASE)
    if [*letters] != sorted({*letters}) or any(map(word.search, question.options)):
        return None
    return tuple(map(capitals.index, letters))


def _short(text: str, letter: str, question: Question) -> str:
    """The text, an option's own text behind its letter put as _OWN."""
    kept, end = [], 0
    for each in re.finditer(letter + r"[\s.。:：,，(（)）–—-]*", text):
        index = ord(each[0].strip("(（[$")[0].casefold()) - ord("a")
        own = _folded(question.options[index])
        after = each.end() + len(own)
        if own and text[each.end() : after].casefold() == own:
            after += text[after : after + 1] in [*")）"]
            if re.match(rf"{SET_OFF}|{SEPARATOR}{letter}", text[after:]):
                kept += [text[end : each.end()].rstrip(" \n.。:：,，(（–—-"), _OWN]
                end = after
    return "".join([*kept, text[end:]])


def _named(named: str, question: Question, of: str) -> int:
    """The option that a letter stands for, with its own text behind it or without."""
    letter, texts = named.strip("(（[$")[0].casefold(), [*map(_folded, question.options)]
    if of == "letter" or letter not in texts or named.endswith(_OWN):
        return ord(letter) - ord("a")
    return texts.index(letter)


def _begins(text: str, question: Question, several: bool) -> tuple[int, ...] | None:
    """The options with whose texts, joined as letters are, the text begins."""
    found: list[int] = []
    rest = text
    while True:
        fits = [
            (len(option), index)
            for index, option in enumerate(map(_folded, question.options))
            if option
            and rest.startswith(option)
            and re.match(SET_OFF if _lettered(option) else r"(?!\w)", rest[len(option) :])
        ]
        if not fits:
            break
        length, index = max(fits, key=lambda each: (each[0], -each[1]))
        found.append(index)
        rest = rest[length:]
        joined = re.match(SEPARATOR, rest) if several else None
        if not joined:
            break
        rest = rest[joined.end() :]
    return tuple(sorted(set(found))) or None


def _anywhere(text: str, question: Question, several: bool) -> tuple[int, ...] | None:
    places: list[tuple[int, int, int]] = []
    for index, option in enumerate(map(_folded, question.options)):
        if option:
            before = r"(?<!\w)" if option[0].isascii() else ""  # Chinese sets no words apart
            after = r"(?!\w)" if option[-1].isascii() else ""
            if _lettered(option):
                after = rf"(?:{SET_OFF}|{JOINED})"
            for each in re.finditer(rf"({NOT})?({before}{re.escape(option)}{after})", text):
                if not each[1]:
                    places.append((*each.span(2), index))
    outer = {index for start, end, index in places if not _inside(start, end, places)}
    if not outer or (len(outer) > 1 and not several):
        return None
    return tuple(sorted(outer))


def _lettered(option: str) -> bool:
    return len(option) == 1 and option.isascii() and option.isalpha()


def _inside(start: int, end: int, places: Sequence[tuple[int, int, int]]) -> bool:
    return any(
        one <= start and end <= other and other - one > end - start for one, other, _ in places
    )

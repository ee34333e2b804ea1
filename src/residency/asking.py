"""asking: prompts, which are files: src/residency/asking/*.jinja, or one of the user's own.

    frame.jinja ── block system ──> what the model is          <kind>.jinja ── what is wanted
               └── block user ────> examples, passage, the kind's own words

A file has two blocks, `system` and `user`; it may extend or include those of residency. It is
rendered in Jinja's sandbox, and a name that is not there is a mistake. Texts from outside stand in
fences (`<passage 3f2a91>`) whose mark none of them contains: what they say cannot end the fence.
"""

from __future__ import annotations

import hashlib
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import (
    BaseLoader,
    Environment,
    StrictUndefined,
    TemplateNotFound,
    TemplateSyntaxError,
)
from jinja2.sandbox import ImmutableSandboxedEnvironment

from residency.section import Complaint, nearest

OURS = Path(__file__).with_suffix("")
PLACE = "src/residency/asking"
BLOCKS = ("system", "user")


class _Loader(BaseLoader):
    """Our files by name, the user's own by its path; remembers what was loaded."""

    def __init__(self, own: Path | None) -> None:
        self.own = own
        self.loaded: dict[str, bytes] = {}

    def path(self, template: str) -> Path:
        """Where a template lies; the user's own cannot be mistaken for one of ours."""
        return self.own if self.own and template == self.own.as_posix() else OURS / template

    def get_source(self, _environment: Environment, template: str) -> tuple[str, str, None]:
        path = self.path(template)
        if path != self.own and template not in (each.name for each in OURS.glob("*.jinja")):
            raise TemplateNotFound(template)
        try:
            content = path.read_bytes()
            text = content.decode()
        except (OSError, UnicodeDecodeError) as error:
            raise Complaint(f"{template}: cannot be read as UTF-8 text: {error}") from None
        self.loaded[template] = content
        return text, path.as_posix(), None


@dataclass(frozen=True, slots=True)
class Prompt:
    """A file of prompts, as used for one purpose."""

    name: str  # frame.jinja, or the user's path
    environment: Environment
    loader: _Loader

    @property
    def file(self) -> str:
        """The file's path in the project."""
        return self.name if self.loader.own else f"{PLACE}/{self.name}"

    @property
    def sha256(self) -> str:
        """Digest of the files that the last rendering was made of, and of their names."""
        digest = hashlib.sha256()
        for name, content in sorted(self.loader.loaded.items()):
            digest.update(f"{name} {len(content)}\n".encode() + content)
        return digest.hexdigest()

    def render(self, texts: Iterable[str], **values: Any) -> tuple[str, str]:
        """The system and the user message; `texts` are all those that stand in fences.

        Raises Complaint, with the line, for a file that Jinja refuses.
        """
        try:
            template = self.environment.get_template(self.name)
            context = template.new_context(values | {"mark": mark(texts)})
            for _ in template.root_render_func(context):  # finds the blocks of what it extends
                pass
            absent = [block for block in BLOCKS if block not in context.blocks]
            if absent:
                raise Complaint(
                    f"{self.file}: no block {absent[0]!r}; a prompt has the two blocks "
                    f"{' and '.join(BLOCKS)}: {{% block {absent[0]} %}}...{{% endblock %}}"
                )
            system, user = ("".join(context.blocks[block][0](context)) for block in BLOCKS)
        except TemplateSyntaxError as error:
            raise Complaint(f"{self._named(error.name)}:{error.lineno}: {error.message}") from None
        except TemplateNotFound as error:
            known = [each.name for each in OURS.glob("*.jinja")]
            raise Complaint(
                f"{self.file}: there is no template {error.name!r}; {nearest(error.name, known)}"
            ) from None
        except Complaint:
            raise
        except Exception as error:  # filters raise anything, and a file may include itself
            raise Complaint(f"{self._line(error)}: {error}") from None
        return system.strip(), user.strip()

    def _named(self, name: str | None) -> str:
        return self.file if name in (None, self.name) else f"{PLACE}/{name}"

    def _line(self, error: Exception) -> str:
        """File and line of a template from which an error came."""
        known = {(self.loader.path(each)).as_posix(): each for each in self.loader.loaded}
        lines = []
        for frame in traceback.extract_tb(error.__traceback__):
            if frame.filename in known and frame.lineno:
                name = known[frame.filename]
                template = self.environment.get_template(name)
                lines.append(
                    f"{self._named(name)}:{template.get_corresponding_lineno(frame.lineno)}"
                )
        return lines[-1] if lines else self.file


def prompt(name: str, own: str | None = None) -> Prompt:
    """One of our files of prompts by name, or the user's own by its path."""
    loader = _Loader(Path(own) if own else None)
    environment = ImmutableSandboxedEnvironment(
        loader=loader, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return Prompt(Path(own).as_posix() if own else name, environment, loader)


def mark(texts: Iterable[str]) -> str:
    """Six characters that none of some texts contains; the same for the same texts."""
    texts = list(texts)
    digest = hashlib.sha256("\0".join(texts).encode("utf-8", "surrogatepass")).hexdigest()
    while any(digest[:6] in text.lower() for text in texts):
        digest = hashlib.sha256(digest.encode()).hexdigest()
    return digest[:6]

"""DOCX: what a Word file says, by way of the HTML that mammoth makes of it."""

from __future__ import annotations

import io
from collections.abc import Iterator

from residency.reading import markup, packed
from residency.reading.blocks import Block, Lost, Unreadable

_STYLES = "\n".join(
    ["p[style-name='Title'] => h1:fresh", "p[style-name='Subtitle'] => p:fresh"]
    + [f"p[style-name='heading {n}'] => h{min(n + 1, 6)}:fresh" for n in range(1, 7)]
    + [f"p[style-name='Heading {n}'] => h{min(n + 1, 6)}:fresh" for n in range(1, 7)]
)
_OLE = b"\xd0\xcf\x11\xe0"


def read(content: bytes) -> Iterator[Block | Lost]:
    """The blocks of a Word file: its title has level 1, its headings 2 to 6. Raises Unreadable."""
    import mammoth

    if content.startswith(_OLE):
        raise Unreadable("encrypted", "a Word file with a password, or one from before 2007")
    with packed.opened(content) as archive:
        if "word/document.xml" not in archive.namelist():
            raise Unreadable("unknown format", "no word/document.xml in the archive")
    try:
        html = mammoth.convert_to_html(
            io.BytesIO(content), style_map=_STYLES, convert_image=lambda _: []
        ).value
    except MemoryError:  # the pool of readers has a word for it
        raise
    except Exception as error:  # mammoth lets through what its zip and XML parsers raise
        raise Unreadable("unparsable", f"{type(error).__name__}: {error}") from None
    return markup.page(html.encode())

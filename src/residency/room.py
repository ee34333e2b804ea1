"""room: a layer's keys and values with room for more, so that a token more copies nothing.

    rows │ padding │ prompt │ room ...        (rows, heads, tokens, dimensions)

A cache that grows by concatenation copies all there is for each new token.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any


def room(parts: Sequence[Any], width: int, more: int) -> Any:
    """A cache layer of rows that were read in parts, padded on the left to `width`.

    `parts`: layers of transformers' DynamicCache; `more`: tokens that may come.
    """
    return _room()(parts, width, more)


@cache
def _room() -> Any:
    from transformers.cache_utils import DynamicLayer

    class Room(DynamicLayer):  # type: ignore[no-untyped-call]
        """The keys and values of some rows, of which `used` tokens are there."""

        def __init__(self, parts: Sequence[Any], width: int, more: int) -> None:
            super().__init__()  # type: ignore[no-untyped-call]
            self.lazy_initialization(parts[0].keys, parts[0].values)
            self.used = width
            self._keys = joined([part.keys for part in parts], width, more)
            self._values = joined([part.values for part in parts], width, more)
            self._show()

        def _show(self) -> None:
            self.keys, self.values = self._keys[:, :, : self.used], self._values[:, :, : self.used]

        def update(self, key_states: Any, value_states: Any, *_args: Any, **_kwargs: Any) -> Any:
            """Put new tokens behind what is there, and return all."""
            start, self.used = self.used, self.used + key_states.shape[-2]
            self._keys[:, :, start : self.used] = key_states
            self._values[:, :, start : self.used] = value_states
            self._show()
            return self.keys, self.values

        def batch_select_indices(self, indices: Any) -> None:
            """Keep these rows."""
            self._keys, self._values = self._keys[indices], self._values[indices]
            self._show()

    return Room


def joined(parts: Sequence[Any], width: int, more: int) -> Any:
    """Rows of all parts, their last tokens at `width`; what is padding is 0."""
    first = parts[0]
    rows = sum(len(part) for part in parts)
    whole = first.new_zeros(rows, first.shape[1], width + more, first.shape[3])
    start = 0
    for part in parts:
        whole[start : start + len(part), :, width - part.shape[2] : width] = part
        start += len(part)
    return whole

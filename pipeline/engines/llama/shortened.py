"""What stays of an answer whose budget was spent: only what the model itself had said to its end.

The closing mode ends a text validly, but it does so in mid-sentence: "Ramipril 5 mg abgesetzt" cut off is the opposite
of what was said. So an item of a list into which the closing fell is left out, whole.
"""

from __future__ import annotations

import json

_read = json.JSONDecoder().raw_decode


class NothingWhole(Exception):
    """Nothing was complete when the closing began, or what was not is no item of a list."""


def whole(text: str, at: int) -> str:
    """A compact JSON text, a list or an object, without those items of its lists that were not complete at `at`.

    `at` counts characters. Raises NothingWhole: where another value of the object was not complete then, and where
    all lists are empty.
    """
    if text.startswith("["):
        items, _end = _items(text, 0, at)
        if not items:
            raise NothingWhole
        return _compact(items)
    if not text.startswith("{"):
        raise NothingWhole
    kept: dict[str, object] = {}
    lists: list[list[object]] = []
    end = 1
    while text[end] != "}":
        name, end = _read(text, end + (text[end] == ","))
        begin = end + 1  # behind the colon
        if text[begin] == "[":
            items, end = _items(text, begin, at)
            lists.append(items)
            kept[name] = items
            continue
        kept[name], end = _read(text, begin)
        if not _is_whole(text, end, at):
            raise NothingWhole
    if lists and not any(lists):
        raise NothingWhole
    return _compact(kept)


def _items(text: str, begin: int, at: int) -> tuple[list[object], int]:
    """The complete items of the list that begins there, and where it ends."""
    items: list[object] = []
    end = begin + 1
    while text[end] != "]":
        item, end = _read(text, end + (text[end] == ","))
        if _is_whole(text, end, at):
            items.append(item)
    return items, end + 1


def _is_whole(text: str, end: int, at: int) -> bool:
    """Whether a value that ends there was complete. Of a number only what follows it tells."""
    return end < at or (end == at and not text[end - 1].isdigit())


def _compact(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))

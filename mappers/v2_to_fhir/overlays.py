"""A site's file laid over the library: rows over tables, rules over rules, maps and tables of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mappers.v2_to_fhir import library, rules, scope
from mappers.v2_to_fhir.library import Library, Lines
from mappers.v2_to_fhir.rules import Broken, Place


def overlaid(base: Library, document: Lines, file: str) -> Library:
    """The library with a site's `tables`, `maps` and `messages` over it."""
    tables = dict(base.tables)
    for name, given in library.mapping_at(document, "tables", file).items():
        tables[name] = _table_over(tables.get(name), name, library.lines(given, file, document), file)
    segments = dict(base.segments)
    for name, given in library.mapping_at(document, "maps", file).items():
        segments[name] = _segment_over(segments.get(name), name, library.lines(given, file, document), file, tables)
    library.check_references(segments.values())
    messages = dict(base.messages)
    for name, given in library.mapping_at(document, "messages", file).items():
        found = library.message_map(library.lines(given, file, document), name, file, segments)
        messages |= dict.fromkeys(found.events, found)
    return Library(segments, messages, tables)


def _table_over(current: scope.Table | None, name: str, given: Lines, file: str) -> scope.Table:
    """A site's rows over a table; with `rows` (and `source`) a table of the site's own."""
    if "rows" in given:
        return library.read_tables(_only(name, given), file)[name]
    if current is None:
        raise Broken(Place(file, given.line), f"there is no table {name}; a new one needs source and rows")
    return dataclasses.replace(current, rows={**current.rows, **library.checked_rows(given, file)})


def _only(name: str, given: Lines) -> Lines:
    found = Lines({name: given})
    found.line, found.lines = given.line, {name: given.line}
    return found


def _segment_over(
    current: rules.SegmentMap | None, name: str, given: Lines, file: str, tables: Mapping[str, scope.Table]
) -> rules.SegmentMap:
    if current is None:
        return library.segment_map(given, name, file, tables)
    for key in ("segment", "opens_group"):
        if key in given:
            raise Broken(Place(file, given.at(key)), f"{key} of a map that ships cannot be changed by a site")
    blocks = list(current.blocks)
    for key in given:
        if key in library.SEGMENT_KEYS:
            continue
        named = [index for index, found in enumerate(blocks) if found.name == key]
        if not named:
            raise Broken(
                Place(file, given.at(key)),
                f"{name} has no block {key}; it has {', '.join(dict.fromkeys(found.name for found in blocks))}. "
                "A new one stands under `blocks`",
            )
        if given[key] is None:
            raise Broken(Place(file, given.at(key)), f"{key} has no rules")
        for one in library.list_at(given, key, file):
            at = _home(blocks, named, one, file, tables)
            blocks[at] = _block_over(blocks[at], [one], file, tables)
    new = [
        library.block(library.lines(one, file, given), file, tables) for one in library.list_at(given, "blocks", file)
    ]
    blocks = [found for found in blocks if found.name not in {other.name for other in new}] + new
    reasons = {**current.left_out, **library.left_out(library.mapping_at(given, "left_out", file), file)}
    text = library.text(given, current.segment, file) or current.text
    return dataclasses.replace(current, blocks=tuple(blocks), left_out=reasons, text=text)


def _home(blocks: list[rules.Block], named: list[int], given: Any, file: str, tables: Mapping[str, scope.Table]) -> int:
    """Which block of a name a site's rule belongs to: the one with the rule that it replaces, else the first."""
    if isinstance(given, Lines) and "to" in given:
        bare = Lines({key: value for key, value in given.items() if key != "drop"})
        bare.line, bare.lines = given.line, given.lines
        key = library.rule(bare, blocks[named[0]].resource, file, tables).key
        return next((index for index in named if any(old.key == key for old in blocks[index].rules)), named[0])
    return named[0]


def _block_over(current: rules.Block, given: list[Any], file: str, tables: Mapping[str, scope.Table]) -> rules.Block:
    """A site's rules: one with the same `from` and `to` takes the place of ours, `drop: true` takes ours away."""
    found = list(current.rules)
    for one in given:
        if not isinstance(one, Lines):
            raise Broken(Place(file, 1), f"{one!r} in the overlay of {current.name} is not a mapping")
        is_dropped = library.flag(one, "drop", file)
        bare = Lines({key: value for key, value in one.items() if key != "drop"})
        bare.line, bare.lines = one.line, one.lines
        new = library.rule(bare, current.resource, file, tables)
        same = [index for index, old in enumerate(found) if old.key == new.key]
        if is_dropped:
            if not same:
                raise Broken(Place(file, one.line), f"{current.name} has no rule {new.key} to drop")
            found = [old for index, old in enumerate(found) if index not in same]
        elif same:
            found[same[0]] = new
            found = [old for index, old in enumerate(found) if index not in same[1:]]
        else:
            found.append(new)
    return dataclasses.replace(current, rules=tuple(found))

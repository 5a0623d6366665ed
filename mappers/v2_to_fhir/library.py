"""Reading the rule files. A fault names file, line and reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml

from mappers.v2_to_fhir import datatypes, rules, scope
from mappers.v2_to_fhir.rules import Broken, Place
from profiles import base

FOLDER: Final = Path(__file__).parent

T = TypeVar("T")


class Lines(dict[str, Any]):
    """A mapping of a YAML file that knows its line, and that of each key."""

    line: int = 0
    lines: Mapping[str, int]

    def at(self, key: str) -> int:
        """The line of a key; of the mapping where it has none."""
        return self.lines.get(key, self.line)


class _Loader(yaml.SafeLoader):
    """Strings stay strings: a code `NO` or `010` is none of YAML's booleans or numbers. Keys are unique."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> Lines:
    found = Lines()
    found.line = node.start_mark.line + 1
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"{key} stands twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
        lines[key] = key_node.start_mark.line + 1
    found.lines = lines
    return found


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag == "tag:yaml.org,2002:null"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read(path: Path) -> Lines:
    """A YAML file whose top is a mapping; Broken when it is none."""
    try:
        found = yaml.load(path.read_text("utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise Broken(Place(path.name, line), str(error.problem)) from None
    except (OSError, UnicodeDecodeError, RecursionError, yaml.YAMLError) as error:
        raise Broken(Place(path.name, 1), f"cannot be read ({type(error).__name__})") from None
    if not isinstance(found, Lines):
        raise Broken(Place(path.name, 1), "is not a mapping")
    return found


@dataclass(frozen=True, slots=True)
class Library:
    """All rules and tables of one sender."""

    segments: Mapping[str, rules.SegmentMap]
    messages: Mapping[str, rules.MessageMap]  # by event, e.g. ADT^A01
    tables: Mapping[str, scope.Table]

    def message(self, event: str) -> rules.MessageMap | None:
        """The map of a message by its type and trigger event; None when there is none."""
        return self.messages.get(event)

    def segment(self, message: rules.MessageMap, name: str) -> rules.SegmentMap | None:
        """The map of a segment in this message; None when it has none."""
        wanted = message.use.get(name, name)
        return None if wanted is None else self.segments.get(wanted)


@lru_cache(maxsize=1)
def bundled() -> Library:
    """The library as it ships."""
    tables: dict[str, scope.Table] = {}
    for path in sorted((FOLDER / "tables").glob("*.yaml")):
        tables |= read_tables(read(path), path.name)
    segments: dict[str, rules.SegmentMap] = {}
    for path in sorted((FOLDER / "maps").glob("*.yaml")):
        found = segment_map(read(path), path.stem, path.name, tables)
        segments[found.name] = found
    check_references(segments.values())
    messages: dict[str, rules.MessageMap] = {}
    for path in sorted((FOLDER / "messages").glob("*.yaml")):
        read_message = message_map(read(path), path.stem, path.name, segments)
        messages |= dict.fromkeys(read_message.events, read_message)
    return Library(segments, messages, tables)


def check_references(segments: Iterable[rules.SegmentMap]) -> None:
    """Broken when a rule refers to a draft that no block makes."""
    blocks = [block for segment in segments for block in segment.blocks]
    names = {block.name for block in blocks} | {"*"}
    for block in blocks:
        for rule in block.rules:
            if rule.refer is not None and rule.refer not in names:
                raise Broken(rule.place, f"there is no draft {rule.refer}")


def keys(given: Lines, file: str, allowed: Iterable[str], required: Iterable[str] = ()) -> None:
    """Broken for a key that means nothing, and for one that is missing."""
    for key in given:
        if key not in allowed:
            raise Broken(Place(file, given.at(key)), f"{key} is no key here; there are {', '.join(sorted(allowed))}")
    for key in required:
        if key not in given:
            raise Broken(Place(file, given.line), f"{key} is missing")


def mapping_at(given: Lines, key: str, file: str) -> Lines:
    """The mapping at a key; an empty one where there is none. Broken when there is something else."""
    found = given.get(key)
    if found is None:
        found = Lines()
        found.line, found.lines = given.line, {}
    if not isinstance(found, Lines):
        raise Broken(Place(file, given.at(key)), f"{key} is not a mapping")
    return found


def list_at(given: Lines, key: str, file: str) -> list[Any]:
    """The list at a key; an empty one where there is none. Broken when there is something else."""
    found = given.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Broken(Place(file, given.at(key)), f"{key} is not a list")
    return found


def texts_at(given: Lines, key: str, file: str) -> list[str]:
    """The texts in the list at a key. Broken when one of them is none."""
    found = list_at(given, key, file)
    if not all(isinstance(one, str) for one in found):
        raise Broken(Place(file, given.at(key)), f"{key} is not a list of texts")
    return found


def text_at(given: Lines, key: str, file: str, default: str | None = None) -> str:
    """The text at a key. Broken when it is none."""
    found = given.get(key, default)
    if not isinstance(found, str):
        raise Broken(Place(file, given.at(key)), f"{key} is not a text")
    return found


def checked_rows(given: Lines, file: str) -> dict[str, Any]:
    """The rows of a table, each a code or a Coding. Broken when one is neither."""
    for code, row in given.items():
        if not isinstance(row, str | Lines):
            raise Broken(Place(file, given.at(code)), f"the row {code} is neither a code nor a Coding")
    return dict(given)


def read_tables(document: Lines, file: str) -> dict[str, scope.Table]:
    """The code tables of a file: name to table."""
    found: dict[str, scope.Table] = {}
    for name, table in document.items():
        place = Place(file, document.at(name))
        if not isinstance(table, Lines):
            raise Broken(place, f"the table {name} is not a mapping")
        keys(table, file, ("source", "system", "rows"), ("source", "rows"))
        system = None if table.get("system") is None else text_at(table, "system", file)
        if not isinstance(table["rows"], Lines):
            raise Broken(place, f"the rows of {name} are not a mapping")
        found[name] = scope.Table(name, str(table["source"]), system, checked_rows(table["rows"], file))
    return found


SEGMENT_KEYS: Final = ("segment", "source", "blocks", "left_out", "opens_group", "text")


def segment_map(document: Lines, name: str, file: str, tables: Mapping[str, scope.Table]) -> rules.SegmentMap:
    """One segment's rules. `segment` may differ from the name: OBX has one map for results and one for documents."""
    keys(document, file, SEGMENT_KEYS, ("source",))
    segment = str(document.get("segment", name))
    blocks = tuple(block(lines(given, file, document), file, tables) for given in list_at(document, "blocks", file))
    return rules.SegmentMap(
        name,
        segment,
        str(document["source"]),
        blocks,
        left_out(mapping_at(document, "left_out", file), file),
        flag(document, "opens_group", file),
        text(document, segment, file),
    )


def lines(given: Any, file: str, parent: Lines) -> Lines:
    """An item that is a mapping; Broken when it is none."""
    if not isinstance(given, Lines):
        raise Broken(Place(file, parent.line), f"{given!r} is not a mapping")
    return given


def flag(given: Lines, key: str, file: str) -> bool:
    """Whether a key says `true`. Broken when it says neither that nor `false`."""
    found = given.get(key, "false")
    if found not in ("true", "false"):
        raise Broken(Place(file, given.at(key)), f"{key} is true or false")
    return bool(found == "true")


def text(document: Lines, segment: str, file: str) -> rules.Text | None:
    """The field whose repetitions are lines of one text, and what must be the same for the text to go on."""
    if "text" not in document:
        return None
    given = lines(document["text"], file, document)
    keys(given, file, ("field", "same", "when"), ("field",))
    place = Place(file, given.line)
    fields = [_checked(rules.source, str(path), place) for path in (given["field"], *texts_at(given, "same", file))]
    if any(path.segment != segment or path.component for path in fields):
        raise Broken(place, f"a text is made of whole fields of {segment}")
    return rules.Text(fields[0], tuple(fields[1:]), _condition(given, file))


def left_out(given: Lines, file: str) -> dict[rules.Source, str]:
    """The fields that go nowhere on purpose, each with its reason."""
    return {_checked(rules.source, path, Place(file, given.at(path))): str(reason) for path, reason in given.items()}


_BLOCK_KEYS: Final = ("resource", "name", "draft", "when", "identity", "required", "rules")


def block(given: Lines, file: str, tables: Mapping[str, scope.Table]) -> rules.Block:
    """The rules of a segment for one resource."""
    keys(given, file, _BLOCK_KEYS, ("resource", "draft"))
    place = Place(file, given.line)
    resource = str(given["resource"])
    if resource != rules.MOVEMENT and resource not in base.known_types():
        raise Broken(Place(file, given.at("resource")), f"{resource} is no resource of R4")
    if given["draft"] not in ("each", "join", "current"):
        raise Broken(Place(file, given.at("draft")), f"draft is each, join or current, not {given['draft']}")
    found = tuple(rule(lines(one, file, given), resource, file, tables) for one in list_at(given, "rules", file))
    identity = tuple(
        (one,) if isinstance(one, str) else tuple(map(str, one if isinstance(one, list) else [one]))
        for one in list_at(given, "identity", file)
    )
    for path in {path for alternative in identity for path in alternative}:
        _checked(lambda path: rules.target(resource, path.partition(":")[0]), path, Place(file, given.at("identity")))
    return rules.Block(
        place,
        resource,
        str(given.get("name", resource)),
        given["draft"],
        found,
        _condition(given, file),
        identity,
        tuple(texts_at(given, "required", file)),
    )


_RULE_KEYS: Final = ("from", "to", "as", "with", "table", "when", "value", "refer", "beside", "default", "essential")


def rule(given: Lines, resource: str, file: str, tables: Mapping[str, scope.Table]) -> rules.Rule:
    """One rule."""
    keys(given, file, _RULE_KEYS, ("to",))
    place = Place(file, given.line)
    origins = [key for key in ("from", "value", "refer") if key in given]
    if len(origins) != 1:
        raise Broken(place, "a rule has exactly one of from, value and refer")
    to = str(given["to"])
    steps = _checked(lambda text: rules.target(resource, text), to, Place(file, given.at("to")))
    paths = [given["from"]] if isinstance(given.get("from"), str) else texts_at(given, "from", file)
    if "from" in given and not paths:
        raise Broken(Place(file, given.at("from")), "from names nothing")
    sources = tuple(_checked(rules.source, path, Place(file, given.at("from"))) for path in paths)
    options = dict(mapping_at(given, "with", file))
    if "table" in given:
        options["table"] = text_at(given, "table", file)
    kind = text_at(given, "as", file, "code" if "table" in given else "string")
    if "table" in options and str(options["table"]) not in tables:
        raise Broken(Place(file, given.at("table")), f"there is no table {options['table']}")
    problems = datatypes.problems(kind, options)
    if problems:
        raise Broken(Place(file, given.at("as")), problems[0])
    return rules.Rule(
        place=place,
        target=steps,
        to=to,
        sources=sources,
        kind=kind,
        options=options,
        when=_condition(given, file),
        value=_plain(given.get("value")),
        refer=text_at(given, "refer", file) if "refer" in given else None,
        beside=_plain(mapping_at(given, "beside", file)),
        default=flag(given, "default", file),
        essential=flag(given, "essential", file),
    )


def _plain(value: Any) -> Any:
    """A constant of a rule, with `true` and `false` as what JSON means by them."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


def _condition(given: Lines, file: str) -> rules.Condition:
    if "when" not in given:
        return ()
    return _checked(rules.condition, str(given["when"]), Place(file, given.at("when")))


def _checked(make: Callable[[str], T], text: str, place: Place) -> T:
    try:
        return make(text)
    except (ValueError, LookupError) as error:
        raise Broken(place, str(error)) from None


def message_map(document: Lines, name: str, file: str, segments: Mapping[str, rules.SegmentMap]) -> rules.MessageMap:
    """The events of a kind of message, and the maps that its segments have instead of their own."""
    keys(document, file, ("source", "events", "use", "required"), ("source", "events"))
    use: dict[str, str | None] = {}
    for segment, wanted in mapping_at(document, "use", file).items():
        if wanted is not None and str(wanted) not in segments:
            raise Broken(Place(file, document.at("use")), f"there is no map {wanted}")
        use[segment] = wanted
    return rules.MessageMap(
        name,
        str(document["source"]),
        frozenset(texts_at(document, "events", file)),
        use,
        tuple(texts_at(document, "required", file)),
    )

"""Ingredients and brands. A brand stands for its ingredients; every spelling in the tables leads to the same drug."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from terminology import tables
from terminology.german import vocabulary


@dataclass(frozen=True, slots=True)
class Ingredient:
    """One active ingredient: German name, ATC code, class keys, and the usual route."""

    name: str
    atc: str
    classes: frozenset[str]
    route: str


@dataclass(frozen=True, slots=True)
class Mention:
    """A drug named in a text: where, in which words, and what is in it."""

    start: int
    end: int
    text: str
    ingredients: tuple[Ingredient, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The German names of the ingredients."""
        return tuple(ingredient.name for ingredient in self.ingredients)

    @property
    def classes(self) -> frozenset[str]:
        """All classes of all ingredients."""
        return frozenset().union(*(ingredient.classes for ingredient in self.ingredients))


@functools.cache
def ingredients() -> dict[str, Ingredient]:
    """All ingredients by German name."""
    return {
        row["ingredient"]: Ingredient(
            row["ingredient"], row["atc"], frozenset(filter(None, row["classes"].split("|"))), row["route_default"]
        )
        for row in tables.rows("drugs/ingredients")
    }


@functools.cache
def by_atc() -> dict[str, Ingredient]:
    """All ingredients by ATC code."""
    return {ingredient.atc: ingredient for ingredient in ingredients().values() if ingredient.atc}


#: Forms that are spoken in one word with the drug: "Paracetamolzäpfchen", "Ibuprofensaft".
_FORMS = (
    "saft",
    "säfte",
    "sirup",
    "tablette",
    "tabletten",
    "tropfen",
    "zäpfchen",
    "kapsel",
    "kapseln",
    "pulver",
    "spritze",
    "spritzen",
)
_COMPOUNDED = 5  # letters of a name at least; shorter ones are parts of other words


@functools.cache
def _lexicon() -> vocabulary.Lexicon:
    rows: list[tables.Row] = []
    for row in tables.rows("drugs/ingredients"):
        names = (row["ingredient"], *filter(None, row["names"].split("|")))
        rows += [{"term": name, "ingredients": row["ingredient"]} for name in names]
    rows += [{"term": row["brand"], "ingredients": row["ingredients"]} for row in tables.rows("drugs/brands")]
    rows += [
        {"term": f"{row['term']}{form}", "ingredients": row["ingredients"]}
        for row in rows
        if row["term"].isalpha() and len(row["term"]) >= _COMPOUNDED
        for form in _FORMS
    ]
    return vocabulary.Lexicon(rows, "term", whole_words=True)


def find(text: str) -> list[Mention]:
    """The drugs that `text` names, in its order."""
    known = ingredients()
    return [
        Mention(hit.start, hit.end, hit.text, tuple(known[name] for name in hit.row["ingredients"].split("|")))
        for hit in _lexicon().find(text)
    ]

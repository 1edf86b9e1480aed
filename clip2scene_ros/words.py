"""Whose word is whose: words of a class set, and which of its classes mean a class of another one."""

from __future__ import annotations

from collections.abc import Iterable

from clip2scene_ros.classes import ClassSet, SemanticClass
from clip2scene_ros.errors import BadClassSet


def spelling(word: str) -> str:
    """Return a word as it is compared: `Traffic  Sign` and `traffic sign` are one."""
    return " ".join(word.casefold().split())


def spellings(c: SemanticClass) -> set[str]:
    """Return all that a class is called: its name and its words."""
    return {spelling(word) for word in (c.name, *c.prompts)}


def owners(class_set: ClassSet) -> dict[str, int]:
    """Return the class id of each word of a class set, by its spelling; absorbers have the id C.

    Raises:
        BadClassSet: `ambiguous`: two classes share a word but for upper and lower case.
    """
    owner: dict[str, int] = {}
    for class_id, c in enumerate(class_set.classes):
        for word in c.prompts:
            first = owner.setdefault(spelling(word), class_id)
            if first != class_id:
                raise BadClassSet(
                    "ambiguous",
                    f"A word can stand for one class only, but {spelling(word)!r} is in both "
                    f"`{class_set.names[first]}` and `{c.name}`.",
                )
    return {spelling(word): len(class_set) for word in class_set.absorbers} | owner


def claims(asked: ClassSet, known: ClassSet) -> list[tuple[int, ...]]:
    """Return, for each class of `known`, the ids of the classes of `asked` that mean it: none, one, or rivals.

    A class means all classes that one of its words, or its name, is a word or the name of. Who has the very name of a
    class has no rivals.
    """
    by_name = {spelling(c.name): class_id for class_id, c in enumerate(asked.classes)}
    called = [spellings(c) for c in asked.classes]
    found: list[tuple[int, ...]] = []
    for c in known.classes:
        namesake = by_name.get(spelling(c.name))
        theirs = spellings(c)
        found.append(tuple(i for i, mine in enumerate(called) if mine & theirs) if namesake is None else (namesake,))
    return found


def listed(words: Iterable[str], most: int = 40) -> str:
    """Return words for a sentence: the first ones, and how many more there are."""
    every = list(words)
    more = f" and {len(every) - most} more" if len(every) > most else ""
    return ", ".join(every[:most]) + more

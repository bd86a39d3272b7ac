"""The nearest known name to one that is not known, for messages that say what was probably meant."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 80  # longer names are not compared: nobody mistypes them by one letter, and the comparison is quadratic


def distance(left: str, right: str) -> int:
    """Number of letters to insert, delete, replace or swap with their neighbour to get from one name to the other."""
    before_last: list[int] = []
    last = list(range(len(right) + 1))
    for i, a in enumerate(left, start=1):
        row = [i]
        for j, b in enumerate(right, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (a != b))
            if i > 1 and j > 1 and a == right[j - 2] and left[i - 2] == b:
                cost = min(cost, before_last[j - 2] + 1)
            row.append(cost)
        before_last, last = last, row
    return last[-1]


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name closest to `name`, or None where nothing is close enough to be what was meant.

    Example:
        >>> nearest("epoch", ["epochs", "batch"])
        'epochs'
        >>> nearest("frobnicate", ["epochs", "batch"]) is None
        True
    """
    if len(name) > LONGEST:
        return None
    best: tuple[int, str] | None = None
    for candidate in sorted(set(known)):
        if len(candidate) > LONGEST:
            continue
        score = distance(name.lower(), candidate.lower())
        if score <= allowed(name, candidate) and (best is None or score < best[0]):
            best = (score, candidate)
    if best is None:
        return _contained(name, known)
    return best[1]


def allowed(name: str, candidate: str) -> int:
    """How many letters may differ for `candidate` to be a plausible correction of `name`."""
    shortest = min(len(name), len(candidate))
    return max(1, shortest // 3) if shortest > 1 else 0


def _contained(name: str, known: Iterable[str]) -> str | None:
    """The only known name that contains `name` or is contained in it, such as `learning_rate` for `rate`."""
    if len(name) < 3:
        return None
    lower = name.lower()
    found = [word for word in sorted(set(known)) if len(word) >= 3 and (lower in word.lower() or word.lower() in lower)]
    return found[0] if len(found) == 1 else None


def hint(name: str, known: Iterable[str]) -> str:
    """The end of a message about an unknown name: the nearest known one, or all known ones where they are few.

    Example:
        >>> hint("epoch", ["epochs", "batch"])
        '; did you mean `epochs`?'
        >>> hint("x", ["epochs", "batch"])
        '; known are: `batch`, `epochs`'
    """
    names = sorted(set(known))
    match = nearest(name, names)
    if match is not None:
        return f"; did you mean `{match}`?"
    if not names:
        return ""
    shown = ", ".join(f"`{each}`" for each in names[:20])
    return f"; known are: {shown}" + (f" and {len(names) - 20} more" if len(names) > 20 else "")

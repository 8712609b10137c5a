"""Reads the lists of the IETF drafts: `RateLimit: "default";r=50;t=30`."""

import re
from dataclasses import dataclass, field

# Possessive quantifier, closing quote optional: linear time on any input.
_PIECE = re.compile(r'(?:"(?:\\.|[^"\\])*+"?|[^",;])++|,')


@dataclass(slots=True)
class Item:
    """One member of a list: what stands alone in it, and its parameters."""

    names: set[str] = field(default_factory=set)
    parameters: dict[str, str] = field(default_factory=dict)

    def add(self, piece: str) -> None:
        """Take in what stands between two semicolons."""
        key, equals, value = piece.partition("=")
        if equals and not piece.startswith('"'):
            self.parameters[key.strip().lower()] = value.strip().strip('"')
        elif piece:
            self.names.add(piece.strip('"'))

    def first(self, *keys: str) -> str | None:
        """Return the value of the first of these parameters that there is."""
        return next((self.parameters[key] for key in keys if key in self.parameters), None)


def items(text: str) -> list[Item]:
    """Split a list into its members."""
    found = [Item()]
    for piece in _PIECE.findall(text):
        if piece == ",":
            found.append(Item())
        else:
            found[-1].add(piece.strip())
    return found


def limits(text: str) -> list[Item]:
    """Split a `RateLimit` field into one member for each window."""
    found = items(text)
    if any(item.names for item in found):
        return found
    # Draft 07 is one window, spread over a list's members.
    merged = Item()
    for item in found:
        merged.parameters.update(item.parameters)
    return [merged]

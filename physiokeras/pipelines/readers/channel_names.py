"""Names of channels in headers against those of a definition."""

import re

from physiokeras.files import one_form

WILD = re.compile(r"[*?]")
"""What makes an alias a pattern: `*` stands for any characters, `?` for any one."""


def _seen(name):
    """What a person sees of a name."""
    return " ".join(one_form(name).split())


def matches(wanted, names):
    """Positions in `names` that match a definition's name or alias.

    A name that a header holds literally is taken as it is, capitals and all. Else what nobody sees is the same: kinds
    and numbers of blanks, Unicode's forms. Only a pattern ignores case.

    Args:
        wanted: A name, or a pattern with `*` or `?`.
        names: The names in a header.
    """
    found = [place for place, name in enumerate(names) if name == wanted]
    if not found:
        wanted, names = _seen(wanted), [*map(_seen, names)]
        found = [place for place, name in enumerate(names) if name == wanted]
    if found or not WILD.search(wanted):
        return found
    words = {"*": ".*", "?": "."}
    pattern = "".join(words.get(letter) or re.escape(letter) for letter in wanted)
    expression = re.compile(pattern, re.IGNORECASE | re.DOTALL)
    return [place for place, name in enumerate(names) if expression.fullmatch(name)]

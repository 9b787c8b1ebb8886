"""Where each channel of a definition comes from in one record: a recorded signal, or a derivation of several.

The table `[montage]` derives channels. A rule has one or two terms, and the second is subtracted from the first. A term
is a name, or a list of names, which stands for their mean; "-" before a name inverts it. A name is another rule's, or
that of a recorded channel.

    [montage]
    "C3-M2" = ["C3", "M2"]
    "C3-linked" = ["C3", ["M1", "M2"]]
    "mean" = [["Fp1", "Fp2", "C3", "C4"]]
    "C3-mean" = ["C3", "mean"]
    "EOG" = ["-E1"]

A channel that the record holds under its own name or an alias is taken from there, and derived only where it is not.
"""

from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from physiokeras.errors import DataError
from physiokeras.pipelines.definitions.parts import check

_DEEPEST = 10


@dataclass(frozen=True)
class Source:
    """The source of a channel.

    Attributes:
        text: The recorded name, or how it is derived: "C3 - mean(M1, M2)".
        index: Position of the recorded signal; None where the channel is derived, or missing.
        terms: One or two tuples of `(sign, Source)`: means, the second of which is subtracted.
        missing: Names of the parts that the record lacks; None where nothing says how to derive the channel.
    """

    text: str
    index: int | None = None
    terms: tuple = ()
    missing: tuple | None = ()

    @property
    def absent(self) -> bool:
        """Whether the record cannot give the channel."""
        return self.index is None and not self.terms

    @property
    def signals(self) -> tuple[int, ...]:
        """Positions of all recorded signals that it is made of, each once."""
        if not self.terms:
            return () if self.index is None else (self.index,)
        return tuple(dict.fromkeys(i for term in self.terms for _, part in term for i in part.signals))


def find_sources(header, definition):
    """The `Source` of each channel of a definition, by name.

    Raises:
        DataError: A channel that is required is missing, several signals match an alias, a signal that is asked for
            cannot be used, or two channels are the same signal.
    """
    sources, owners = {}, {}
    for channel in definition.channels:
        source = _source(header, channel.name, channel.alias, definition)
        if source.absent and channel.required:
            header.lacks(channel, f"; {source.text} lacks {', '.join(source.missing)}" if source.missing else "")
        if source.index is not None and owners.setdefault(source.index, channel.name) != channel.name:
            message = f"two channels of the definition take it: {owners[source.index]} and {channel.name}"
            raise DataError(f"{message}. Narrow their `alias`.", file=header.path, channel=source.text)
        sources[channel.name] = source
    return sources


def _source(header, name, alias, definition):
    index = header.find((name, *alias, *(definition.alias or {}).get(name, ())))
    if index is not None:
        return Source(header.signals[index].name, index)
    rule = (definition.montage or {}).get(name)
    if rule is None:
        return Source(name, missing=None)
    parts = [[(_sign(part), bare(part), _source(header, bare(part), (), definition)) for part in term] for term in rule]
    missing = [source.missing or (part,) for term in parts for _, part, source in term if source.absent]
    text = " - ".join(_mean(term) for term in parts)
    if missing:
        return Source(text, missing=tuple(dict.fromkeys(name for names in missing for name in names)))
    return Source(text, terms=tuple(tuple((sign, source) for sign, _, source in term) for term in parts))


def _mean(term):
    """A term in words: recorded parts by the names that the record gives them, derived ones by their rules'."""
    names = [source.text if source.index is not None else part for _, part, source in term]
    names = [f"-{name}" if sign < 0 else name for (sign, _, _), name in zip(term, names, strict=True)]
    return f"mean({', '.join(names)})" if len(names) > 1 else names[0]


def _sign(part):
    return -1.0 if part.startswith("-") else 1.0


def bare(part):
    """A part's name without the sign that inverts it."""
    return part.removeprefix("-")


def plain_rules(rules):
    """The table `[montage]` with each term as a list of names.

    Raises:
        DataError: What is no rule.
    """
    if not isinstance(rules, dict):
        return rules
    return {name: _plain_rule(rule, f"[montage] {name!r}") for name, rule in rules.items()}


def _plain_rule(rule, key):
    shape = isinstance(rule, list | tuple) and 1 <= len(rule) <= 2
    terms = [[term] if isinstance(term, str) else term for term in rule] if shape else []
    valid = shape and all(isinstance(term, list | tuple) and term for term in terms)
    valid = valid and all(isinstance(part, str) and bare(part) for term in terms for part in term)
    check(valid, key, 'must be one or two names or lists of names, such as ["C3", "M2"] or ["C3", ["M1", "M2"]]', rule)
    for term in terms:
        check(len({bare(part) for part in term}) == len(term), key, "must name each part of a mean once", term)
    check(len(terms) < 2 or set(terms[0]) != set(terms[1]), key, "must not subtract a term from itself", rule)
    renames = len(terms) == 1 and len(terms[0]) == 1 and not terms[0][0].startswith("-")
    check(not renames, key, "is another name of a channel, not a derivation; write it in [alias]", rule)
    return terms


def check_montage(definition):
    """Refuse circular rules, unused rules, and aliases of channels that nothing names.

    Raises:
        DataError: Names the rule.
    """
    rules, channels = definition.montage or {}, {channel.name for channel in definition.channels}
    parts = {name: [bare(part) for term in rule for part in term] for name, rule in rules.items()}
    used = channels.union(*parts.values())
    for name in rules:
        check(name in used, f"[montage] {name!r}", "must be a channel of a modality or a part of another rule", name)
    try:
        order = [*TopologicalSorter(parts).static_order()]
    except CycleError as error:
        rule = "a rule must not need itself, directly or through others"
        check(False, "[montage]", rule, " -> ".join(error.args[1][::-1]))
    depths = {}
    for name in order:
        depths[name] = 1 + max((depths[part] for part in parts.get(name, ())), default=0)
    deep = [name for name, depth in depths.items() if depth > _DEEPEST]
    check(not deep, "[montage]", f"rules may build on each other {_DEEPEST - 1} times", deep[:1])
    for name, others in (definition.alias or {}).items():
        check(name in used, f"[alias] {name!r}", "must be a channel of a modality or a part in [montage]", name)
        check(others and all(others), f"[alias] {name!r}", "must list other names", list(others))

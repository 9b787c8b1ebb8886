"""Names under which the field's score files write sleep stages.

AASM (W, N1, N2, N3, R), Rechtschaffen and Kales (stages 1 to 4), NSRR ("Stage 1 sleep|1"), the Sleep Domain Ontology of
older NSRR files, EDF+ ("Sleep stage 1") and YASA (WAKE, N1, ..., or numbers). Sources: edfplus.info/specs/edftexts,
github.com/nsrr/edf-editor-translator/wiki, yasa-sleep.org.
"""

import re

UNSCORED = "unscored"

_NAMES = {
    "W": ("w", "wake", "awake", "wakefulness", "stage w", "stage wake", "s0", "0", "sdo:wakestate"),
    "N1": ("n1", "nrem1", "s1", "1", "stage 1", "stage n1", "stage 1 sleep", "sdo:nonrapideyemovementsleep-n1"),
    "N2": ("n2", "nrem2", "s2", "2", "stage 2", "stage n2", "stage 2 sleep", "sdo:nonrapideyemovementsleep-n2"),
    "N3": ("n3", "nrem3", "s3", "3", "stage 3", "stage n3", "stage 3 sleep", "sdo:nonrapideyemovementsleep-n3"),
    "S4": ("n4", "nrem4", "s4", "stage 4", "stage n4", "stage 4 sleep", "sdo:nonrapideyemovementsleep-n4"),
    "R": ("r", "rem", "5", "stage r", "stage rem", "rem sleep", "stage 5", "sdo:rapideyemovementsleep"),
    UNSCORED: (
        *("?", "-1", "-2", "6", "9", "u", "uns", "unscored", "unknown", "undefined", "stage ?", "no stage", "art"),
        *("artefact", "artifact", "m", "mt", "movement", "movement time", "stage mt", "stage movement"),
    ),
}
_STAGES = {text: stage for stage, texts in _NAMES.items() for text in texts}

AMBIGUOUS = "4"
"""Stage 4 of Rechtschaffen and Kales, and REM in YASA's numbers."""

KALES, YASA = "Rechtschaffen and Kales", "YASA"
_OF_KALES, _OF_YASA = frozenset("69"), frozenset(("-1", "-2"))


def plain_number(text):
    """A stage's number without decimals: MATLAB, and so EEGLAB, writes 2.0."""
    return re.sub(r"^(-?\d)\.0+$", r"\1", text)


def standard_stage(text, coding=None):
    """The stage that a text names: "W", "N1", "N2", "N3", "S4", "R" or `UNSCORED`; None where it is no known name.

    Args:
        text: As a file has it, in whatever case.
        coding: `KALES` or `YASA`, which alone tell what the number 4 means; None: unknown.
    """
    plain, _, number = plain_number(text.strip().lower()).partition("|")
    if plain.startswith("sleep stage "):
        plain, coding = plain.removeprefix("sleep "), KALES
    if plain == AMBIGUOUS:
        return {KALES: "S4", YASA: "R"}.get(coding)
    stage = _STAGES.get(plain)
    # "Stage 1 sleep|1": the number repeats the name.
    return stage if not number or stage == standard_stage(number, KALES) else None


def coding_of(texts):
    """`KALES` or `YASA` where the texts of a file tell; None where they do not, or contradict each other.

    Whoever writes REM otherwise does not mean it by 4.
    """
    texts = set(map(plain_number, texts))
    kales = bool(texts & _OF_KALES) or "R" in map(standard_stage, texts)
    yasa = bool(texts & _OF_YASA)
    return None if kales == yasa else KALES if kales else YASA


def standard_classes(classes, mapping):
    """Stage -> number of the class that a label has for it, by the names of its classes and what it maps.

    Stage 4 is of the class of stage 3 where the label has none for it.

    Args:
        classes: Names of the label's classes.
        mapping: Annotated text -> class.
    """
    texts = {**{name: name for name in classes}, **mapping}
    found = {}
    for text, name in texts.items():
        stage = standard_stage(text)
        if stage not in (None, UNSCORED):
            found.setdefault(stage, classes.index(name))
    if "N3" in found:
        found.setdefault("S4", found["N3"])
    return found

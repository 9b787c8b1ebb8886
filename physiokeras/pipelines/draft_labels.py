"""Labels of a draft: from the marks of score files, and from the columns of tables."""

import json
import re
from collections import Counter
from pathlib import Path

from physiokeras.pipelines.companions import ITSELF
from physiokeras.pipelines.modality_guesses import GUESSES
from physiokeras.pipelines.parts import RESERVED
from physiokeras.pipelines.stage_names import UNSCORED, standard_stage

_STAGES = ("W", "N1", "N2", "N3", "R")
_ABNORMAL = ("A", "a", "J", "S", "V", "E", "F")
_NORMAL = ("N", "L", "R", "e", "j")
_CLASSES = 12
_PREFIX = "Sleep stage "


def label_lines(companions, recordings):
    """Lines on the labels of score files; what is no label that a name tells stands in a comment."""
    paths = {recording.path for recording in recordings}
    taken = {*RESERVED, *GUESSES}
    for group in companions:
        if not paths & set(group.files):
            continue
        name = _free("stage" if _stages(group) else "beat" if group.is_beats else group.annotator or "label", taken)
        taken.add(name)
        lines = list(_label(group, name))
        if group.pattern == ITSELF and len(group.files) < len(recordings):
            yield f"# Only {len(group.files)} of {len(recordings)} recordings have marks; a label needs them in all."
            lines = [line if line.startswith("#") else f"# {line}" for line in lines]
        yield from (*lines, "")


def _free(name, taken):
    name = re.sub(r"\W", "", name) or "label"
    name = name if name[0].isalpha() else f"label{name}"
    return next(n for n in (name, *(f"{name}{number}" for number in range(2, 99))) if n not in taken)


def _label(group, name):
    where = f"file = {_text(group.pattern)}" if group.pattern else f'annotator = "{group.annotator}"'
    of = f"{group.name}, of {len(group.files)} recordings"
    stages, classes = _stages(group), [text for text in group.texts if standard_stage(text) != UNSCORED]
    if stages:
        yield f"# GUESS: stages, from the marks of {of}."
        yield from (f"[labels.{name}]", 'kind = "stages"', where)
        yield from _stage_lines(group, stages)
    elif group.is_beats:
        yield f"# GUESS: beats, normal against abnormal after ANSI/AAMI EC57, from the marks of {of}."
        yield from (f"[labels.{name}]", 'kind = "beats"', where)
        yield f"normal = {json.dumps(_NORMAL)}"
        yield f"abnormal = {json.dumps(_ABNORMAL)}"
    elif 1 < len(classes) <= _CLASSES and (group.lasting or group.pattern is None):
        yield f"# GUESS: spans, each until the next mark or as long as it says, from the marks of {of}."
        yield from (f"[labels.{name}]", 'kind = "spans"', where)
        yield f"classes = {_text(sorted(classes))}"
        yield f"unscored = {_text(sorted(set(group.texts) - set(classes)))}  # what stands for no class"
    else:
        texts = ", ".join(repr(text) for text, _ in group.texts.most_common(_CLASSES)) or "none"
        yield f"# Marks of {of} are no stages, beats or spans that names tell. Texts: {texts}"


def _stages(group):
    """Text -> stage, or None for what is unscored, of a group's texts; empty where they are no stages."""
    found = {text: _stage(text) for text in group.texts}
    known = {text: stage for text, stage in found.items() if stage}
    share = sum(group.texts[text] for text in known) / max(1, group.texts.total())
    return known if len({stage for stage in known.values() if stage in _STAGES}) > 1 and share > 0.2 else {}


def _stage(text):
    """A text's stage; "4 HA" is stage 4 with an event."""
    stage = standard_stage(text) or standard_stage(text.split(" ")[0])
    stage = stage or ("N3" if text.split(" ")[0] == "4" else None)
    return {"S4": "N3"}.get(stage, stage)


def _stage_lines(group, stages):
    prefix = _PREFIX if sum(group.texts[t] for t in stages if t.startswith(_PREFIX)) > group.texts.total() / 2 else ""
    bare = {text.removeprefix(prefix): stage for text, stage in stages.items()}
    if prefix:
        yield f'prefix = "{prefix}"'
    yield f"classes = {json.dumps(_STAGES)}"
    mapping = {text: stage for text, stage in bare.items() if stage in _STAGES and text != stage}
    if mapping:
        entries = ", ".join(f"{_text(text)} = {_text(stage)}" for text, stage in sorted(mapping.items()))
        yield f"mapping = {{ {entries} }}"
    unscored = sorted(text for text, stage in bare.items() if stage not in _STAGES)
    others = sorted(text for text in group.texts if text not in stages and not (prefix and not text.startswith(prefix)))
    others = [text for text in others if not (text.startswith("(") or text.endswith(")"))]
    if unscored + others:
        yield f"unscored = {_text(unscored + others)}"
    if others:
        yield "# GUESS: these texts are no stages: " + _text(others[:_CLASSES])


def _text(value):
    """A text, or a list of them, as TOML writes it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def table_lines(tables, root):
    """Commented lines on the columns of tables that name recordings."""
    for path, (columns, _, shared) in tables.items():
        if shared is None:
            continue
        where = Path(path).relative_to(root).as_posix()
        yield f"# {where} names recordings in its column {json.dumps(shared)}. Labels by recording may come from there:"
        for name, cells in columns.items():
            values = Counter(cell for cell in cells if cell)
            if name == shared or not re.fullmatch(r"[A-Za-z][\w-]*", name) or len(values) < 2:
                continue
            numbers = len(values) > 2 and all(re.fullmatch(r"[-+.\deE]+", cell) for cell in values)
            kind = "number" if numbers else "class"
            if kind == "class" and len(values) > _CLASSES:
                continue
            key = f', key = "{shared}"' if shared.lower() != "record" else ""
            yield f'#   labels.{name} = {{ kind = "{kind}", table = "{where}"{key} }}  # {", ".join(list(values)[:4])}'
        yield ""

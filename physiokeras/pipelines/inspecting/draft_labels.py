"""Labels of a draft: from the marks of score files, and from the columns of tables."""

import fnmatch
import json
import re
from collections import Counter
from pathlib import Path

from physiokeras.pipelines.definitions.parts import RESERVED
from physiokeras.pipelines.inspecting.modality_guesses import GUESSES
from physiokeras.pipelines.scores.score_files import escaped, is_event
from physiokeras.pipelines.scores.score_marks import EVENT
from physiokeras.pipelines.scores.stage_names import AMBIGUOUS, KALES, UNSCORED, coding_of, standard_stage
from physiokeras.wording import counted

_STAGES = ("W", "N1", "N2", "N3", "R")
_ABNORMAL = ("A", "a", "J", "S", "V", "E", "F")
_NORMAL = ("N", "L", "R", "e", "j")
_CLASSES = 12
_SHARE = 0.2
_PREFIX = "Sleep stage "


def label_lines(companions, recordings):
    """Lines on the labels of score files; marks without a known name become comments."""
    paths = {recording.path for recording in recordings}
    taken = {*RESERVED, *GUESSES}
    for group in companions:
        if not paths & set(group.files):
            continue
        name = _free("stage" if _stages(group) else "beat" if group.is_beats else group.annotator or "label", taken)
        taken.add(name)
        lines = list(_label(group, name))
        if _is_partial(group, recordings):
            yield f"# Only {len(group.files)} of {len(recordings)} recordings have marks; a label needs them in all."
            lines = [line if line.startswith("#") else f"# {line}" for line in lines]
        yield from (*lines, "")


def scored(companions, recordings):
    """Paths of the recordings that have scores of any label that is no comment."""
    groups = (group for group in companions if not _is_partial(group, recordings))
    labels = (group for group in groups if any(line.startswith("[labels.") for line in _label(group, "x")))
    return {path for group in labels for path in group.files}


def _is_partial(group, recordings):
    """Whether marks lie inside some recordings alone."""
    return group.inside and len(group.files) < len(recordings)


def _free(name, taken):
    name = re.sub(r"\W", "", name) or "label"
    name = name if name[0].isalpha() else f"label{name}"
    return next(n for n in (name, *(f"{name}{number}" for number in range(2, 99))) if n not in taken)


def _label(group, name):
    where = f"file = {quoted(group.pattern)}" if group.pattern else f'annotator = "{group.annotator}"'
    of = f"{quoted(group.name)}, of {counted(len(group.files), 'recording')}"
    stages, classes = _stages(group), [text for text in group.texts if standard_stage(text) != UNSCORED]
    if stages:
        yield f"# GUESS: stages, from the marks of {of}."
        yield from (f"[labels.{name}]", 'kind = "stages"', where)
        yield from _stage_lines(group, stages)
        yield from _event_lines(group, where)
    elif group.is_beats:
        yield f"# GUESS: beats, normal against abnormal after ANSI/AAMI EC57, from the marks of {of}."
        yield from (f"[labels.{name}]", 'kind = "beats"', where)
        yield f"normal = {json.dumps(_NORMAL)}"
        yield f"abnormal = {json.dumps(_ABNORMAL)}"
    elif 1 < len(classes) <= _CLASSES and (group.lasting or group.pattern is None):
        yield f"# GUESS: spans, each until the next mark or as long as it says, from the marks of {of}."
        yield from (f"[labels.{name}]", 'kind = "spans"', where)
        yield f"classes = {quoted(sorted(classes))}"
        yield f"unscored = {quoted(sorted(set(group.texts) - set(classes)))}  # what stands for no class"
    else:
        texts = quoted([text for text, _ in group.texts.most_common(_CLASSES)])
        yield f"# Marks of {of} are no stages, beats or spans that names tell. Texts: {texts}"


def _stages(group):
    """Text -> stage of a group's texts, with the prefix of EDF+; empty where they are no stages."""
    coding = _coding(group.texts)
    found = {text: _stage(text, coding) for text in group.texts}
    known = {text: stage for text, stage in found.items() if stage}
    share = sum(group.texts[text] for text in known) / max(1, group.texts.total())
    return known if len({stage for stage in known.values() if stage in _STAGES}) > 1 and share > _SHARE else {}


def _stage(text, coding):
    """A text's stage; "4 HA" is stage 4 with an event."""
    stage = standard_stage(text, coding) or standard_stage(text.split(" ")[0], coding)
    return {"S4": "N3"}.get(stage, stage)


def _coding(texts):
    """Meaning of the numbers of stages; beside letters, such as W and R, they are those of Rechtschaffen and Kales."""
    return KALES if {"W", "R"} & set(texts) else coding_of(texts)


def _stage_lines(group, stages):
    """Keys of a label of stages besides those that say where they are."""
    prefix = _PREFIX if sum(group.texts[t] for t in stages if t.startswith(_PREFIX)) > group.texts.total() / 2 else ""
    if prefix:
        yield f'prefix = "{prefix}"'
    yield f"classes = {quoted(_STAGES)}"
    mapping, unscored = {}, []
    for text, stage in stages.items():
        bare = text.removeprefix(prefix)
        if standard_stage(bare) and bare != AMBIGUOUS:
            continue  # known without being told
        name = bare if standard_stage(bare, KALES) else f"{bare.split(' ')[0]} *"
        if stage in _STAGES:
            mapping[name] = stage
        elif name not in unscored:
            unscored.append(name)
    if mapping:
        yield f"mapping = {{ {', '.join(f'{quoted(name)} = {quoted(mapping[name])}' for name in sorted(mapping))} }}"
    if unscored:
        yield f"unscored = {quoted(unscored)}"
    others = [text for (symbol, text) in group.marks if text and symbol != EVENT and text not in stages]
    others = [text for text in dict.fromkeys(others) if not is_event(text) and text.startswith(prefix)]
    if AMBIGUOUS in others:
        others.remove(AMBIGUOUS)
        yield '# Say what 4 is: `mapping = { 4 = "N3" }` by Rechtschaffen and Kales, `{ 4 = "R" }` by YASA.'
    if others:
        yield f"ignore = {quoted([escaped(text) for text in others])}  # GUESS: no stages"


def _event_lines(group, where):
    """Commented labels of events that a name tells."""
    for name, word in (("apnea", "*pnea*"), ("arousal", "*arousal*")):
        found = [text for text in group.texts if fnmatch.fnmatchcase(text.lower(), word) and not is_event(text)]
        if found and (group.lasting or group.pattern):
            yield f"# Windows with an event, such as {quoted(found[0])}, would be labelled by:"
            yield f'#   [labels.{name}]\n#   kind = "events"\n#   {where}\n#   events = ["{word}"]'


def quoted(value):
    """A text, or a list of them, as TOML writes it."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def table_lines(tables, root):
    """Commented lines on the columns of tables that name recordings."""
    for path, (columns, _, shared) in tables.items():
        if shared is None:
            continue
        where = quoted(Path(path).relative_to(root).as_posix())
        yield f"# {where} names recordings in its column {quoted(shared)}. Labels by recording may come from there:"
        for name, cells in columns.items():
            values = Counter(cell for cell in cells if cell)
            if name == shared or not re.fullmatch(r"[A-Za-z][\w-]*", name) or len(values) < 2:
                continue
            numbers = len(values) > 2 and all(re.fullmatch(r"[-+.\deE]+", cell) for cell in values)
            kind = "number" if numbers else "class"
            if kind == "class" and len(values) > _CLASSES:
                continue
            key = f", key = {quoted(shared)}" if shared.lower() != "record" else ""
            yield f'#   labels.{name} = {{ kind = "{kind}", table = {where}{key} }}  # {quoted(list(values)[:4])}'
        yield ""

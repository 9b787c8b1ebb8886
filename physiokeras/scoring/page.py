"""The page of a scored folder, and its table of all records."""

import base64
import math
from collections.abc import Iterator
from pathlib import Path

import jinja2

from physiokeras.evaluation.how_to_read import shares_found
from physiokeras.experiments.reports import CAUTION
from physiokeras.experiments.training_set import described
from physiokeras.figures.scored_night import STAGE_COLOURS, thumbnail
from physiokeras.files import write_atomic, write_csv
from physiokeras.scoring import record_files
from physiokeras.scoring.statistics import is_staging

PAGE, TABLE, EVENTS = "index.html", "statistics.csv", "events.csv"

COLUMNS = (
    ("tst", "sleep, min"), ("se_percent", "efficiency, %"), ("sol", "onset, min"), ("waso", "WASO, min"),
    ("rem_latency", "REM latency, min"), ("awakenings", "awakenings"),
)  # fmt: skip
"""Sleep statistics that the page shows; the table has all."""


def write(out, model, digest, found):
    """Write `index.html`, `statistics.csv` and `events.csv` of all records of a model in a folder of scores.

    Args:
        out: The folder.
        model: `TrainedModel`.
        digest: Its digest; records of other models are left out, and counted.
        found: Facts of all records in the folder; see `FolderWork.facts`.

    Returns: path of the page.
    """
    own = [facts for facts in found if (facts.get("model") or {}).get("digest") == digest]
    scored = sorted((facts for facts in own if "set_aside" not in facts), key=distrust)
    set_aside = [facts for facts in own if "set_aside" in facts]
    write_csv(Path(out) / TABLE, table(sorted(own, key=lambda facts: facts["record"])))
    rows = events(sorted(scored, key=lambda facts: facts["record"]))
    if len(rows) > 1:
        write_csv(Path(out) / EVENTS, rows)
    else:  # one of an earlier scoring would be taken for this one's
        (Path(out) / EVENTS).unlink(missing_ok=True)
    agreed = sorted(_names(scored, "agreement"), key=lambda task: task != "stage")
    text = _template().render(
        model=model,
        card=model.card,
        expected=list(expected(model.card.get("scores", {}), model.heads)),
        columns=COLUMNS,
        rows=[_row(out, facts, agreed) for facts in scored],
        set_aside=set_aside,
        unknown=sum(facts["seen"] is None for facts in scored),
        others=len(found) - len(own),
        caution=CAUTION if model.definition.name == "simulated" else None,
        colours=STAGE_COLOURS,
        stages=_stages(scored),
        event_tasks=_names(scored, "events"),
        fine_tasks={task for facts in scored for task in record_files.finer(facts)},
        value_tasks=_names(scored, "value"),
        scorer_tasks=agreed,
        scorer=bool(agreed),
    )
    write_atomic(Path(out) / PAGE, text)
    return Path(out) / PAGE


def expected(scores, heads):
    """Yields a sentence for each task with classes on how the model's run scored on people whom it had not seen.

    Args:
        scores: The run's scores, as in `TrainedModel.card`; the first column is the model's own.
        heads: Task name to `Head`.
    """
    own = next((column for column in scores.values() if isinstance(column, dict)), {})
    for task, head in heads.items():
        found = own[task].get("windows", {}) if isinstance(own.get(task), dict) else {}
        if not head.task.classes or found.get("kappa") is None or not found.get("confusion"):
            continue
        shares = shares_found(head.task.classes, found["confusion"])
        interval = own[task].get("intervals", {}).get("kappa")
        between = f" [{interval[0]:.2f}, {interval[1]:.2f}]" if interval and None not in interval else ""
        yield (
            f"{task}: kappa {found['kappa']:.2f}{between}, balanced accuracy {found['balanced_accuracy']:.2f} on "
            f"{found['windows']:,} windows; found of each class: {shares}"
        )


def distrust(facts):
    """Sorting key of scored records, the most doubtful first."""
    return -len(facts["doubts"]), -(facts["distance"] or math.inf), facts["record"]


def table(records):
    """Rows of `statistics.csv`, a record each, below a header.

    Args:
        records: Contents of the JSON files.

    Returns: list of tuples; minutes and percent as in `sleep_statistics`, a scorer's with the prefix `scorer_`.
    """
    cells = [dict(_cells(facts)) for facts in records]
    names = list(dict.fromkeys(name for row in cells for name in row)) or ["record"]
    return [tuple(names), *(tuple(row.get(name, "") for name in names) for row in cells)]


def events(records):
    """Rows of `events.csv`, each an event or a run of windows with one, below a header.

    Args:
        records: Contents of the JSON files of scored records.

    Returns: list of tuples: record, task, event, "model" or "scorer", onset, duration and their resolution in seconds,
        the predicted stage of the first window ("" where unknown), mean probability.
    """
    rows = [("record", "task", "event", "by", "onset", "duration", "resolution", "stage", "probability")]
    for facts in records:
        for task, one in facts["tasks"].items():
            step = one.get("resolution", facts.get("window", 0))  # records of earlier versions have none
            for who, key in (("model", "events"), ("scorer", "scorer_events")):
                for found in one.get(key, ()):
                    chance = _number(found["probability"]) if who == "model" else ""
                    times = tuple(f"{value:g}" for value in (found["onset"], found["duration"], step))
                    rows.append((facts["record"], task, found["name"], who, *times, found.get("stage", ""), chance))
    return rows


def _cells(facts) -> Iterator[tuple[str, object]]:
    yield "record", facts["record"]
    if "set_aside" in facts:
        yield "set_aside", facts["set_aside"]
        return
    yield "seen_in", facts["seen"] or "unknown"
    for name in ("hours", "quality", "distance", "confidence"):
        yield name, _number(facts[name])
    yield "missing", " ".join(name for name, share in facts["modalities"].items() if share == 0)
    yield "doubts", "; ".join(facts["doubts"])
    for task, one in facts["tasks"].items():
        prefix = "" if task == "stage" else f"{task}_"
        for name, value in one.get("statistics", {}).items():
            yield prefix + name, _number(value)
        for name, value in one.get("scorer", {}).items():
            yield f"{prefix}scorer_{name}", _number(value)
        if "events" in one:
            yield f"{task}_events", len(one["events"])
            yield f"{task}_per_hour", _number(one["per_hour"])
            yield f"{task}_minutes", _number(sum(event["duration"] for event in one["events"]) / 60)
        if "scorer_events" in one:
            yield f"{task}_scorer_events", len(one["scorer_events"])
        for name, value in one.get("agreement", {}).items():
            yield f"{task}_{name}", _number(value)
        if "value" in one:
            yield task, _number(one["value"])
            yield f"{task}_scorer", _number(one["scorer_value"]) if "scorer_value" in one else ""


def _row(out, facts, agreed):
    """Values that the template shows of a record; `agreed` are the tasks that a scorer has scored too."""
    staged = next(((task, one) for task, one in facts["tasks"].items() if is_staging(one["classes"])), None)
    row = {**facts, "seen_text": described(facts["seen"]), "picture": None, "statistics": {}, "agreement": {}}
    files, name = record_files.of_scores(out), facts["record"]
    row["files"] = [kind for kind in (*files.kinds, "json") if files.path(name, kind).is_file()]
    if staged:
        task, one = staged
        probabilities = record_files.read_probabilities(files.path(name, "csv"), task, one["classes"])
        image = thumbnail(probabilities, one["classes"])
        row |= {"picture": base64.b64encode(image).decode(), "statistics": one["statistics"]}
    if agreed:
        row["agreement"] = facts["tasks"].get(agreed[0], {}).get("agreement", {})
    return row


def _stages(scored):
    for facts in scored:
        for one in facts["tasks"].values():
            if "statistics" in one:
                return one["classes"]
    return []


def _names(scored, key):
    """Names of the tasks of which any record has `key`."""
    return list(dict.fromkeys(task for facts in scored for task, one in facts["tasks"].items() if key in one))


def _number(value):
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else ""
    return "" if value is None else value


def _template():
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["figures"] = lambda value, digits=0: "" if value is None else f"{value:.{digits}f}"
    return environment.get_template("page.html")

"""Search by KerasTuner, and the score of one trial, which the grid also uses."""

import json
import shutil
from dataclasses import replace

import keras
import keras_tuner

from physiokeras.errors import TrainingError
from physiokeras.evaluation.evaluate import score_task
from physiokeras.evaluation.extraction import features_of
from physiokeras.evaluation.probe import Probe
from physiokeras.evaluation.scores import with_chance
from physiokeras.experiments import devices, reports, training
from physiokeras.experiments.build import build_model, compile_model
from physiokeras.experiments.cohort import training_splits
from physiokeras.experiments.training_settings import probe_options
from physiokeras.figures import search_scores
from physiokeras.figures.style import save
from physiokeras.files import write_atomic, write_csv
from physiokeras.markdown import markdown_table
from physiokeras.models import FeatureExtractor
from physiokeras.search.tuner_state import check_search

SCORE = "balanced accuracy on validation people"
BUDGET = 9
"""Hyperband's largest budget: trials train for 1/9, 1/3 and all of the steps."""

_TUNERS = {
    "random": keras_tuner.RandomSearch,
    "bayesian": keras_tuner.BayesianOptimization,
    "hyperband": keras_tuner.Hyperband,
}


def score(run, folder, settings, task, manifest):
    """Pretrain with these settings, probe, and return the balanced accuracy on validation people.

    The strength of the probe is chosen on the same people, from the same few values in all trials. Scores are therefore
    slightly too high for new people, but comparable between trials.

    Args:
        run: `Run` of the search.
        folder: The trial's folder. A finished trial is not repeated; an interrupted trial resumes.
        settings: The trial's settings.
        task: `Task`.
        manifest: `Manifest`.

    Returns: float.
    """
    done = folder / "score.json"
    if done.exists():
        return json.loads(done.read_text())["score"]
    folder.mkdir(parents=True, exist_ok=True)
    keras.utils.clear_session()
    with devices.sharing(settings):
        model, splits = build_model(settings, manifest), training_splits(settings, manifest)
        training.adapt(model, manifest, settings, splits)
        compile_model(model, settings)
        training.fit(model, manifest, settings, run, splits, folder=folder)
    extractor = FeatureExtractor(model.encoder, settings.pooling)
    found = features_of(extractor, manifest, ("train", "validation"))
    train, validation = (
        found[split].with_context(settings.context, settings.context_mode) for split in ("train", "validation")
    )
    probe = Probe.fit(task, train, validation, **probe_options(settings))
    predicted = probe.predict_proba(validation.values)
    value = score_task(task, validation, predicted, draws=0).windows["balanced_accuracy"]
    write_atomic(done, json.dumps({"score": value, "steps": settings.steps}) + "\n")
    shutil.rmtree(folder / "checkpoints")  # the checkpoints of many trials would fill the disk
    return value


def search(run, dimensions, task, manifest, settings):
    """Run trials that KerasTuner chooses; write a table and a figure of their scores.

    Args:
        run: `Run` of the search.
        dimensions: list of `Dimension`.
        task: `Task`.
        manifest: `Manifest`.
        settings: The command's settings.

    Raises:
        TrainingError: Every trial failed.
    """
    folder = run.folder
    check_search(folder, "tuner")
    space = keras_tuner.HyperParameters()
    for dimension in dimensions:
        dimension.declare(space)
    names = [dimension.name for dimension in dimensions]

    def values(trial):
        """Values of a trial, rounded: sums of steps give numbers such as 0.9000000000000001."""
        found = {name: trial.hyperparameters.values[name] for name in names}
        return {name: round(value, 9) if isinstance(value, float) else value for name, value in found.items()}

    class Search(_TUNERS[settings.tuner]):
        def run_trial(self, trial, **_):
            share = trial.hyperparameters.values.get("tuner/epochs", BUDGET) / BUDGET
            own = replace(settings, **values(trial))
            own = replace(own, steps=max(1, round(own.steps * share)))
            text = ", ".join(f"{name} {value}" for name, value in values(trial).items())
            print(f"Trial {trial.trial_id}: {text}, {own.steps} steps", flush=True)
            return {"score": score(run, folder / "trials" / trial.trial_id, own, task, manifest)}

    size = {"max_epochs": BUDGET} if settings.tuner == "hyperband" else {"max_trials": settings.trials}
    tuner = Search(
        objective=keras_tuner.Objective("score", "max"),
        hyperparameters=space,
        directory=folder,
        project_name="tuner",
        seed=settings.seed,
        **size,
    )
    tuner.search(verbose=0)
    found = [
        {**values(trial), "steps": _steps(folder, trial), "score": trial.score}
        for trial in tuner.oracle.trials.values()
        if trial.score is not None
    ]
    if not found:
        raise TrainingError("every trial failed; the messages above say why.")
    report(run, found, names, manifest, score_title(task))


def _steps(folder, trial):
    return json.loads((folder / "trials" / trial.trial_id / "score.json").read_text())["steps"]


def score_title(task):
    """Name of a trial's score, with what guessing gives."""
    return with_chance(SCORE, "balanced_accuracy", len(task.classes))


def report(run, found, names, manifest, title):
    """Print the trials, best first; write the table and the figure to the run folder.

    Args:
        run: `Run` of the search.
        found: list of dicts of the searched settings, `steps` and `score`.
        names: Names of the searched settings.
        manifest: `Manifest`.
        title: Name of the score.
    """
    found = sorted(found, key=lambda trial: trial["score"], reverse=True)
    write_csv(run.folder / "trials.csv", [list(found[0]), *(trial.values() for trial in found)])
    figure = search_scores.trials(
        {name: [trial[name] for trial in found] for name in names},
        [trial["score"] for trial in found],
        name=title,
        note=reports.note_of(manifest),
    )
    save(figure, run.folder / "trials.png")
    rows = [[*names, "steps", title]]
    rows += [[*(_text(trial[name]) for name in names), str(trial["steps"]), f"{trial['score']:.3f}"] for trial in found]
    reports.publish(run.folder, [markdown_table(rows)], manifest)
    run.note(best=found[0])


def _text(value):
    return f"{value:.3g}" if isinstance(value, float) else str(value)

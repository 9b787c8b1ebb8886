"""Fine-tune a saved encoder on labels: encoder and linear layer train together from the pretrained weights.

    python -m physiokeras.recipes.finetune --run runs/pretrain-1 --data PREPARED --task stage
    python -m physiokeras.recipes.finetune --resume runs/finetune-1

Training ends where the validation people's loss no longer falls, and the weights of its lowest point are kept and
scored on the test people beside a probe of the frozen encoder. Modalities that the data lack are absent.
"""

import shlex
from dataclasses import dataclass

from physiokeras.errors import DataError
from physiokeras.experiments import exit_status, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import read, setting
from physiokeras.experiments.training_settings import OptimizerSettings, ProbeSettings
from physiokeras.seeds import derive

FREE = ("data", "run", "checkpoint_every")
"""Settings that may differ when a run is resumed: the data are compared by their hash, the model by its weights."""


@dataclass(frozen=True)
class Settings(ProbeSettings, OptimizerSettings):
    """Which model is fine-tuned on which labels, and how."""

    run: str = setting(help="run folder of a command that trains, whose model is fine-tuned", group="data")
    data: str = setting(help="folder that `prepare` made, with people in train, validation and test", group="data")
    task: str | None = setting(None, "label that is learned; none given: the first with a class a window", "data")
    steps: int = setting(1000, "most training steps", "training")
    interval: int = setting(50, "steps between two looks at the validation people", "training")
    patience: int = setting(5, "looks without a lower loss after which training ends", "training")
    warmup: float = setting(0.1, "share of the steps in which the learning rate rises", "training")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="python -m physiokeras.recipes.finetune", description=__doc__.split("\n")[0])
    use(settings.backend)
    import keras

    from physiokeras.evaluation import extraction, folds, probe_report
    from physiokeras.evaluation.evaluate import probe_task, score_task
    from physiokeras.evaluation.features import some_people
    from physiokeras.experiments import supervised
    from physiokeras.experiments.training_settings import probe_options
    from physiokeras.models import FeatureExtractor, digest, save
    from physiokeras.pipelines import Manifest
    from physiokeras.recipes.probe import saved_encoder

    if settings.context:
        raise SystemExit("Fine-tuning sees one window at a time: leave --context out.")
    manifest = Manifest.read(settings.data)
    missing = [split for split in extraction.SPLITS if split not in manifest.splits]
    if missing:
        raise DataError(f"no people in the split {', '.join(missing)}; fine-tuning needs them.", file=manifest.folder)
    task, encoder = folds.task_of(manifest, settings.task), saved_encoder(settings.run, manifest)
    began_with = digest(encoder)
    facts = {"data_hash": f"{manifest.data_hash} and encoder {began_with}", "resume": settings.resume is not None}
    with run_folder.start(settings, recipe="finetune", free=FREE, accept=settings.accept, **facts) as folder:
        extractor = FeatureExtractor(encoder, settings.pooling)
        features = extraction.features_of(extractor, manifest)
        frozen = probe_task(task, *(features[split] for split in extraction.SPLITS), **probe_options(settings))
        people, classes = labels_of(manifest, task, "train")
        chosen = some_people(people, classes, settings.label_share, probe_options(settings)["seed"])
        keras.utils.set_random_seed(derive(settings.seed, "initial weights"))  # of the linear layer
        network = supervised.fit(
            encoder,
            task,
            manifest,
            settings,
            folder,
            steps=settings.steps,
            interval=min(settings.interval, settings.steps),
            records=manifest.records_of(set(chosen.tolist())),
            validation=manifest.records_of(set(labels_of(manifest, task, "validation")[0].tolist())),
            advice=f"Go on with: python -m physiokeras.recipes.finetune --resume {shlex.quote(str(folder))}",
            name="finetune",
            class_weight=settings.class_weight,
        )
        test = extraction.features_of_windows(network.extractor, manifest, "test")
        tuned = score_task(task, test, supervised.predict_proba(network, test.values), seed=settings.seed)
        kept = {"data_hash": manifest.data_hash, "pooling": settings.pooling}
        save(network, folder / "model", definition=manifest.definition, **kept)
        probe_report.report(
            folder, {"fine-tuned": {task.name: tuned}, "frozen probe": {task.name: frozen}}, manifest, {}
        )
    return 0


def labels_of(manifest, task, split):
    """Person and class of each class that occurs in a record of a split, `(pairs,)` each."""
    import numpy as np

    pairs = [
        (record.person, index)
        for record in manifest.select(split)
        for index in manifest.value_counts(record, task.label)
    ]
    if not pairs:
        message = f"no window of the split {split} has the label {task.label!r}."
        raise DataError(message, file=manifest.folder)
    people, classes = zip(*pairs, strict=True)
    return np.array(people), np.array(classes)


if __name__ == "__main__":
    exit_status.run(main)

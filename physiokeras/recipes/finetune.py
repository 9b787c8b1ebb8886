"""Fine-tune a saved encoder on labels: encoder and linear layer train together from the pretrained weights.

    python -m physiokeras.recipes.finetune --run runs/pretrain-1 --data PREPARED --task stage
    python -m physiokeras.recipes.finetune --resume runs/finetune-1

Training ends where the validation people's loss no longer falls, and the weights of its lowest point are kept and
scored on the test people beside a probe of the frozen encoder. Modalities that the data lack are absent.
"""

import shlex
from dataclasses import dataclass

from physiokeras.errors import DataError
from physiokeras.recipes import program, run
from physiokeras.recipes.backend import use
from physiokeras.recipes.experiment import OptimizerSettings, ProbeSettings
from physiokeras.recipes.settings import read, setting
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

    from physiokeras.analysis.features import some_people
    from physiokeras.analysis.probe_task import probe_task, score_task
    from physiokeras.models import FeatureExtractor, digest, save
    from physiokeras.pipelines import Manifest
    from physiokeras.recipes import folds, probing, supervised
    from physiokeras.recipes.experiment import probe_options
    from physiokeras.recipes.probe import saved_encoder

    if settings.context:
        raise SystemExit("Fine-tuning sees one window at a time: leave --context out.")
    manifest = Manifest.read(settings.data)
    missing = [split for split in probing.SPLITS if split not in manifest.splits]
    if missing:
        raise DataError(f"no people in the split {', '.join(missing)}; fine-tuning needs them.", file=manifest.folder)
    task, encoder = folds.task_of(manifest, settings.task), saved_encoder(settings.run, manifest)
    began_with = digest(encoder)
    facts = {"data_hash": f"{manifest.data_hash} and encoder {began_with}", "resume": settings.resume is not None}
    with run.start(settings, recipe="finetune", free=FREE, accept=settings.accept, **facts) as folder:
        extractor = FeatureExtractor(encoder, settings.pooling)
        features = probing.features_of(extractor, manifest)
        frozen = probe_task(task, *(features[split] for split in probing.SPLITS), **probe_options(settings))
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
            records=folds.records_of(manifest, set(chosen.tolist())),
            validation=folds.records_of(manifest, set(labels_of(manifest, task, "validation")[0].tolist())),
            advice=f"Go on with: python -m physiokeras.recipes.finetune --resume {shlex.quote(str(folder))}",
            name="finetune",
            class_weight=settings.class_weight,
        )
        test = probing.features_of_windows(network.extractor, manifest, "test")
        tuned = score_task(task, test, supervised.predict_proba(network, test.values), seed=settings.seed)
        kept = {"data_hash": manifest.data_hash, "pooling": settings.pooling}
        save(network, folder / "model", definition=manifest.definition, **kept)
        probing.report(folder, {"fine-tuned": {task.name: tuned}, "frozen probe": {task.name: frozen}}, manifest, {})
    return 0


def labels_of(manifest, task, split):
    """Person and class of each class that occurs in a record of a split, `(pairs,)` each."""
    import numpy as np

    from physiokeras.recipes.folds import class_counts

    pairs = [
        (record["person"], index) for record in manifest.select(split) for index in class_counts(record, task.label)
    ]
    if not pairs:
        message = f"no window of the split {split} has the label {task.label!r}."
        raise DataError(message, file=manifest.folder)
    people, classes = zip(*pairs, strict=True)
    return np.array(people), np.array(classes)


if __name__ == "__main__":
    program.run(main)

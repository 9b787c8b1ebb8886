"""Fine-tune a saved encoder on labels: encoder and linear layer are trained together from the pretrained weights.

    physiokeras finetune --run runs/pretrain-1 --data PREPARED --task stage
    physiokeras finetune --resume runs/finetune-1

Training ends when the validation loss stops falling. The weights with the lowest validation loss are kept and scored on
the test people, in comparison with a probe of the frozen encoder. Modalities that the data lack are absent.
"""

from dataclasses import asdict, dataclass

from physiokeras.errors import DataError
from physiokeras.experiments import exit_status, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import read, setting
from physiokeras.experiments.training_settings import OptimizerSettings, ProbeSettings, SubsetSettings, probe_options


@dataclass(frozen=True)
class Settings(SubsetSettings, ProbeSettings, OptimizerSettings):
    """Settings of fine-tuning: model, data, labels and training."""

    run: str = setting(
        help="run folder of the model, the name of a preset, or hf://USER/NAME",
        group="data",
        role="place",
        holds="model",
    )
    data: str = setting(
        help="folder that `prepare` wrote, with people in train, validation and test",
        group="data",
        role="place",
        holds="prepared",
    )
    task: str | None = setting(
        None, "label to learn; none: the first label with a class for each window", "data", "result"
    )
    scratch: bool = setting(
        False,
        "begin with new weights instead of the run's: supervised training of the same encoder",
        "training",
        "training",
    )
    steps: int = setting(1000, "greatest number of training steps", "training", "training", within="[1, inf)")
    interval: int = setting(
        50, "number of steps between evaluations of the validation loss", "training", "training", within="[1, inf)"
    )
    patience: int = setting(
        5, "number of evaluations without a lower loss after which training ends", "training", "training",
        alias="early_stopping", within="[1, inf)",
    )  # fmt: skip
    warmup: float = setting(
        0.1, "share of the steps over which the learning rate rises linearly", "training", "training", within="[0, 1]"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.context:
            raise ValueError("Fine-tuning reads one window at a time: omit --context.")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras finetune", description=__doc__.split("\n")[0])
    run_folder.refuse_taken(settings, settings.resume is not None)
    use(settings.backend)
    from physiokeras.evaluation import extraction, folds, missing_modalities, probe_report
    from physiokeras.evaluation.evaluate import probe_task, score_task
    from physiokeras.experiments import devices, supervised, training_set
    from physiokeras.experiments.build import build_network, untrained
    from physiokeras.experiments.compatibility import laid_out
    from physiokeras.experiments.saved_models import located, model_folder
    from physiokeras.figures import pretraining_run
    from physiokeras.models import FeatureExtractor, digest, save
    from physiokeras.models.saving import metadata
    from physiokeras.pipelines import Manifest
    from physiokeras.recipes.probe import saved_encoder

    devices.check(settings)
    source = located(settings.run)
    manifest = laid_out(Manifest.read(settings.data), metadata(model_folder(source)).get("definition"))
    task = folds.task_of(manifest, settings.task)
    learners = records_to_learn_from(manifest, task, settings)
    with devices.sharing(settings):
        encoder = saved_encoder(source, manifest)
    data_hash = f"{manifest.data_hash} and encoder {digest(encoder)}"
    with run_folder.start(settings, recipe="finetune", data_hash=data_hash, resume=settings.resume is not None) as run:
        extractor = FeatureExtractor(encoder, settings.pooling)
        features = extraction.features_of(extractor, manifest)
        frozen = probe_task(task, *(features[split] for split in extraction.SPLITS), **probe_options(settings))
        with devices.sharing(settings):
            begin = untrained(encoder, settings.seed) if settings.scratch else encoder
            network = build_network(settings, manifest, task, begin)
            network = supervised.fit(network, task, manifest, settings, run, **learners)
        test = extraction.features_of_windows(network.extractor, manifest, "test")
        tuned = score_task(task, test, supervised.predict_proba(network, test.values), seed=settings.seed)
        kept = {"data_hash": manifest.data_hash, "pooling": settings.pooling, "tasks": [asdict(task)]}
        kept["seen"] = training_set.seen(manifest, earlier=None if settings.scratch else model_folder(source))
        save(network, run.folder / "model", definition=manifest.definition, **kept)
        if settings.subset_maps:
            missing_modalities.save_maps(run.folder, network.extractor, manifest)
        pretraining_run.draw_all(run.folder, network, network.extractor, manifest, {task.name: tuned})
        title = "supervised" if settings.scratch else "fine-tuned"
        probe_report.report(run, {title: {task.name: tuned}, "frozen probe": {task.name: frozen}}, manifest, {})
    return 0


def records_to_learn_from(manifest, task, settings):
    """Names of the records that a network is trained on, and of those that validate it.

    Returns: dict of `records`, those of the labelled share of the training people, and `validation`.

    Raises:
        DataError: A split without people or without labels, or fewer windows than a batch.
    """
    from physiokeras.evaluation import extraction
    from physiokeras.evaluation.features import some_people
    from physiokeras.pipelines.prepared.selection import Selection

    missing = [split for split in extraction.SPLITS if split not in manifest.splits]
    if missing:
        raise DataError(
            f"there are no people in the split {', '.join(missing)}; fine-tuning needs them.", file=manifest.folder
        )
    people, classes = labels_of(manifest, task, "train")
    validation, _ = labels_of(manifest, task, "validation")
    chosen = some_people(people, classes, settings.label_share, probe_options(settings)["seed"])
    records = manifest.records_of(set(chosen.tolist()))
    Selection.of(manifest, None, records, None, (), (0, 1)).steps(settings.batch_size)
    return {"records": records, "validation": manifest.records_of(set(validation.tolist()))}


def labels_of(manifest, task, split):
    """People and classes, `(pairs,)` each: one pair for each class that occurs in a record of a split."""
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

"""Probe a saved model on prepared data of its own or of another data set.

    physiokeras probe --run runs/pretrain-1 --data PREPARED

The encoder is frozen; a linear layer is fitted on its features for every label of the data. Modalities that the data
lack are absent. The same encoder untrained is probed for comparison. With people in the splits train and test, the test
people are scored; without, each person in turn, by a probe fitted on all others. `extract` can read the run folder.
"""

from dataclasses import dataclass

from physiokeras.experiments import exit_status, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.build import untrained
from physiokeras.experiments.settings import read, setting
from physiokeras.experiments.training_settings import ProbeSettings, SubsetSettings


@dataclass(frozen=True)
class Settings(SubsetSettings, ProbeSettings):
    """Settings of probing: model, data and probes."""

    run: str = setting(
        help="run folder of the model, the name of a preset, or hf://USER/NAME",
        group="data",
        role="place",
        holds="model",
    )
    data: str = setting(help="folder that `prepare` wrote", group="data", role="place", holds="prepared")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras probe", description=__doc__.split("\n")[0])
    run_folder.refuse_taken(settings)
    use(settings.backend)
    from physiokeras.evaluation import extraction, leave_one_person_out, missing_modalities, probe_report
    from physiokeras.experiments.compatibility import laid_out
    from physiokeras.experiments.saved_models import located, model_folder
    from physiokeras.models import FeatureExtractor
    from physiokeras.models.saving import metadata
    from physiokeras.pipelines import Manifest

    manifest = Manifest.read(settings.data)
    by_person = not {"train", "test"} <= manifest.splits.keys()
    if by_person:
        leave_one_person_out.check(manifest)
    source = located(settings.run)
    manifest = laid_out(manifest, metadata(model_folder(source)).get("definition"))
    encoder = saved_encoder(source, manifest)
    with run_folder.start(settings, recipe="probe", data_hash=manifest.data_hash) as run:
        encoders = {"pretrained": encoder, "untrained": untrained(encoder, settings.seed)}
        extractors = {title: FeatureExtractor(one, settings.pooling) for title, one in encoders.items()}
        if by_person:
            found = {title: extraction.features_of_windows(one, manifest) for title, one in extractors.items()}
            scores = leave_one_person_out.probe_each_person(found, manifest, settings)
            leave_one_person_out.report(run, scores, manifest)
            return 0
        columns = {}
        for title, extractor in extractors.items():
            columns[title], left_out = probe_report.probe_encoder(extractor, manifest, settings)
        probe_report.save_all(
            run.folder,
            extractors["pretrained"],
            manifest,
            columns["pretrained"],
            settings.pooling,
            earlier=model_folder(source),
        )
        if settings.subset_maps:
            missing_modalities.save_maps(run.folder, extractors["pretrained"], manifest)
        own = columns["pretrained"]
        without = missing_modalities.scores_without_each(extractors["pretrained"], manifest, own, run.folder)
        columns["band power"], _ = probe_report.probe_band_powers(list(encoder.modalities), manifest, settings)
        probe_report.report(run, columns, manifest, {}, left_out, without=without)
    return 0


def saved_encoder(folder, data):
    """The encoder of a run's model, of the modalities that it shares with the data.

    Args:
        folder: The run's folder, its model's, or another name of a model, see `saved_models.located`.
        data: `Manifest` or `Definition`.

    Raises:
        DataError: No model there, or data that it cannot read.
    """
    from physiokeras.experiments.compatibility import absent, encoder_for
    from physiokeras.experiments.saved_models import model_folder
    from physiokeras.models import encoder_of, load
    from physiokeras.models.saving import metadata

    model = model_folder(folder)
    encoder = encoder_of(load(model))
    missing = absent(encoder, data)
    restricted = encoder_for(encoder, data, metadata(model).get("definition"))
    if missing:
        print(f"Absent, since the data lack them: {', '.join(missing)}.", flush=True)
    return restricted


if __name__ == "__main__":
    exit_status.run(main)

"""Pretrain an encoder by masked autoencoding with modality dropout, or by another objective, and probe it.

    physiokeras pretrain --backend jax
    physiokeras pretrain --config paper --data PREPARED --out runs/paper
    physiokeras pretrain --config paper leave_one_out --data PREPARED
    physiokeras pretrain --resume runs/paper

Without --data the command simulates a small cohort first. The run folder gets settings, versions, metrics, model,
probes and figures.
"""

from dataclasses import dataclass

from physiokeras.experiments import exit_status, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CONFIG_HELP, read, setting
from physiokeras.experiments.training_settings import CohortSettings, ProbeSettings, SubsetSettings, TrainingSettings


@dataclass(frozen=True)
class Settings(SubsetSettings, ProbeSettings, CohortSettings, TrainingSettings):
    """Settings of a pretraining: data, network, objective, training, probes."""

    config: tuple[str, ...] | None = setting(("demo",), CONFIG_HELP, "run", "invocation")
    pretrain_on: tuple[str, ...] = setting(
        (), "splits to train on; none: pretrain and train, if the data have them",
        "data", "result",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.objective in ("supervised", "untrained"):
            raise ValueError(f"objective {self.objective} does not pretrain; `physiokeras compare` trains it.")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras pretrain", description=__doc__.split("\n")[0])
    run_folder.refuse_taken(settings, settings.resume is not None)
    use(settings.backend)
    from physiokeras.analysis.reconstruction import held_out_reconstruction
    from physiokeras.evaluation import missing_modalities, probe_report
    from physiokeras.experiments import cohort, devices, loggers, training
    from physiokeras.experiments.build import build_model, compile_model
    from physiokeras.figures import pretraining_run
    from physiokeras.models import FeatureExtractor

    devices.check(settings.devices)
    loggers.check(settings)
    manifest = cohort.prepared(settings)
    splits = cohort.training_splits(settings, manifest)
    cohort.check(settings, manifest, splits)
    known = {"data_hash": manifest.data_hash, "resume": settings.resume is not None}
    with run_folder.start(settings, recipe="pretrain", **known) as run:
        with devices.sharing(settings.devices):
            model = build_model(settings, manifest)
            training.adapt(model, manifest, settings, splits)
            compile_model(model, settings)
        extractor = FeatureExtractor(model.encoder, settings.pooling, name="extractor")
        untrained, _ = probe_report.probe_encoder(extractor, manifest, settings)
        with devices.sharing(settings.devices):
            training.fit(model, manifest, settings, run, splits)
        pretrained, left_out = probe_report.probe_encoder(extractor, manifest, settings)
        probe_report.save_all(run.folder, model, manifest, pretrained, settings.pooling)
        if settings.subset_maps:
            missing_modalities.save_maps(run.folder, extractor, manifest)
        pretraining_run.draw_all(run.folder, model, extractor, manifest, pretrained)
        powers, _ = probe_report.probe_band_powers(list(model.encoder.modalities), manifest, settings)
        columns = {"pretrained": pretrained, "untrained": untrained, "band power": powers}
        reconstruction = held_out_reconstruction(model, manifest, settings.seed)
        probe_report.report(run, columns, manifest, reconstruction, left_out, settings.targets, settings.steps)
    return 0


if __name__ == "__main__":
    exit_status.run(main)

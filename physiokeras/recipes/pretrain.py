"""Pretrain an encoder, by masked autoencoding with modality dropout or another objective, and probe it.

    python -m physiokeras.recipes.pretrain --backend jax
    python -m physiokeras.recipes.pretrain --config paper --data PREPARED --out runs/paper
    python -m physiokeras.recipes.pretrain --config paper leave_one_out --data PREPARED
    python -m physiokeras.recipes.pretrain --resume runs/paper

With nothing else given it simulates a small cohort first. The run folder holds settings, versions, metrics, model,
probes and figures.
"""

import shlex
from dataclasses import dataclass

from physiokeras.experiments import exit_status, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import CONFIG_HELP, read, setting
from physiokeras.experiments.training_settings import CohortSettings, ProbeSettings, TrainingSettings

FREE = ("data", "workers", "checkpoint_every", "tensorboard")
"""Settings that may differ when a run is resumed: the data are compared by their hash."""


@dataclass(frozen=True)
class Settings(ProbeSettings, CohortSettings, TrainingSettings):
    """Pretraining: data, network, objective, training."""

    config: tuple[str, ...] | None = setting(("demo",), CONFIG_HELP, "run")
    pretrain_on: tuple[str, ...] = setting(
        (), "splits that the encoder is trained on; none given: those of pretrain and train that the data have", "data"
    )

    def __post_init__(self):
        super().__post_init__()
        if self.objective in ("supervised", "untrained"):
            raise ValueError(f"objective {self.objective} pretrains nothing; physiokeras.recipes.compare runs it.")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="python -m physiokeras.recipes.pretrain", description=__doc__.split("\n")[0])
    use(settings.backend)
    from physiokeras.analysis.reconstruction import told_of_dropped
    from physiokeras.evaluation import probe_report
    from physiokeras.experiments import cohort, devices, training
    from physiokeras.experiments.build import build_model, compile_model
    from physiokeras.figures import pretraining_run
    from physiokeras.models import FeatureExtractor

    manifest = cohort.prepared(settings)
    splits = cohort.training_splits(settings, manifest)
    known = {"data_hash": manifest.data_hash, "resume": settings.resume is not None}
    with run_folder.start(settings, recipe="pretrain", free=FREE, accept=settings.accept, **known) as folder:
        with devices.sharing(settings.devices):
            model = build_model(settings, manifest)
            training.adapt(model, manifest, settings, splits)
            compile_model(model, settings)
        advice = f"Go on with: python -m physiokeras.recipes.pretrain --resume {shlex.quote(str(folder))}"
        extractor = FeatureExtractor(model.encoder, settings.pooling, name="extractor")
        untrained, _ = probe_report.probe_encoder(extractor, manifest, settings)
        with devices.sharing(settings.devices):
            training.fit(model, manifest, settings, folder, splits, advice=advice)
        pretrained, left_out = probe_report.probe_encoder(extractor, manifest, settings)
        probe_report.save_all(folder, model, manifest, pretrained, settings.pooling)
        pretraining_run.draw_all(folder, model, extractor, manifest, pretrained)
        columns = {"pretrained": pretrained, "untrained": untrained}
        told = told_of_dropped(model, manifest, settings.seed)
        probe_report.report(folder, columns, manifest, told, left_out, settings.targets)
    return 0


if __name__ == "__main__":
    exit_status.run(main)

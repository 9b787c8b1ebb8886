"""Pretrain an encoder by masked autoencoding with modality dropout, or by another objective, and probe it.

    physiokeras pretrain --backend jax
    physiokeras pretrain --config paper --data PREPARED --out runs/paper
    physiokeras pretrain --config paper leave_one_out --data PREPARED
    physiokeras pretrain --config paper --data ONE OTHER
    physiokeras pretrain --resume runs/paper

Without --data the command simulates a small cohort first. The run folder gets settings, versions, metrics, model,
probes and figures.
"""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from physiokeras.experiments import exit_status, hosts, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.host_settings import HostSettings
from physiokeras.experiments.settings import CONFIG_HELP, read, setting
from physiokeras.experiments.training_settings import (
    CohortSettings,
    ProbeSettings,
    SubsetSettings,
    TrainingSettings,
)


@dataclass(frozen=True)
class PretrainingSettings(SubsetSettings, ProbeSettings, CohortSettings, TrainingSettings):
    """Settings of a pretraining on one host: data, network, objective, training, probes."""

    config: tuple[str, ...] | None = setting(("demo",), CONFIG_HELP, "run", "invocation")
    pretrain_on: tuple[str, ...] = setting(
        (), "splits to train on; none: pretrain and train, if the data have them",
        "data", "result",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.objective in ("supervised", "untrained"):
            raise ValueError(f"objective {self.objective} does not pretrain; `physiokeras compare` trains it.")


@dataclass(frozen=True)
class Settings(PretrainingSettings, HostSettings):
    """Settings of a pretraining."""

    data: tuple[str, ...] | None = setting(  # type: ignore[assignment]  # the other commands take one folder
        None, "folder that `prepare` wrote, or its URL, or several of them, whose windows are mixed; modalities, "
        "channels and labels go by name, and what a folder lacks is absent; without it a cohort is simulated",
        "data", "place", holds="prepared",
    )  # fmt: skip
    cache: Literal["host", "device"] | None = setting(
        None, "where the training's windows are kept after they were read once, where they fit: memory of the host, or "
        "of the device (backends jax and torch, one device); the batches are the same; none: read when needed",
        "data", "execution",
    )  # fmt: skip

    def __post_init__(self):
        super().__post_init__()
        if self.cache == "device" and (self.backend == "tensorflow" or self.devices * self.hosts > 1):
            raise ValueError(
                "cache device needs backend jax or torch and a single device: batches of TensorFlow and of several "
                "devices come through the host's memory. Give --cache host."
            )
        if self.data == ():
            raise ValueError("data must name at least one folder that `prepare` wrote; omit it to simulate a cohort.")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras pretrain", description=__doc__.split("\n")[0])
    here = hosts.place(settings)
    if here.index == 0:
        run_folder.refuse_taken(settings, settings.resume is not None)
    use(settings.backend)
    from physiokeras.callbacks import state
    from physiokeras.evaluation import probe_report
    from physiokeras.experiments import cohort, devices, loggers, training
    from physiokeras.models import FeatureExtractor

    if here.count == 1:
        devices.check(settings)
    loggers.check(settings)
    manifest = cohort.prepared(settings)
    splits = cohort.training_splits(settings, manifest)
    cohort.check(settings, manifest, splits)
    known = {"data_hash": manifest.data_hash, "resume": settings.resume is not None}
    if here.index:
        run = run_folder.Run(Path(settings.out or "."), "pretrain")
        with hosts.joined(here, settings, manifest.data_hash):
            training.fit_together(here, manifest, settings, run, splits)
        return 0
    cohort.warn_without_labels(manifest)
    print(cohort.amount(settings, manifest, splits), flush=True)
    with run_folder.start(settings, recipe="pretrain", **known) as run:
        if here.count > 1:
            with hosts.joined(here, settings, manifest.data_hash, run.folder):
                model, trained = training.fit_together(here, manifest, settings, run, splits)
        else:
            model = training.untrained_model(settings, manifest, splits)
        extractor = FeatureExtractor(model.encoder, settings.pooling, name="extractor")
        print("First the untrained encoder is probed, for comparison.", flush=True)
        untrained, _ = probe_report.probe_encoder(extractor, manifest, settings)
        if here.count > 1:
            state.restore(model, trained, run.folder)
        else:
            with devices.sharing(settings):
                training.fit(model, manifest, settings, run, splits)
        print("Training is done; probes, maps and figures follow.", flush=True)
        write_results(run, model, extractor, untrained, manifest, settings)
    return 0


def write_results(run, model, extractor, untrained, manifest, settings):
    """Probe a pretrained model; write model, probes, figures and page into the run's folder.

    Args:
        run: `Run`.
        model: The pretrained model.
        extractor: `FeatureExtractor` of its encoder.
        untrained: Results of the probes on the encoder before training, task by task.
        manifest: `Manifest`.
        settings: Those of the command.
    """
    from physiokeras.analysis.reconstruction import held_out_reconstruction
    from physiokeras.evaluation import missing_modalities, probe_report
    from physiokeras.figures import pretraining_run

    pretrained, left_out = probe_report.probe_encoder(extractor, manifest, settings)
    probe_report.save_all(run.folder, model, manifest, pretrained, settings.pooling)
    if settings.subset_maps:
        missing_modalities.save_maps(run.folder, extractor, manifest)
    without = missing_modalities.scores_without_each(extractor, manifest, pretrained, run.folder)
    pretraining_run.draw_all(run.folder, model, extractor, manifest, pretrained)
    powers, _ = probe_report.probe_band_powers(list(model.encoder.modalities), manifest, settings)
    columns = {"pretrained": pretrained, "untrained": untrained, "band power": powers}
    reconstruction = held_out_reconstruction(model, manifest, settings.seed)
    about = {"targets": settings.targets, "steps": settings.steps, "view": settings.view}
    probe_report.report(run, columns, manifest, reconstruction, left_out, without=without, **about)
    if pretrained:
        words = f"--model {shlex.quote(str(run.folder))} --source RECORDINGS --out SCORES --backend {settings.backend}"
        print(f"To score recordings: physiokeras score {words}", flush=True)


if __name__ == "__main__":
    exit_status.run(main)

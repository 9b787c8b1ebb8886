"""Score arousals at every sample, as the PhysioNet/CinC Challenge 2018 does, by a linear probe for each second.

    physiokeras challenge --run runs/pretrain-1 --data PREPARED --source RECORDINGS

The encoder is frozen. The tokens of all modalities at one second are merged, and a linear layer classifies that second
as arousal or not. Its probabilities are interpolated to the samples of the target vector, which is read from the
recordings' `-arousal.mat` or `.arousal`. Gross AUPRC and AUROC are pooled over all test records, as in the
Challenge's rules. One record at a time is in memory. `--context` counts seconds here. The run keeps the encoder, this
probe and those of `--run`: `score --model` of it gives arousals with onset and duration in seconds.
"""

from dataclasses import dataclass

import numpy as np

from physiokeras.errors import DataError
from physiokeras.experiments import exit_status, run_folder
from physiokeras.experiments.backend import use
from physiokeras.experiments.settings import read, setting
from physiokeras.experiments.training_settings import ProbeSettings, probe_options
from physiokeras.files import write_atomic, write_csv
from physiokeras.markdown import markdown_table
from physiokeras.seeds import derive


@dataclass(frozen=True)
class Settings(ProbeSettings):
    """Settings of the scoring: model, recordings and probe."""

    run: str = setting(
        help="run folder of the encoder, the name of a preset, or hf://USER/NAME",
        group="data",
        role="place",
        holds="model",
    )
    data: str = setting(
        help="folder that `prepare` wrote from the recordings", group="data", role="place", holds="prepared"
    )
    source: str = setting(
        help="folder of the recordings, from which the target of each sample is read",
        group="data",
        role="place",
        holds="recordings",
    )
    seconds: int = setting(
        2000, "greatest number of scored seconds per record for fitting the probe, drawn at random", "probe", "result"
    )
    draws: int = setting(1000, "number of bootstrap draws of people for the intervals", "probe", "probe")


def main(argv=None):
    """Run the command.

    Returns: exit status.
    """
    settings = read(Settings, argv, prog="physiokeras challenge", description=__doc__.split("\n")[0])
    run_folder.refuse_taken(settings)
    use(settings.backend)
    from physiokeras.evaluation import arousal_seconds, probe_report
    from physiokeras.evaluation.probe import Probe
    from physiokeras.evaluation.probe_files import save_probe
    from physiokeras.experiments.saved_models import located, model_folder
    from physiokeras.models import FeatureExtractor, digest
    from physiokeras.pipelines import Manifest
    from physiokeras.pipelines.prepared.remote import local_folder
    from physiokeras.recipes.probe import saved_encoder

    manifest = Manifest.read(settings.data)
    reader = arousal_seconds.Reader.of(manifest, local_folder(settings.source))
    source = located(settings.run)
    encoder = saved_encoder(source, manifest)
    with run_folder.start(settings, recipe="challenge", data_hash=manifest.data_hash) as run:
        extractor = FeatureExtractor(encoder, settings.pooling, keep_time=True)
        drawn = {
            split: arousal_seconds.drawn(reader, extractor, manifest, split, settings)
            for split in ("train", "validation")
            if split in manifest.splits
        }
        probe = Probe.fit(
            arousal_seconds.TASK,
            drawn["train"],
            drawn.get("validation"),
            encoder=digest(encoder),
            **probe_options(settings),
        )
        windows = FeatureExtractor(encoder, settings.pooling)
        probe_report.save_all(run.folder, windows, manifest, {}, settings.pooling, earlier=model_folder(source))
        keep_probes(source, run.folder, digest(encoder), settings.pooling)
        save_probe(probe, run.folder / "probes" / f"{arousal_seconds.TASK.name}.npz")
        scored = score_records(reader, extractor, probe, manifest, settings)
        report(run, *scored, manifest, settings)
    return 0


def keep_probes(source, folder, encoder, pooling):
    """Copy the probes and subset maps of a run that read the same features.

    Args:
        source: The run's folder, or its model's.
        folder: Folder of the new run, with `probes/`.
        encoder: Digest of the encoder.
        pooling: Of the features.
    """
    from physiokeras.evaluation.missing_modalities import FILE
    from physiokeras.evaluation.probe_files import load_probe
    from physiokeras.evaluation.subset_maps import SubsetMaps
    from physiokeras.experiments.saved_models import model_folder, run_of
    from physiokeras.models.saving import metadata

    own = metadata(model_folder(source)).get("pooling", "mean")
    if own != pooling:
        print(
            f"Probes of {source} are not kept: they read features of pooling {own}, here it is {pooling}.", flush=True
        )
        return
    run = run_of(source)
    for path in (*run.glob("probes/*.npz"), *run.glob(FILE)):
        try:
            SubsetMaps.load(path, encoder=encoder) if path.name == FILE else load_probe(path, encoder=encoder)
        except DataError as error:  # of another encoder, such as one with more modalities
            print(f"Not kept: {error}", flush=True)
        else:
            write_atomic(folder / path.relative_to(run), path.read_bytes())


def score_records(reader, extractor, probe, manifest, settings):
    """Score the samples of all test records that have targets, one record in memory at a time.

    Returns: `ChallengeScore` of all, histograms of each record, and rows of record, person, AUPRC and AUROC.
    """
    from physiokeras.evaluation import arousal_seconds
    from physiokeras.evaluation.challenge_score import ChallengeScore, gross_areas

    score, histograms, rows = ChallengeScore(), [], []
    for record in manifest.select("test"):
        target, rate = reader.targets(record.name)
        if target is None:
            continue
        features = arousal_seconds.features_of_record(
            extractor, manifest, record.name, settings.context, settings.context_mode
        )
        chances = arousal_seconds.per_sample(probe.predict_proba(features)[:, 1], reader.patch, rate, len(target))
        histograms.append(score.update(target, chances))
        rows.append((record.name, record.person, *gross_areas(*histograms[-1])))
    return score, histograms, rows


def report(run, score, histograms, rows, manifest, settings):
    """Print the score with its interval over people; write it and the scores of each record into the run's folder."""
    from physiokeras.experiments import reports

    if not rows:
        raise DataError("no test record has targets: neither -arousal.mat nor .arousal.", file=settings.source)
    result, found = score.result(), intervals(histograms, [person for _, person, *_ in rows], settings)
    samples = result["positives"] + result["negatives"]
    share = result["positives"] / max(1, samples)
    shown = [["score of all samples", "value", "95 % over people", "chance"]]
    for name, title, chance in (("auprc", "gross AUPRC", share), ("auroc", "gross AUROC", 0.5)):
        interval = f"{found[name].low:.3f} to {found[name].high:.3f}" if found else "-"
        shown.append([title, f"{result[name]:.3f}", interval, f"{chance:.3f}"])
    said = f"{len(rows)} test records, {samples} scored samples, {share:.1%} arousal."
    reports.publish(run.folder, [markdown_table(shown), said], manifest)
    write_csv(run.folder / "records.csv", [("record", "person", "auprc", "auroc"), *rows])
    run.note(scores=result, intervals={name: [i.low, i.high] for name, i in found.items()})


def intervals(histograms, people, settings):
    """Score name -> `Interval` over people, of records' histograms; empty for fewer than two people."""
    from physiokeras.evaluation.bootstrap import bootstrap_over_people
    from physiokeras.evaluation.challenge_score import gross_areas

    if not settings.draws or len(set(people)) < 2:
        return {}

    def area(number):
        return lambda positives, negatives: gross_areas(positives.sum(axis=0), negatives.sum(axis=0))[number]

    counts = [np.stack(parts) for parts in zip(*histograms, strict=True)]
    options = {"draws": settings.draws, "seed": derive(settings.seed, "challenge")}
    return {
        name: bootstrap_over_people(area(number), counts, people, **options)
        for number, name in enumerate(("auprc", "auroc"))
    }


if __name__ == "__main__":
    exit_status.run(main)

#!/usr/bin/env python3
"""Make a preset of a pretraining run: model, probes fitted on all its people, maps for missing modalities, and a card.

The run should have been trained on data whose definition puts all people into the split "train", so that nobody is left
to score the preset on: scores come from a comparison with people held out, and the card says so.

    tools/make_preset.py --run runs/all --name wrist_small --data PREPARED --tasks stress --card card.md \
        --license "Apache-2.0; data MIT" --maps
"""

import argparse
import json
import shutil
from pathlib import Path


def main():
    """Make the preset below `physiokeras/presets`."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    for name in ("run", "data", "name", "card", "license"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--tasks", nargs="+", required=True)
    parser.add_argument("--folds", type=int, default=5, help="groups of people that choose the strength of a probe")
    parser.add_argument("--maps", action="store_true", help="ship the maps for missing modalities, which may be large")
    parser.add_argument("--backend", default="jax")
    args = parser.parse_args()

    from physiokeras.experiments.backend import use

    use(args.backend)
    import physiokeras
    from physiokeras.evaluation import Probe, features_of, tasks_of
    from physiokeras.evaluation.probe_files import save_probe
    from physiokeras.models import FeatureExtractor, digest, encoder_of, load, save
    from physiokeras.models.saving import metadata
    from physiokeras.pipelines import Manifest

    run, folder = Path(args.run), Path(physiokeras.__file__).parent / "presets" / args.name
    model, facts, manifest = load(run / "model"), metadata(run / "model"), Manifest.read(args.data)
    kept = {name: facts[name] for name in ("definition", "data_hash", "pooling", "seen")}
    shutil.rmtree(folder, ignore_errors=True)
    save(model, folder / "model", **kept, license=args.license)
    (folder / "probes").mkdir()
    features = features_of(FeatureExtractor(encoder_of(model), facts["pooling"]), manifest)["train"]
    tasks = tasks_of(manifest.labels)
    for name in args.tasks:
        probe = Probe.fit(tasks[name], features, folds=args.folds, encoder=digest(encoder_of(model)))
        save_probe(probe, folder / "probes" / f"{name}.npz")
    if args.maps:
        shutil.copy(run / "subset_maps.npz", folder)
    made = json.loads((run / "run.json").read_text())
    # Not the command, whose paths are of this machine; the card says how the model was made.
    (folder / "run.json").write_text(json.dumps({"versions": made["versions"]}, indent=1) + "\n")
    shutil.copy(args.card, folder / "README.md")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()

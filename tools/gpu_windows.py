#!/usr/bin/env python3
"""Write windows of prepared folders into one file that `bench_gpu.py --data` trains on.

Windows are in the order of records, so that the held-out last fifth of each set is mostly from other people.

    tools/gpu_windows.py windows.npz simulated=PREPARED real=OTHER_PREPARED [--count 256]
"""

import argparse

import numpy as np

from physiokeras.pipelines import Manifest, stream


def main():
    """Read the folders and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="file to write, .npz")
    parser.add_argument("sets", nargs="+", metavar="NAME=FOLDER", help="prepared folders with the same modalities")
    parser.add_argument("--count", type=int, default=256, help="greatest number of windows per set, evenly spaced")
    args = parser.parse_args()
    arrays = {}
    for name, _, folder in (text.partition("=") for text in args.sets):
        batches = [inputs for (inputs,) in stream(folder, list(Manifest.read(folder).splits), batch_size=64)]
        total = sum(len(batch["present"]) for batch in batches)
        chosen = np.unique(np.linspace(0, total - 1, min(args.count, total)).round().astype(int))
        for key in batches[0]:
            arrays[f"{name}.{key}"] = np.concatenate([batch[key].numpy() for batch in batches])[chosen]
        print(f"{name}: {len(chosen)} of {total} windows")
    np.savez_compressed(args.out, **arrays)


if __name__ == "__main__":
    main()

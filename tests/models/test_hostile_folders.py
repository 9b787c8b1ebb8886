import hashlib
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import MODALITIES, autoencoder, encoder

from physiokeras.models import save

PROGRAM = Path(__file__).with_name("hostile.py")
ABSURD = [("width", 10**6), ("depth", 10**9), ("time", 10**9), ("mlp_ratio", 10**8), ("width", -8), ("time", 0)]
ABSURD += [("heads", 0), ("depth", "many"), ("depth", 10**30), ("width", 1e300), ("modalities", {"ecg": {}})]


def configured(folder, change=None, text=None):
    """Change a configuration, and the checksum with it."""
    table = json.loads((folder / "config.json").read_bytes())
    if change:
        change(table)
    text = json.dumps(table) if text is None else text
    (folder / "config.json").write_text(text)
    vouch(folder, "config.json")


def weighed(folder, content):
    (folder / "weights.safetensors").write_bytes(content)
    vouch(folder, "weights.safetensors")


def vouch(folder, name):
    facts = json.loads((folder / "metadata.json").read_bytes())
    facts["sha256"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / "metadata.json").write_text(json.dumps(facts))


def safetensors(header, length=None):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + b"\0" * 64


def wide(folder):
    """A width for which the file holds biases, but not the matrices that it would need."""
    configured(folder, lambda table: table["config"].update(width=10**5, heads=1))
    table = {
        f"w{i}": {"dtype": "F32", "shape": [10**5], "data_offsets": [i * 4 * 10**5, (i + 1) * 4 * 10**5]}
        for i in range(9)
    }
    text = json.dumps(table).encode()
    weighed(folder, struct.pack("<Q", len(text)) + text + bytes(9 * 4 * 10**5))


def fifo(folder):
    (folder / "metadata.json").unlink()
    os.mkfifo(folder / "metadata.json")


def replaced_by_folder(folder):
    (folder / "weights.safetensors").unlink()
    (folder / "weights.safetensors").mkdir()


def elsewhere(folder):
    facts = json.loads((folder / "metadata.json").read_bytes())
    facts["sha256"] = {"../../good/config.json": facts["sha256"]["config.json"], "/etc/passwd": "0"}
    (folder / "metadata.json").write_text(json.dumps(facts))


def cut(folder):
    content = (folder / "weights.safetensors").read_bytes()
    weighed(folder, content[: len(content) // 2])


def tampered(folder):
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-3] ^= 1
    (folder / "weights.safetensors").write_bytes(content)


def policy(table):
    """A dtype policy in Keras's own format, which names a class and the module to import."""
    table["config"]["dtype"] = {"module": "os", "class_name": "system", "config": "touch /tmp/hostile"}


CASES = {
    "cut": cut,
    "tampered": tampered,
    "foreign class": lambda folder: configured(folder, lambda table: table.update({"class": "Lambda"})),
    "class by module": lambda folder: configured(folder, policy),
    "climbing name": lambda folder: configured(folder, lambda t: t["config"].update(name="../../outside")),
    "climbing modality": lambda folder: configured(
        folder, lambda t: t["config"]["modalities"].update({"../../x": {"samples": 8, "channels": 1}})
    ),
    "climbing checksums": elsewhere,
    "wide": wide,
    "nested": lambda folder: configured(folder, text="[" * 10**5),
    "long number": lambda folder: configured(
        folder, text='{"class": "Encoder", "config": {"time": %s}}' % ("9" * 5000)
    ),
    "large configuration": lambda folder: configured(folder, text=" " * (5 * 2**20)),
    "large metadata": lambda folder: (folder / "metadata.json").write_text(" " * (5 * 2**20)),
    "pipe": fifo,
    "folder for weights": replaced_by_folder,
    "pickle": lambda folder: weighed(folder, pickle.dumps({"a": 1})),
    "long header": lambda folder: weighed(folder, safetensors({}, 2**62)),
    "forged shape": lambda folder: weighed(
        folder, safetensors({"w": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 64]}})
    ),
    "negative shape": lambda folder: weighed(
        folder, safetensors({"w": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}})
    ),
    "another architecture": lambda folder: configured(folder, lambda table: table["config"].update(depth=0)),
} | {
    f"{key} {value}"[:40]: lambda folder, key=key, value=value: configured(
        folder, lambda table: table["config"].update({key: value})
    )
    for key, value in ABSURD
}


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What loading said of each hostile folder; the folders are as they were."""
    parent = tmp_path_factory.mktemp("hostile")
    folder = parent / "folders"
    save(encoder({"ecg": MODALITIES["ecg"]}), folder / "good")
    for name, spoil in CASES.items():
        spoil(shutil.copytree(folder / "good", folder / name))
    whole = autoencoder(encoder({"ecg": MODALITIES["ecg"]}))
    save(whole, folder / "decoders")
    configured(folder / "decoders", lambda table: table["config"].update(decoder_depth=10**9))
    before = {path: path.stat().st_mtime_ns for path in parent.rglob("*")}
    command = [sys.executable, str(PROGRAM), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=parent, timeout=250)
    assert {path: path.stat().st_mtime_ns for path in parent.rglob("*")} == before
    assert result.returncode == 0, result.stderr[-2000:]
    return dict(line.split("\t") for line in result.stdout.splitlines())


@pytest.mark.parametrize("name", [*CASES, "decoders"])
def test_hostile_folder_is_refused_within_limits_and_writes_nothing(told, name):
    assert told[name].startswith("refused: ")
    assert name in told[name]


def test_refusal_says_what_is_wrong(told):
    assert "has a weight of shape" in told["wide"]
    assert "depth 1000000000, with" in told["depth 1000000000"]
    assert "which weights.safetensors lacks" in told["mlp_ratio 100000000"]
    assert "classes cannot be named here" in told["class by module"]
    assert "more than any model's" in told["large configuration"]
    assert "the weights are of another architecture" in told["another architecture"]

"""What pretraining gains, on one seed and one backend: `tools/bench_pretraining.py` has the interval over seeds."""

import json

import keras
import pytest

from physiokeras.evaluation import probe_report
from physiokeras.figures import pretraining_run
from physiokeras.recipes import pretrain

pytestmark = pytest.mark.once


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What `run.json` says of a run of 300 steps on 40 simulated people."""
    folder = tmp_path_factory.mktemp("gain") / "run"
    flags = "--people 40 --unlabelled 0 --hours 0.25 --modalities eeg eog --steps 300 --interval 300 --no-subset-maps"
    flags += " --view samples --targets samples"  # untrained weights with spectra leave little to gain at staging
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining_run, "draw_all", lambda *_: None)
        patch.setattr(probe_report, "probe_band_powers", lambda *_: ({}, {}))
        assert pretrain.main([*flags.split(), "--backend", keras.config.backend(), "--out", str(folder)]) == 0
    return json.loads((folder / "run.json").read_text())


def test_pretrained_encoder_beats_the_untrained_one_at_staging_people_held_out(found):
    pretrained, untrained = (found["scores"][kind]["stage"]["windows"] for kind in ("pretrained", "untrained"))
    assert pretrained["auroc"] > untrained["auroc"] + 0.01


@pytest.mark.parametrize("name", ["eeg", "eog"])
def test_dropped_modality_is_told_by_the_other_of_the_same_window(found, name):
    told = found["reconstruction"][name]
    assert told["explained"] > 0.02  # predicting the mean explains 0
    assert told["shuffled"] < 0

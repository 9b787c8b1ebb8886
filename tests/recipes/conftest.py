"""One tiny pretraining run, on the backend of KERAS_BACKEND, that many tests look at."""

from contextlib import contextmanager
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from physiokeras.evaluation import extraction, probe_report
from physiokeras.figures import style
from physiokeras.models import FeatureExtractor
from physiokeras.recipes import pretrain

SMALL = "--width 16 --depth 1 --heads 2 --decoder-width 16 --decoder-depth 1 --decoder-heads 2 --batch-size 8"
COHORT = "--people 8 --unlabelled 2 --hours 0.1 --workers 1 --modalities eeg ecg"
STEPS = "--steps 5 --interval 3 --validation-steps 1 --seed 3"


@pytest.fixture(scope="session")
def small():
    """Flags of a network as small as it gets, for `pretrain`."""
    return [*SMALL.split(), "--backend", keras.config.backend()]


@pytest.fixture(scope="session")
def figures():
    """Context in which figures are drawn on each backend, but laid out, which is the same on all, on PyTorch alone."""

    @contextmanager
    def context():
        with pytest.MonkeyPatch.context() as patch:
            if keras.config.backend() != "torch":
                patch.setattr(style, "save", lambda figure, path: path.touch())
            yield patch

    return context


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory, small, figures):
    """A run without data given: its `folder`, its `cohort`, and `features` of its test windows before saving."""
    folder, kept = tmp_path_factory.mktemp("pretrained") / "run", {}
    save_all = probe_report.save_all

    def keep(folder, model, manifest, *rest):
        kept["features"] = np.asarray(
            extraction.features_of(FeatureExtractor(model.encoder), manifest, splits=["test"])["test"].values
        )
        save_all(folder, model, manifest, *rest)

    with figures() as patch:
        patch.setattr(probe_report, "save_all", keep)
        assert pretrain.main([*COHORT.split(), *STEPS.split(), *small, "--out", str(folder)]) == 0
    (cohort,) = folder.parent.glob("simulated-*")
    return SimpleNamespace(folder=folder, cohort=cohort, **kept)

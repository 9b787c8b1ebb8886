"""Scored recordings: hypnograms, events, sleep statistics and their files, from a trained model."""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {
    "Night": "nights",
    "Prediction": "prediction",
    "TrainedModel": "trained_model",
    "agreement": "statistics",
    "events_of": "events",
    "extract_folder": "feature_table",
    "load": "trained_model",
    "push": "hub_upload",
    "score_folder": "score_folder",
    "sleep_statistics": "statistics",
    "to_mne": "exchange",
    "to_yasa": "exchange",
}

__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy_exports(__name__, _MODULES)

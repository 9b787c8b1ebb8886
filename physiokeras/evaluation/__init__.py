"""Evaluation: features of a frozen encoder, linear probes on them, scores, and confidence intervals over people."""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {
    "Features": "features",
    "Interval": "bootstrap",
    "Probe": "probe",
    "ProbeResult": "evaluate",
    "Task": "tasks",
    "band_powers": "band_power",
    "bootstrap_over_people": "bootstrap",
    "class_scores": "scores",
    "features_of": "extraction",
    "features_of_windows": "extraction",
    "number_scores": "scores",
    "probe_task": "evaluate",
    "score_intervals": "bootstrap",
    "score_task": "evaluate",
    "tasks_of": "tasks",
}

__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy_exports(__name__, _MODULES)

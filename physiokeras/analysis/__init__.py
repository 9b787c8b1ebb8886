"""Analysis of trained encoders: attention, tuning of features, reconstruction between modalities, representation."""

from physiokeras.lazy_exports import lazy_exports

_MODULES = {
    "AttentionSums": "attention",
    "Correlation": "explanation",
    "ReconstructionSums": "reconstruction",
    "VarianceShare": "representation",
    "Tuning": "tuning",
    "attention_differences": "attention",
    "attention_sums": "attention",
    "attention_table": "attention",
    "curve_intervals": "attention",
    "distributedness": "tuning",
    "dropped_reconstruction": "reconstruction",
    "embedding": "representation",
    "encoder_tuning": "tuning",
    "explained": "reconstruction",
    "explained_intervals": "reconstruction",
    "rank_correlation": "explanation",
    "rollout": "attention_measures",
    "source_sets": "reconstruction",
    "source_target": "reconstruction",
    "unit_tuning": "tuning",
    "variance_shares": "representation",
}

__all__ = sorted(_MODULES)
__getattr__, __dir__ = lazy_exports(__name__, _MODULES)

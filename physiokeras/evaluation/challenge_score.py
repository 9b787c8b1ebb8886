"""The score of the PhysioNet/CinC Challenge 2018: arousals at every sample, all records pooled."""

import numpy as np

STEPS = 1000
"""Probabilities are rounded to j / 1000."""


class ChallengeScore:
    """Gross AUPRC and AUROC of sample-wise probabilities, record by record, in constant memory.

    Histograms of the rounded probabilities of positives and negatives are pooled over all records. The mean of the
    records' own areas is another number, and not the Challenge's score.

        score = ChallengeScore()
        for target, probability in records:
            score.update(target, probability)
        print(score.result()["auprc"])

    Attributes:
        positives: `(1001,)` counts of target samples by rounded probability.
        negatives: The same of the others.
    """

    def __init__(self):
        self.positives, self.negatives = (np.zeros(STEPS + 1, np.int64) for _ in range(2))

    def update(self, target, probability):
        """Count a record, or a part of one.

        Args:
            target: `(samples,)`: 1 arousal, 0 none, -1 not scored.
            probability: `(samples,)` in [0, 1], of not scored samples too.

        Returns: the histograms of this record alone, of positives and of negatives.

        Raises:
            ValueError: Other shapes or values, NaN among them; nothing is counted then.
        """
        target, probability = np.asarray(target), np.asarray(probability, np.float64)
        if target.ndim != 1 or target.shape != probability.shape:
            raise ValueError(
                f"`target` and `probability` must be (samples,). Received: {target.shape} and {probability.shape}."
            )
        # Written so that NaN fails too.
        for name, values, right in (
            ("target", target, (target == -1) | (target == 0) | (target == 1)),
            ("probability", probability, (probability >= 0) & (probability <= 1)),
        ):
            if not right.all():
                wrong = np.flatnonzero(~right)[0]
                rule = "be -1, 0 or 1" if name == "target" else "lie in [0, 1]"
                raise ValueError(f"`{name}` must {rule}. Received: {values[wrong]} at sample {wrong}.")
        rounded = np.rint(probability * STEPS).astype(np.int64)
        found = tuple(np.bincount(rounded[target == value], minlength=STEPS + 1) for value in (1, 0))
        self.positives += found[0]
        self.negatives += found[1]
        return found

    def result(self):
        """Dict of `auprc`, `auroc` (NaN where one class only is scored), `positives` and `negatives` (samples)."""
        auprc, auroc = gross_areas(self.positives, self.negatives)
        counts = {"positives": int(self.positives.sum()), "negatives": int(self.negatives.sum())}
        return {"auprc": float(auprc), "auroc": float(auroc), **counts}


def gross_areas(positives, negatives):
    """Areas under precision against recall and under the ROC curve, of histograms of rounded probabilities.

    With P_j and R_j the precision and recall of calling an arousal what is at least j / 1000, the first is
    sum P_j (R_j - R_{j+1}), without interpolation; the second is taken by trapezoids.

    Args:
        positives: `(..., bins)` counts, by rising probability.
        negatives: The same shape.

    Returns: AUPRC and AUROC, each `(...)`; NaN where either class has no sample.
    """
    # From the highest probability down, as a falling threshold lets samples in.
    hits, alarms = (np.asarray(counts)[..., ::-1].astype(np.float64) for counts in (positives, negatives))
    found, wrong = hits.cumsum(axis=-1), alarms.cumsum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / found[..., -1:]
        precision = np.where(hits > 0, found / (found + wrong), 0)
        auprc = (precision * recall).sum(axis=-1)
        auroc = (alarms * (found - hits / 2)).sum(axis=-1) / (found[..., -1] * wrong[..., -1])
    return np.where(np.isnan(auroc), np.nan, auprc), auroc

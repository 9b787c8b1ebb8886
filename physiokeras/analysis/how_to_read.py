"""How to read each section of an analysis; `docs/analysis.md` says it at length."""

GUIDE = (
    'The page "Read an analysis" of the documentation (`docs/analysis.md`) explains each measure, its control and '
    "each figure."
)

ATTENTION = (
    "How to read: no direction is good in itself. An untrained encoder is aligned in time too, since each token "
    "carries its position; the difference from it is what training changed. With key times permuted, alignment "
    "must be 1. Of the two shifts, the one under which the alignment stays names its cause: position or signals."
)

TUNING = (
    "How to read: distributedness is 0 where every feature follows one modality, and 1 where all modalities count "
    "alike. An untrained encoder mixes modalities at random and is near 1, so a high number is no sign of "
    "learning. The ablation is the control: its shares should correlate with the others, near 1."
)

RECONSTRUCTION = (
    "How to read: higher is better, 100 % is perfect, and 0 is no better than predicting the mean. **A value "
    "below 0 is worse than predicting the mean: the model was trained too briefly, or is sure of something "
    "wrong.** Sources from other windows are the control and should not exceed 0. Within one class there is less "
    "variance to explain, so its values are lower than those of all."
)

REPRESENTATION = (
    "How to read: a higher share of the classes is better for their probe. A high share of persons means that "
    "features tell people apart, which serves only tasks about people, such as age. Permuted labels are the "
    "control: the share that chance gives."
)

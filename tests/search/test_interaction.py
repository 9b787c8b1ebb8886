import numpy as np
import pytest
from scipy import stats

from physiokeras.search.interaction import interaction

pytestmark = pytest.mark.once


def drawn(seed=0, shape=(4, 3, 2), effect=0.0):
    draw = np.random.default_rng(seed)
    seeds, rows, columns = shape
    x, y = np.arange(rows)[:, None], np.arange(columns)[None]
    return 0.1 * x - 0.2 * y + effect * x * y + draw.normal(size=(seeds, 1, 1)) + 0.05 * draw.normal(size=shape)


def residual(scores, with_interaction):
    """Sum of squares that least squares leaves, with a column for each level, seed and perhaps cell."""
    seeds, rows, columns = scores.shape
    s, i, j = (index.ravel() for index in np.indices(scores.shape))
    parts = [s[:, None] == np.arange(seeds), i[:, None] == np.arange(rows), j[:, None] == np.arange(columns)]
    if with_interaction:
        parts.append((i * columns + j)[:, None] == np.arange(rows * columns))
    design = np.concatenate(parts, axis=1).astype(float)
    fitted = design @ np.linalg.lstsq(design, scores.ravel(), rcond=None)[0]
    return ((scores.ravel() - fitted) ** 2).sum(), np.linalg.matrix_rank(design)


@pytest.mark.parametrize("shape", [(4, 3, 2), (2, 2, 2), (3, 2, 4)])
def test_f_is_that_of_two_linear_models_compared(shape):
    scores = drawn(shape=shape, effect=0.05)
    found = interaction(scores)
    (less, few), (more, many) = residual(scores, True), residual(scores, False)
    degrees = few - many, scores.size - few
    f = ((more - less) / degrees[0]) / (less / degrees[1])
    assert found.degrees == degrees
    assert found.f == pytest.approx(f)
    assert found.p == pytest.approx(stats.f.sf(f, *degrees))


def test_contrast_is_the_difference_of_differences_of_a_bilinear_surface():
    x, y = np.array([0.5, 0.7, 0.9]), np.array([0.0, 0.25, 1.0])
    surface = 1 + 2 * x[:, None] - y + 3 * x[:, None] * y
    seeds = np.array([0.0, 0.1, 0.4])[:, None, None]
    found = interaction(surface + seeds, x, y)
    expected = surface[-1, -1] - surface[-1, 0] - surface[0, -1] + surface[0, 0]
    np.testing.assert_allclose([found.contrast, found.low, found.high], expected)


def test_two_by_two_interval_is_that_of_students_t_over_seeds():
    scores = drawn(shape=(6, 2, 2), effect=0.1)
    contrasts = scores[:, 1, 1] - scores[:, 1, 0] - scores[:, 0, 1] + scores[:, 0, 0]
    interval = stats.ttest_1samp(contrasts, 0).confidence_interval()
    found = interaction(scores)
    np.testing.assert_allclose([found.contrast, found.low, found.high], [contrasts.mean(), *interval])


def test_effects_that_add_up_are_rarely_called_an_interaction():
    p = [interaction(drawn(seed)).p for seed in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.09
    assert np.mean([interaction(drawn(seed, effect=0.1)).p < 0.05 for seed in range(50)]) > 0.8


def test_layout_that_cannot_be_tested_is_an_error():
    with pytest.raises(ValueError, match=r"Received: \(1, 2, 2\)"):
        interaction(np.zeros((1, 2, 2)))
    with pytest.raises(ValueError, match="Received: NaN"):
        interaction(np.full((2, 2, 2), np.nan))
    with pytest.raises(ValueError, match=r"2 levels that are not all equal are needed. Received: \[0.5, 0.5\]"):
        interaction(np.zeros((2, 2, 2)), [0.5, 0.5])

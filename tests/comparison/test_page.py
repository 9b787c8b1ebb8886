from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from physiokeras.comparison import making, report, subset_tables
from physiokeras.comparison import page as pages
from physiokeras.comparison.pool import ALL, Key, Pool
from physiokeras.comparison.table import AGGREGATE, COLUMNS, KEY, ScoreTable, score_table
from physiokeras.evaluation.bootstrap import Draws
from physiokeras.evaluation.tasks import Task
from physiokeras.recipes import compare

SCORE = "balanced_accuracy"
POOLED = SimpleNamespace(tasks=[])


def table(wide=(), **values):
    """A table of strategies whose aggregates have these values; draws of those in `wide` spread 0.1 to both sides."""
    rows = [(name, 0, ALL, AGGREGATE, "raw", "", ALL, SCORE, value) for name, value in values.items()]
    index = pd.MultiIndex.from_tuples([(name, "raw", AGGREGATE, SCORE) for name in values], names=KEY)
    spread = np.linspace(-0.1, 0.1, 101)
    draws = [value + spread * (name in wide) for name, value in values.items()]
    return ScoreTable(pd.DataFrame(rows, columns=COLUMNS), pd.DataFrame(draws, index))


def test_verdict_says_what_the_intervals_say():
    pretrained = {"input_dropout": 0.7, "mae": 0.6, "pairwise": 0.65, "leave_one_out": 0.6, "unimodal_eeg": 0.5}
    found = table(["leave_one_out"], **pretrained, untrained=0.4, supervised=0.75, band_power=0.7)
    first, *rest = pages.verdict(POOLED, found, "unimodal_eeg", "input_dropout")
    counted = "Comparisons: 4; as in the paper: 2; not to be told from chance: 1; the other way: 1."
    assert f"comes out in part. {counted}" in first
    assert rest == [
        "input_dropout is above mae: +0.100 [+0.100, +0.100].",
        "mae is below pairwise: -0.050 [-0.050, -0.050].",
        "mae cannot be told from leave_one_out: +0.000 [-0.095, +0.095].",
        "input_dropout is above unimodal_eeg: +0.200 [+0.200, +0.200].",
        "input_dropout is above pairwise: +0.050 [+0.050, +0.050].",
        "input_dropout is above leave_one_out: +0.100 [+0.005, +0.195].",
        "input_dropout is above untrained: +0.300 [+0.300, +0.300].",
        "input_dropout is below supervised: -0.050 [-0.050, -0.050].",
        "input_dropout cannot be told from band_power: +0.000 [+0.000, +0.000].",
    ]


def test_verdict_is_silent_where_there_is_nothing_to_compare():
    assert pages.verdict(POOLED, table(input_dropout=0.7), None, "input_dropout") == []
    (only,) = pages.verdict(POOLED, table(mae=0.7, untrained=0.6), None, "mae")
    assert only == "mae is above untrained: +0.100 [+0.100, +0.100]."


def test_score_that_is_not_defined_is_a_dash_and_compared_with_nothing():
    found = table(mae=0.7, untrained=np.nan)
    assert pages.verdict(POOLED, found, None, "mae") == []
    score = "raw", AGGREGATE, SCORE
    assert pages.difference(found, "mae", "untrained", *score) == "-"
    assert pages.difference(found, "mae", "supervised", *score) == "-"
    assert [pages.mean_and_deviation(found, name, *score) for name in ("mae", "untrained", "supervised")] == [
        "0.700",
        "-",
        "-",
    ]


def test_scores_of_modalities_left_are_one_row_a_subset_and_a_dash_where_a_strategy_lacks_it():
    rows = [("mae", "ecg", 0.5), ("mae", "eeg+ecg", 0.7), ("mae", "eeg", 0.6), ("unimodal_eeg", "eeg", 0.55)]
    values = [
        (s, seed, ALL, "stage", "raw", "kept", left, SCORE, v + seed / 10) for s, left, v in rows for seed in (0, 1)
    ]
    found = ScoreTable(pd.DataFrame(values, columns=COLUMNS), pd.DataFrame()).subsets.loc["kept"]
    lines = [
        [cell.strip() for cell in line.split("|")[1:-1]] for line in subset_tables.subset_table(found).splitlines()
    ]
    assert lines[0] == ["modalities left", "mae", "unimodal_eeg"]
    assert lines[2:] == [["ecg", "0.550", "-"], ["eeg", "0.650", "0.600"], ["eeg+ecg", "0.750", "-"]]


def test_differences_where_modalities_are_left_are_paired_over_people():
    random = np.random.default_rng(0)
    people, targets = np.repeat(["a", "b", "c", "d"], 12), random.integers(0, 2, 48)
    names = [(strategy, left) for strategy in ("mae", "input_dropout") for left in ("eeg", "ecg", "eeg+ecg")]
    names += [("unimodal_eeg", "eeg")]
    predicted = {
        Key(strategy, "raw", "stage", probe, subset): random.dirichlet((1, 1), (2, 48))
        for strategy, left in names
        for probe, subset in (("kept", left), ("", ALL))
    }
    pooled = Pool([Task("stage", "stage", "classes", ("W", "S"))], people, {"stage": targets}, predicted)
    found = score_table(pooled, [], 50, seed=3)
    draws = Draws.of(people, 50, seed=3)

    def drawn(strategy, subset, count):
        rows = np.repeat(np.arange(48), count[draws.index(people)])
        both = predicted[Key(strategy, "raw", "stage", "kept", subset)].argmax(axis=2)
        return np.mean([balanced_accuracy_score(targets[rows], own[rows]) for own in both])

    less = [
        np.mean([drawn("mae", left, count) - drawn("input_dropout", left, count) for left in ("eeg", "ecg")])
        for count in [np.ones(4, int), *draws.counts]
    ]
    low, high = np.quantile(less[1:], [0.025, 0.975])
    lines = list(subset_tables.subset_differences(found, "kept", "stage", "input_dropout"))
    header, _, mae, *others = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[1].splitlines()]
    assert header == ["strategy", "1 left", "2 left"]
    assert mae[:2] == ["mae", f"{less[0]:+.3f} [{low:+.3f}, {high:+.3f}]"]
    assert not others  # a unimodal strategy lacks subsets
    (said,) = subset_tables.where_missing(found, ["stage"], "mae")
    told = "below" if high < 0 else "above" if low > 0 else "not to be told from"
    assert f"mae is {told} input_dropout ({less[0]:+.3f} [{low:+.3f}, {high:+.3f}]): the mean over subsets" in said
    written = {tuple(line[:5]): line[5:] for line in report.subset_lines(found, "input_dropout")}
    whole = found.over_subsets("kept", "mae", "input_dropout", ["stage"], ["eeg+ecg"])
    assert written["kept", "mae", "stage", "eeg+ecg", SCORE][4:] == tuple(
        f"{number:.6g}" for number in (whole.value, whole.low, whole.high)
    )
    assert written["kept", "mae", "stage", "eeg+ecg", "auroc"][2:] == ("",) * 5


def test_columns_know_their_classes_also_where_no_task_has_any():
    stage = Task("stage", "stage", "classes", ("W", "N", "R", "X"))
    age = Task("age", "age", "threshold", ("young", "old"), 55.0)
    years = Task("age_years", "age", "years", ())
    counts = pages.classes_of([stage, age, years])
    assert (counts["stage"], counts["age"], 1 / counts[AGGREGATE]) == (4, 2, pytest.approx((1 / 4 + 1 / 2) / 2))
    assert pages.classes_of([years]) == {}


def test_strategies_whose_losses_hardly_fall_are_named():
    still, fell = (
        {"loss": np.array(loss), "val_loss": np.array(valid)}
        for loss, valid in (((2, 1), (1, 0.97)), ((2, 2), (1, 0.9)))
    )
    (said,) = pages.not_learned({"mae": [still, still, fell], "pairwise": [fell], "c": [{"loss": np.array([1, 0.96])}]})
    assert said.startswith("Caution: the loss of mae, c has never fallen by 5%")
    overfits = {"loss": np.array([1.5, 0.5, 0.02]), "val_loss": np.array([1.2, 0.8, 1.3])}
    assert pages.not_learned({"mae": [fell], "supervised stage": [overfits]}) == pages.not_learned({}) == []


def test_strategies_of_the_folder_that_are_not_on_the_page_are_named(tmp_path):
    for name in ("mae-seed-0-1a", "unimodal_eeg-seed-0-fold-1-2b", "pairwise-seed-1-3c"):
        (tmp_path / "cells" / name).mkdir(parents=True)
        (tmp_path / "cells" / name / "cell.json").touch()
    (tmp_path / "cells" / "untrained-seed-0-4d").mkdir()
    (said,) = report.not_shown(tmp_path, [SimpleNamespace(name="mae")])
    assert said.startswith("Not on this page, but computed before: pairwise, unimodal. Name them, or their TOML files")
    names = ("mae", "pairwise", "unimodal_eeg")
    assert report.not_shown(tmp_path, [SimpleNamespace(name=name) for name in names]) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        ("--strategies mae input_drop", "Received: 'input_drop'. Did you mean input_dropout?"),
        ("--strategies band_powr", "Did you mean band_power?"),
        ("--folds 5 --early-stopping 3", "early_stopping needs a validation loss"),
    ],
)
def test_settings_that_cannot_work_end_the_command_before_any_work(flags, said, capsys, tmp_path):
    with pytest.raises(SystemExit) as end:
        compare.main([*flags.split(), "--out", str(tmp_path / "out")])
    assert end.value.code == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_cells_that_were_computed_in_parts_do_not_count_in_the_times(monkeypatch):
    cells = [SimpleNamespace(strategy=SimpleNamespace(name=name)) for name in ("mae", "mae", "pairwise")]
    times = [({"train": 50, "probe": 5}, False), ({"train": 9, "probe": 5}, True), ({"train": 7, "probe": 5}, True)]
    found = iter([{"parameters": 10, "seconds": seconds, "in_parts": parts} for seconds, parts in times])
    monkeypatch.setattr(making, "facts", lambda cell: next(found))
    *_, mae, pairwise = making.cost(cells).splitlines()
    assert [part.strip() for part in mae.split("|")[1:-1]] == ["mae", "10", "2", "55", "50"]
    assert [part.strip() for part in pairwise.split("|")[1:-1]] == ["pairwise", "10", "1", "-", "-"]

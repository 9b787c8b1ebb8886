import pytest

from physiokeras.evaluation.folds import Fold, fold_rows

pytestmark = pytest.mark.once


def test_each_person_of_a_fold_has_one_part():
    folds = [Fold(0, ("a",), ("b", "c"), ("d",), ("b", "c", "d", "u")), Fold(1, ("b", "c"), ("a",), ("d",), ("a", "u"))]
    header, *rows = fold_rows(folds)
    assert header == ("fold", "person", "part")
    wanted = [("a", "test"), ("d", "validation"), ("b", "train"), ("c", "train"), ("u", "pretrain")]
    assert [row[1:] for row in rows if row[0] == 0] == wanted
    assert {row[1] for row in rows if row[0] == 1} == {"a", "b", "c", "d", "u"}
    assert len(rows) == 10

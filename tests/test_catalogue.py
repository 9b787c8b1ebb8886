import pytest

from physiokeras import catalogue

pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("kind", "name", "said"),
    [
        ("recipes", "peper", "No experiment named 'peper'. Did you mean paper? Shipped: "),
        ("pipelines", "sleepedf", "No definition of a data set named 'sleepedf'. Did you mean sleep_edf?"),
        ("pipelines", "mine", "For your own file write mine.toml."),
        ("pipelines", "mitdb2.toml", "mitdb2.toml: no such file. Did you mean mitdb?"),
    ],
)
def test_unknown_names_are_refused_with_the_closest_one(kind, name, said, tmp_path, monkeypatch):
    (tmp_path / "mine.toml").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        catalogue.find(kind, name)
    assert said in str(caught.value)

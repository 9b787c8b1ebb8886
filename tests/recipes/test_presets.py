import pytest

from physiokeras.recipes import presets
from physiokeras.scoring import presets as shipped

pytestmark = pytest.mark.once


def test_presets_are_listed_or_said_to_be_none(capsys, tmp_path, monkeypatch):
    assert presets.main([]) == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in shipped.names())
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    assert presets.main([]) == 0
    assert "ships no presets" in capsys.readouterr().out

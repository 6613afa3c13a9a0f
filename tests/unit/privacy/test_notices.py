from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.core.paths import CONSENT
from agent.privacy.notices import LANGUAGES, PURPOSES, load_notices, versions_of


def test_every_purpose_is_explained_in_both_languages() -> None:
    notices = load_notices(CONSENT)
    assert set(notices) == set(LANGUAGES)
    assert all(set(notices[language]) == set(PURPOSES) for language in LANGUAGES)
    for notice in notices["zh"].values():
        for text in (notice.title, notice.sends, notice.to, notice.kept, notice.why, notice.refusing):
            assert any("\u4e00" <= letter <= "\u9fff" for letter in text)
    assert versions_of(notices)["claims"] == notices["en"]["claims"].version


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('version = 1\ntitle = "Claims"', 'version = 2\ntitle = "Claims"', "claims.version: 2, but 1 in zh.toml"),
        ("refusing =", "refuse =", "refuse"),
        ("[feedback]", "[video]", "video|feedback"),
    ],
)
def test_a_notice_that_is_not_whole_is_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    for language in LANGUAGES:
        (tmp_path / f"{language}.toml").write_bytes((CONSENT / f"{language}.toml").read_bytes())
    english = tmp_path / "en.toml"
    english.write_text(english.read_text(encoding="utf-8").replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=reason):
        load_notices(tmp_path)

"""What the driver is told before he agrees: one notice a purpose, the same in both languages, by version."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, get_args

from msgspec import Meta

from agent.core.errors import ConfigError
from agent.core.events import Purpose
from agent.core.ports import Language
from agent.core.section import Section
from agent.core.toml import load_toml

Text = Annotated[str, Meta(min_length=1, max_length=600)]

LANGUAGES: Final[tuple[Language, ...]] = get_args(Language)
PURPOSES: Final[tuple[Purpose, ...]] = get_args(Purpose)


class PurposeNotice(Section, frozen=True, kw_only=True):
    """What is sent, to whom, how long it is kept, why, and what one loses by refusing. version: of its meaning."""

    version: Annotated[int, Meta(ge=1, le=1_000_000)]
    title: Annotated[str, Meta(min_length=1, max_length=40)]
    sends: Text
    to: Text
    kept: Text
    why: Text
    refusing: Text


class _File(Section, frozen=True, kw_only=True):
    claims: PurposeNotice
    safety: PurposeNotice
    service: PurposeNotice
    ubi_score: PurposeNotice
    feedback: PurposeNotice
    diagnostics: PurposeNotice
    audio: PurposeNotice


Notices = Mapping[Language, Mapping[Purpose, PurposeNotice]]


def load_notices(directory: Path) -> Notices:
    """Read {zh,en}.toml. Raises ConfigError where one is not whole, or their versions differ."""
    found: dict[Language, dict[Purpose, PurposeNotice]] = {}
    for language in LANGUAGES:
        path = directory / f"{language}.toml"
        file = load_toml(path, _File)
        found[language] = {purpose: getattr(file, purpose) for purpose in PURPOSES}
    first, *others = LANGUAGES
    for language in others:
        for purpose, notice in found[language].items():
            if notice.version != (version := found[first][purpose].version):
                path = directory / f"{language}.toml"
                raise ConfigError(f"{purpose}.version: {notice.version}, but {version} in {first}.toml", path=path)
    return found


def versions_of(notices: Notices) -> dict[Purpose, int]:
    """The version of each purpose's notice."""
    return {purpose: notice.version for purpose, notice in notices[LANGUAGES[0]].items()}

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.errors import ConfigError
from agent.core.paths import PROMPTS, SCENES
from agent.voice.prompts import Phrases, load_phrases, load_sound_phrases
from agent.voice.scene_file import find_scenes, load_scenes

COLLISION = "after_collision"
PARKED = "parked_hit"
SEVERE = "after_severe_collision"
CHARGE = "after_charge"
ASKS = """ask = "NAME"
[[trigger]]
TRIGGER
[questions.NAME]
text = { zh = "好吗？", en = "Good?" }
again = { zh = "好吗？", en = "Good?" }
silence = { zh = "嗯。", en = "Hm." }
unclear = { zh = "嗯。", en = "Hm." }
[questions.NAME.answers.yes]
words = { zh = ["好的"], en = ["yes"] }
reply = { zh = "好。", en = "Good." }
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    shutil.copytree(SCENES, tmp_path / "scenes")
    return tmp_path / "scenes"


def test_every_shipped_scene_asks_in_both_languages(phrases: Phrases) -> None:
    assert [scene.name for scene in phrases.scenes] == [path.stem for path in find_scenes(SCENES)]
    zh, en = (phrases.languages[language].questions for language in ("zh", "en"))
    assert zh.keys() == en.keys()
    for scene in phrases.scenes:
        for trigger in scene.triggers:
            assert scene.say or scene.question(trigger) in zh


@pytest.mark.parametrize(
    ("name", "old", "new", "reason", "line"),
    [
        (CHARGE, "energy_kwh", "energy", "trigger 1: where: charge_session has no field 'energy'", "where"),
        (CHARGE, "min = 1.0", "minimum = 1.0", "trigger 1: where: ", "where"),
        (CHARGE, "min = 1.0", "", "trigger 1: where: energy_kwh: wants min, max, has or set", "where"),
        (CHARGE, "{ energy_kwh = { min = 1.0 } }", '{ ended = "late" }', "trigger 1: where: ended: is never", "where"),
        (CHARGE, "{ min = 1.0 }", '"much"', "trigger 1: where: energy_kwh: is never 'much'; it is a number", "where"),
        (CHARGE, "{ min = 1.0 }", "true", "trigger 1: where: energy_kwh: is never True; it is a number", "where"),
        (CHARGE, "{ min = 1.0 }", "[]", "trigger 1: where: energy_kwh: wants one value at least", "where"),
        (CHARGE, "{ min = 1.0 }", "{ has = 3 }", "trigger 1: where: energy_kwh: is a number, no list", "where"),
        (CHARGE, "{ min = 1.0 }", "{ set = false }", "trigger 1: where: energy_kwh: is always set", "where"),
        (CHARGE, "min = 1.0", "min = 2, max = 1", "trigger 1: where: energy_kwh: no number is at least 2", "where"),
        (CHARGE, "min = 1.0", "min = nan", "trigger 1: where: energy_kwh: is no bound", "where"),
        (CHARGE, "energy_kwh =", "mode =", "trigger 1: where: mode: is ac, dc, unknown, which has no min", "where"),
        (CHARGE, "energy_kwh =", "faults =", "trigger 1: where: faults: is a list, which has no min", "where"),
        (CHARGE, "energy_kwh = { min = 1.0 }", 'faults = "slow"', "trigger 1: where: faults: is a list; what", "where"),
        (CHARGE, "energy_kwh = { min = 1.0 }", 'faults = { has = "x" }', "trigger 1: where: faults: is never", "where"),
        (
            CHARGE,
            "energy_kwh = { min = 1.0 }",
            "t_ns = { min = 1, set = false }",
            "trigger 1: where: t_ns: what is",
            "where",
        ),
        (CHARGE, 'text.en = "', 'text.en = "{energy} ', "questions.charge: text.en: placeholders are", "text.en"),
        (CHARGE, 'reply.zh = "', 'reply.zh = "}', "questions.charge.answers.hot: reply.zh: placeholders", "reply.zh"),
        (SEVERE, "[guard]", "[[guard]]", "Expected `object`, got `array` - at `$.guard`", "[[guard]]"),
        (SEVERE, 'ask = "', 'timeout_s = 600\nask = "', "Expected `float` <= 60.0 - at `$.timeout_s`", "timeout_s"),
        (CHARGE, '"charge_session.slow"', '"charge_session.slo"', "trigger 3: event: there is no", "event"),
        (CHARGE, 'ask = "charge_slow"', 'ask = "charge_slo"', "trigger 3: ask: there is no question", "ask"),
        (CHARGE, 'ask = "charge_slow"', "count = 3", "trigger 3: within_s: is needed by count", "[[trigger]]"),
        (CHARGE, 'ask = "charge_slow"', "count = 300", "trigger 3: count: Expected `int` <= 20", "count"),
        (CHARGE, 'ask = "charge_slow"', "within_s = 3.0", "trigger 3: within_s: has nothing to hold for", "within_s"),
        (CHARGE, 'ask = "charge_slow"', 'within_s = 3.0\ncount = 2\nper = "who"', "trigger 3: per: ", "per"),
        (SEVERE, "may_silence", "may_silenc", "guard: Object contains unknown field `may_silenc`", "may_silenc"),
        (SEVERE, "may_silence = false", 'consent = ["all"]', "guard: Invalid enum value 'all'", "consent"),
        (SEVERE, "[guard]", '[guard]\nper = "severity"', "guard: per: rollover has no field 'severity'", "per"),
        (SEVERE, "[guard]", '[say]\nzh = "{x}。"\nen = "{x}."\n[guard]', "say: zh: not every event offers {x}", "zh"),
        (SEVERE, "[guard]", '[say]\nzh = "好。"\n[guard]', "say: Object missing required field `en`", "[say]"),
        (SEVERE, 'ask = "all_right_severe"\n', "", "trigger 1: ask: the scene says nothing", "[[trigger]]"),
        (
            SEVERE,
            'text.en = "Are',
            'txt.en = "Are',
            "questions.all_right_severe: Object",
            "text.zh",
        ),
        (
            COLLISION,
            "[questions.garage]",
            "[questions.rescue]",
            "questions.rescue: stands in after_c",
            "[questions.resc",
        ),
        (
            PARKED,
            "[questions.parked_hit.answers.later]",
            "[questions.parked_hit.answers.none]",
            "questions.parked_hit: needs answers",
            "[questions.parked_hit]",
        ),
        (
            COLLISION,
            'opposite = "fine"',
            'opposite = "find"',
            "questions.all_right: 'find' is no",
            "[questions.all_right]",
        ),
        (
            COLLISION,
            'follow_up = "garage"',
            'follow_up = "garge"',
            "questions.all_right.answers.fine: follow_up: there is no 'garge'",
            "follow_up",
        ),
        (
            COLLISION,
            "[questions.garage.answers.yes]\n",
            '[questions.garage.answers.yes]\nfollow_up = "all_right"\n',
            "questions.all_right: follow_up: more than 2 questions in a row",
            "[questions.all_right]",
        ),
        (SEVERE, 'like = "all_right"', 'like = "garage"', "questions.all_right_severe: like: no question", "like"),
        (
            SEVERE,
            "[questions.all_right_severe.answers.fine]\n",
            '[questions.all_right_severe.answers.fine]\nwords.zh = ["好"]\nwords.en = ["ok"]\n',
            "questions.all_right_severe.answers.fine: words: are those of 'all_right'",
            "words",
        ),
        (
            COLLISION,
            '"没事"',
            '"没事", "救命"',
            "questions.all_right: '救命' stands for two answers",
            "[questions.all_ri",
        ),
        (COLLISION, '"没事"', '"没事", "!"', "questions.all_right: '!' has no word in it", "[questions.all_right]"),
    ],
)
def test_a_bad_scene_is_refused_with_key_file_and_line(
    directory: Path, name: str, old: str, new: str, reason: str, line: str
) -> None:
    path = directory / f"{name}.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_phrases(PROMPTS, scenes=find_scenes(directory))
    assert caught.value.reason.startswith(reason)
    assert caught.value.path is not None
    assert caught.value.line is not None
    told = caught.value.path.read_text(encoding="utf-8").splitlines()[caught.value.line - 1]
    assert told.startswith(line)


def test_an_answer_that_nobody_can_give_in_one_language_is_refused(directory: Path) -> None:
    path = directory / f"{COLLISION}.toml"
    text = path.read_text(encoding="utf-8")
    emptied = re.sub(r"^(words|weak)\.en = \[[^]]*\]", r"\1.en = []", text, count=2, flags=re.MULTILINE)
    path.write_text(emptied, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"words\.en: nobody can give this answer") as caught:
        load_phrases(PROMPTS, scenes=find_scenes(directory))
    assert caught.value.line is not None
    assert emptied.splitlines()[caught.value.line - 1].startswith("words.en = []")


@pytest.fixture
def write_asking(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a scene that puts a question of its own name."""

    def write(name: str, trigger: str) -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(ASKS.replace("NAME", name).replace("TRIGGER", trigger), encoding="utf-8")
        return path

    return write


@pytest.mark.parametrize(
    ("trigger", "reason"),
    [
        ('event = "feedback"', "name the questions whose answers call for it"),
        ('event = "feedback"\nwhere = { intent = "yes" }', "name the questions whose answers call for it"),
        ('event = "feedback"\nwhere = { question = { set = true } }', "name the questions whose answers call for it"),
        ('event = "feedback"\nwhere = { question = "again" }', "the answer to 'again' leads to 'again' again"),
        ('event = "feedback"\nwhere = { question = ["first", "again"] }', "the answer to 'again' leads to"),
        ('event = "feedback"\nwhere = { question = "agian" }', "there is no question 'agian'"),
    ],
)
def test_an_answer_must_not_call_for_its_own_question(
    write_asking: Callable[[str, str], Path], trigger: str, reason: str
) -> None:
    first = write_asking("first", 'event = "trip_started"')
    with pytest.raises(ConfigError) as caught:
        load_scenes([first, write_asking("again", trigger)])
    assert reason in caught.value.reason
    assert caught.value.path is not None
    assert caught.value.path.stem == "again"
    assert caught.value.line == (4 if "where" in trigger else 2), "the line of where, or of the trigger"


def test_answers_may_call_for_other_questions_as_long_as_that_ends(
    write_asking: Callable[[str, str], Path],
) -> None:
    chain = [
        write_asking("first", 'event = "feedback"\nwhere = { question = "free_words" }'),
        write_asking("second", 'event = "feedback"\nwhere = { question = "first" }'),
        write_asking("third", 'event = "feedback.remark"'),
        write_asking("fourth", 'event = "feedback"\nwhere = { question = ["second", "third"] }'),
    ]
    assert len(load_scenes(chain)[0]) == len(chain)
    chain[2] = write_asking("third", 'event = "feedback"\nwhere = { question = "fourth" }')
    with pytest.raises(ConfigError, match="without end") as caught:
        load_scenes(chain)
    assert caught.value.path == chain[3], "it closes the loop of third and fourth"


def test_an_answer_must_not_come_back_by_a_follow_up(write_asking: Callable[[str, str], Path]) -> None:
    first = write_asking("first", 'event = "feedback"\nwhere = { question = "second" }')
    first.write_text(first.read_text(encoding="utf-8") + 'follow_up = "second"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match="the answer to 'second' leads to 'second' again"):
        load_scenes([first, write_asking("second", 'event = "trip_started"')])


def test_a_text_that_one_language_lacks_is_missed_where_it_should_stand(directory: Path) -> None:
    path = directory / f"{CHARGE}.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    place = next(number for number, line in enumerate(lines) if line.startswith("again.en"))
    del lines[place]
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(
        ConfigError, match=r"questions.charge: Object missing required field `en` - at `\$.again`"
    ) as caught:
        load_phrases(PROMPTS, scenes=find_scenes(directory))
    assert caught.value.line == place, "the line of again.zh"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_what_asks_back_is_needed_in_both_languages(directory: Path, language: str) -> None:
    path = directory / f"{SEVERE}.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith(f"confirm.{language}")), encoding="utf-8")
    missing = rf"answers.false_alarm: Object missing required field `{language}` - at `\$.confirm`"
    with pytest.raises(ConfigError, match=missing) as caught:
        load_phrases(PROMPTS, scenes=find_scenes(directory))
    assert caught.value.path == path


def test_a_file_that_is_no_scene_is_refused(directory: Path) -> None:
    path = directory / "zz.toml"
    for content, reason, line in (
        (b"#\n\xff", "is not UTF-8", 2),
        (b"#\nx = ", "not TOML", 2),
        (b"", "required field `trigger`", 1),
        (b'#\n[trigger]\nevent = "collision"', "Expected `array`", 2),
        (b'ask = "garage"\ntrigger = [{ event = "colision" }]', "there is no 'colision'", 2),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=reason) as caught:
            load_phrases(PROMPTS, scenes=find_scenes(directory))
        assert (caught.value.path, caught.value.line) == (path, line)


def test_a_scene_that_is_not_sound_is_left_out_and_what_leads_to_it(directory: Path) -> None:
    path = directory / f"{COLLISION}.toml"
    path.write_text(path.read_text(encoding="utf-8").replace("again.en", "agan.en", 1), encoding="utf-8")
    refused: list[ConfigError] = []
    phrases = load_sound_phrases(PROMPTS, {}, scenes=find_scenes(directory), refuse=refused.append)
    assert {str(exc.path and exc.path.stem) for exc in refused} == {COLLISION, SEVERE, PARKED}, "they ask for a garage"
    assert len(phrases.scenes) == len(find_scenes(directory)) - 3
    (directory / "zh.toml").write_text("x", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_sound_phrases(directory / "none", {}, scenes=[], refuse=refused.append)


def test_the_documented_scene_is_good(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "scenes.md").read_text(encoding="utf-8")
    path = tmp_path / "battery_old.toml"
    path.write_text(text.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    assert "battery_old" in load_phrases(PROMPTS, scenes=[*find_scenes(SCENES), path]).languages["zh"].questions

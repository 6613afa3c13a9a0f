"""A ticket as a page for a claims handler, and the list of all: HTML by itself, no script, nothing loaded. Pure."""

from collections.abc import Iterator, Sequence
from html import escape

from agent.core.events import Collision, EmergencyData, Feedback, Rollover
from fleet.coverage import Hint
from fleet.desk.claims import Ticket
from simulators.claims_case import Case
from simulators.claims_facts import clock_text, emergency_table, facts_table, km_h, note_text, percent, sentence, utc
from simulators.claims_record import record_sections
from simulators.claims_svg import car, rolled_car
from simulators.claims_words import LANGUAGES, Language, load_style, value_of, word
from simulators.report_html import table


def page_name(number: int, language: Language) -> str:
    """File of a ticket's page; 0 is the list. The same beside each other on a disk as at the desk's address."""
    return f"ticket-{number}.{language}.html" if number else f"index.{language}.html"


def render_case(case: Case, language: Language) -> str:
    """One page: what happened, how sure that is, and what to do about it; the record below."""
    title = word("ticket", language, number=case.ticket.number)
    return _page(title, case.ticket.number, "\n".join(_case(case, language, title)), language)


def render_index(cases: Sequence[Case], language: Language) -> str:
    """The list of tickets, the newest first."""
    title = word("title", language)
    if not cases:
        return _page(title, 0, f"<h1>{escape(title)}</h1><p>{escape(word('none_yet', language))}</p>", language)
    heads = ["", *(word(key, language) for key in ("car", "urgency", "kind", "what", "state"))]
    rows = []
    for case in sorted(cases, key=lambda one: -one.ticket.number):
        ticket = case.ticket
        name = escape(word("ticket", language, number=ticket.number))
        link = f'<a href="{page_name(ticket.number, language)}">{name}</a>'
        cells = [
            ticket.device,
            word(f"urgency_{ticket.severity}", language),
            word(f"kind_{ticket.kind}", language),
            sentence(case, language),
            _state(ticket, language),
        ]
        rows.append(
            f"<tr><td class='text'>{link}</td>" + "".join(f'<td class="text">{escape(c)}</td>' for c in cells) + "</tr>"
        )
    head = "".join(f'<th class="text">{escape(text)}</th>' for text in heads)
    listed = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
    return _page(title, 0, f"<h1>{escape(title)}</h1>{listed}", language)


def _page(title: str, number: int, body: str, language: Language) -> str:
    """Around every page: the way to the list, and to the other language."""
    other = next(one for one in LANGUAGES if one != language)
    back = f'<a href="{page_name(0, language)}">{escape(word("all_tickets", language))}</a>' if number else ""
    switch = f'<a href="{page_name(number, other)}" lang="{other}">{escape(word("other_language", language))}</a>'
    return (
        f'<!doctype html>\n<html lang="{"zh-CN" if language == "zh" else "en"}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(title)}</title><style>\n{load_style()}</style></head>"
        f'<body class="claims"><nav class="bar"><span>{back}</span>{switch}</nav>\n{body}\n'
        f"<footer>{escape(word('made', language))}</footer></body></html>\n"
    )


def _case(case: Case, language: Language, title: str) -> Iterator[str]:
    ticket = case.ticket

    def say(key: str, **values: object) -> str:
        return escape(word(key, language, **values))

    yield f'<div class="over">{say("title")} · {escape(ticket.device)} · {_moment(case, language)}</div>'
    yield f'<h1>{escape(title)}</h1><p class="sentence">{escape(sentence(case, language))}</p>'
    yield "<p>" + "".join(_badges(ticket, language)) + "</p>"
    urgent = " u3" if ticket.severity == 3 and ticket.is_open else ""
    answer = ticket.answer if ticket.is_open else "answer_closed"
    yield f'<div class="do{urgent}"><b>{say("answer")}</b>{say(answer)}</div>'
    impacts, rolled = case.events(Collision), case.events(Rollover)
    if impacts or rolled:
        yield f'<div class="tiles">{"".join(_tiles(case, language))}</div>'
        yield f'<h2>{say("facts")}</h2><div class="two">{_direction(case, language)}{facts_table(case, language)}</div>'
    if len(impacts) > 1:
        yield f"<h2>{say('impacts')}</h2>{_impacts(impacts, language)}"
    if ticket.kind == "collision":
        yield f"<h2>{say('record')}</h2>" + "".join(_records(case, language))
        yield f"<h2>{say('answers')}</h2>{_answers(case.events(Feedback), language)}"
    yield case.talk
    yield f"<h2>{say('hints')}</h2>{_hints(case, language)}"
    if ticket.kind == "collision":
        yield f"<h2>{say('emergency')}</h2>{_emergency(case, language)}"
    yield f"<h2>{say('integrity')}</h2>{_integrity(case, language)}"
    yield (
        f"<h2>{say('notes')}</h2><ul>"
        + "".join(f"<li>{escape(note_text(note, language))}</li>" for note in ticket.notes)
        + "</ul>"
    )
    if case.problems:
        yield f"<h2>{say('problems')}</h2><ul>" + "".join(f"<li>{escape(one)}</li>" for one in case.problems) + "</ul>"


def _badges(ticket: Ticket, language: Language) -> Iterator[str]:
    def badge(css: str, words: str) -> str:
        return f'<span class="badge {css}">{escape(words)}</span>'

    yield badge(f"u{ticket.severity}", f"{word('urgency', language)}: {word(f'urgency_{ticket.severity}', language)}")
    yield badge("", _state(ticket, language))
    if ticket.call_back and ticket.is_open:
        yield badge("u2", word("badge_call_back", language))
    if ticket.false_alarm:
        yield badge("u2", word("badge_false_alarm", language))
    if any(state == "silent" for _, state in ticket.records):
        yield badge("u3", word("badge_silent", language))


def _tiles(case: Case, language: Language) -> Iterator[str]:
    """The figures that a handler looks for first: of the gravest impact."""
    worst = max(case.events(Collision), key=lambda event: event.delta_v_kmh, default=None)
    rolled = case.events(Rollover)

    def tile(key: str, value: str, more: str = "") -> str:
        below = f'<span class="more">{escape(more)}</span>' if more else ""
        return f'<div class="tile"><span>{escape(word(key, language))}</span><b>{escape(value)}</b>{below}</div>'

    if worst is None:
        for event in rolled[:1]:
            speed = event.speed_before_kmh
            yield tile("class", word("rollover", language))
            yield tile("turns", word("at_least", language, value=event.quarter_turns))
            yield tile("speed_before", word("untold", language) if speed is None else km_h(speed, language))
        return
    yield tile("severity", word(worst.severity, language))
    kind = word("rollover", language) if rolled else word(worst.crash_mode or "none", language)
    yield tile("class", kind)
    yield tile("delta_v", km_h(worst.delta_v_kmh, language, least=worst.clipped))
    speed = worst.speed_before_kmh
    yield tile("speed_before", word("untold", language) if speed is None else km_h(speed, language))
    yield tile("direction", clock_text(worst.pdof_deg, language))
    parts = {"rules": percent(worst.confidence_rules)}
    model = worst.confidence_model
    key = "confidence_rules_only" if model is None else "confidence_parts"
    yield tile("confidence", f"{percent(worst.confidence)} %", word(key, language, model=percent(model or 0), **parts))


def _direction(case: Case, language: Language) -> str:
    """The car from above, and below it the direction in words."""
    worst = max(case.events(Collision), key=lambda event: event.delta_v_kmh, default=None)
    rest_deg = next((event.resting_deg for event in case.events(Rollover) if event.resting_deg is not None), None)
    if worst is None and rest_deg is not None:
        words = word("rolled", language, degrees=f"{rest_deg:.0f}".replace("-", "−"))
        return f"<figure>{rolled_car(rest_deg, label=words)}<figcaption>{escape(words)}</figcaption></figure>"
    angle = None if worst is None else worst.pdof_deg
    if angle is not None:
        shown = round(angle) % 360
        words = word("clock_long", language, hour=clock_text(angle, language, bare=True), degrees=shown)
    else:
        words = word("direction_unknown" if worst is not None else "direction_rollover", language)
    drawn = car(angle, front=word("front", language), label=words)
    return f"<figure>{drawn}<figcaption>{escape(words)}</figcaption></figure>"


def _impacts(impacts: Sequence[Collision], language: Language) -> str:
    heads = [word(key, language) for key in ("impact", "after_first", "class", "delta_v", "direction", "severity")]
    rows = [
        [
            event.multi_event,
            "–" if event.since_first_s is None else f"{event.since_first_s:.2f} s",
            word(event.crash_mode or "none", language),
            km_h(event.delta_v_kmh, language, least=event.clipped),
            clock_text(event.pdof_deg, language),
            word(event.severity, language),
        ]
        for event in impacts
    ]
    return table(heads, rows, text=6)


def _records(case: Case, language: Language) -> Iterator[str]:
    """Each record of the crash; the state as the desk has followed it."""
    if not case.records:
        yield f'<p class="soft">{escape(word("no_record", language))}</p>'
    states = dict(case.ticket.records)
    for number, data in case.records.items():
        state = word(f"record_{states.get(number, 'complete' if data.complete else 'coming')}", language)
        missing = ""
        if data.missing:
            shown = ", ".join(map(str, data.missing[:20])) + ("…" if len(data.missing) > 20 else "")
            missing = "; " + word("record_missing", language, numbers=shown)
        yield f"<p><b>{escape(word('record_number', language, number=number))}</b>: {escape(state + missing)}</p>"
        yield f'<p class="soft">{escape(word("record_note", language))}</p>'
        yield from record_sections(data, language)


def _answers(answers: Sequence[Feedback], language: Language) -> str:
    if not answers:
        return f'<p class="soft">{escape(word("answer_none", language))}</p>'
    heads = [word(key, language) for key in ("asked", "said", "words")]
    rows = [
        [
            value_of(f"question_{one.question}", language),
            value_of(one.intent, language),
            f"“{one.transcript}”" if one.transcript else "–",
        ]
        for one in answers
    ]
    return table(heads, rows, text=3)


def _hints(case: Case, language: Language) -> str:
    told = case.hints
    note = f'<p class="hint soft"><b>{escape(word("hints_note", language))}</b></p>'
    if not told:
        return f"{note}<p>{escape(word('hints_none', language))}</p>"
    if case.powertrain is None:
        note += f'<p class="hint soft">{escape(word("powertrain_unknown", language))}</p>'
    for edition in dict.fromkeys(hint.edition.zh for hint in told):
        of_it = [hint for hint in told if hint.edition.zh == edition]
        listed = "".join(_hint(hint, language) for hint in of_it)
        note += f'<h3>{escape(getattr(of_it[0].edition, language))}</h3><ul class="hints">{listed}</ul>'
    return note


def _hint(hint: Hint, language: Language) -> str:
    """The name as it is in the policy, what to ask first, and how sure the hint is."""
    gloss = "" if language == "zh" else f" ({hint.cover.en})"
    excluded = f" – {word('hint_excluded', language)}" if hint.excluded else ""
    asked = "" if hint.condition is None else "<br>" + escape(getattr(hint.condition, language))
    sure = f"{word('certainty', language)} {hint.certainty}: {word(f'certainty_{hint.certainty}', language)}"
    return f"<li><b>{escape(hint.cover.zh)}</b>{escape(gloss + excluded)} <small>{escape(sure)}</small>{asked}</li>"


def _emergency(case: Case, language: Language) -> str:
    """Each minimum set of data in words, and as it came."""
    if not case.emergency:
        return f'<p class="soft">{escape(word("emergency_none", language))}</p>'
    parts = []
    for event, msd in zip(case.events(EmergencyData), case.emergency, strict=True):
        parts.append("" if msd is None else emergency_table(msd, language))
        parts.append(f"<p><code>{event.msd.hex()}</code> ({len(event.msd)} B)</p>")
    return "".join(parts)


def _integrity(case: Case, language: Language) -> str:
    chains = [entry.chain for entry in case.entries]
    verified, broken = chains.count("verified"), chains.count("broken")
    if not chains:
        return ""
    key = "chain_all" if verified == len(chains) else "chain_some"
    counts = {"verified": verified, "broken": broken, "waiting": len(chains) - verified - broken}
    text = word(key, language, count=len(chains), **counts)
    last = max(case.entries, key=lambda entry: entry.sequence)
    received = utc(max(entry.received_ns for entry in case.entries))
    where = word("chain_last", language, time=received, boot=last.boot, sequence=last.sequence)
    return f"<p>{escape(text)} {escape(where)}</p>"


def _state(ticket: Ticket, language: Language) -> str:
    if ticket.is_open:
        return word("open", language)
    return word("closed", language, outcome=word(ticket.outcome, language))


def _moment(case: Case, language: Language) -> str:
    """When it was, and how soon the insurer knew."""
    first = case.first
    if first is None or first.wall_ns is None:
        return escape(word("undated", language))
    told = "" if case.notice_s is None else " · " + word("notice_after", language, seconds=f"{case.notice_s:.1f}")
    return escape(f"{utc(first.wall_ns)}{told}")

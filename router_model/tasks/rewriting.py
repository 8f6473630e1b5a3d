"""Rewriting tasks without reasoning: letter case, templates, dates, polite wording and redaction."""

from __future__ import annotations

import random

from router_model.tasks.prompt import Problem, Task
from router_model.tasks.words import ADJECTIVES, CITIES, DAYS, DOCUMENTS, DOMAINS, ITEMS, MONTHS, NAMES


def build_case(rng: random.Random, level: int) -> Problem:
    words = [rng.choice(rng.choice((ADJECTIVES, ITEMS))) for _ in range(1 + level)]
    style = rng.choice(("upper", "title"))
    text = " ".join(words)
    answer = text.upper() if style == "upper" else text.title()
    slots = {
        "text": text,
        "style": {"upper": "upper case", "title": "title case"}[style],
        "verb": {"upper": "uppercase", "title": "titlecase"}[style],
        "adverb": {"upper": "with all letters large", "title": "with each first letter large"}[style],
    }
    return Problem(slots, f"The words are {text}\nIn {slots['style']}: {answer}", answer, f"case {style} {text}")


def build_fill(rng: random.Random, level: int) -> Problem:
    name, item, day, city = rng.choice(NAMES), rng.choice(ITEMS), rng.choice(DAYS), rng.choice(CITIES)
    templates = (
        ("Dear [name], your [item] is ready.", ("name", "item")),
        ("Hello [name], the [item] ships on [day].", ("name", "item", "day")),
        ("[name], please collect the [item] in [city] on [day].", ("name", "item", "city", "day")),
    )
    template, keys = templates[level - 1]
    values = {"name": name, "item": item, "day": day, "city": city}
    answer = template
    for key in keys:
        answer = answer.replace(f"[{key}]", values[key])
    pairs = [f"{key} = {values[key]}" for key in rng.sample(keys, len(keys))]
    slots = {"template": template, "pairs": ", ".join(pairs), "lines": "\n".join(pairs)}
    return Problem(
        slots,
        "\n".join(f"[{key}] is {values[key]}" for key in keys) + f"\n{answer}",
        answer,
        f"fill {template} {values}",
    )


def build_date(rng: random.Random, level: int) -> Problem:
    month, day, year = rng.randint(1, 12), rng.randint(1, 28), 2000 + rng.randint(0, 40)
    iso, long = f"{year}-{month:02d}-{day:02d}", f"{day} {MONTHS[month - 1]} {year}"
    source, answer, wanted = (iso, long, "long form") if level == 1 else (long, iso, "ISO form")
    slots = {"date": source, "form": wanted, "name": rng.choice(NAMES)}
    parts = f"year {year}, month {MONTHS[month - 1]}, which is {month:02d}, day {day:02d}"
    thought = f"The date is {source}\n{parts}\nIn {wanted}: {answer}"
    return Problem(slots, thought, answer, f"date {level} {iso}")


_REQUESTS = (
    ("gimme the {doc} by {day}", "Please send the {doc} by {day}."),
    ("need that {doc} on {day}", "Could you provide the {doc} on {day}?"),
    ("where's the {doc} for {name}", "Could you tell me where the {doc} for {name} is?"),
    ("fix the {doc} before {day}", "Please correct the {doc} before {day}."),
    ("tell {name} to check the {doc}", "Please ask {name} to check the {doc}."),
    ("{name} wants the {doc} asap", "{name} would like the {doc} soon."),
)


def build_polite(rng: random.Random, level: int) -> Problem:
    pairs = []
    for rude, kind in rng.sample(_REQUESTS, level):
        values = {"doc": rng.choice(DOCUMENTS), "day": rng.choice(DAYS), "name": rng.choice(NAMES)}
        pairs.append((rude.format(**values), kind.format(**values)))
    text, answer = "; ".join(rude for rude, _ in pairs), " ".join(kind for _, kind in pairs)
    thought = "\n".join(f"{rude} becomes {kind}" for rude, kind in pairs)
    return Problem({"text": text}, thought, answer, f"polite {text}")


def build_redact(rng: random.Random, level: int) -> Problem:
    sentences, hidden, found = [], [], []
    for name in rng.sample(NAMES, level):
        mail, kind = f"{name.lower()}@{rng.choice(DOMAINS)}", rng.randrange(3)
        open_text = (
            f"Write to {mail} about the {rng.choice(ITEMS)}.",
            f"{name} uses {mail} at work.",
            f"Send a copy to {mail} on {rng.choice(DAYS)}.",
        )[kind]
        sentences.append(open_text)
        hidden.append(open_text.replace(mail, "[EMAIL]"))
        found.append(mail)
    answer = " ".join(hidden)
    return Problem({"text": " ".join(sentences)}, f"Found {', '.join(found)}\n{answer}", answer, f"redact {sentences}")


CASE = Task("case", build_case)
FILL = Task("fill", build_fill)
DATE = Task("date", build_date)
POLITE = Task("polite", build_polite)
REDACT = Task("redact", build_redact)
TASKS = (CASE, FILL, DATE, POLITE, REDACT)

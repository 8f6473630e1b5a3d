"""Extraction tasks without reasoning: a field of a record, a label for a ticket, a record as JSON."""

from __future__ import annotations

import json
import random

from router_model.tasks.prompt import Problem, Task
from router_model.tasks.words import CITIES, DOMAINS, ITEMS, NAMES, SURNAMES


def _record(rng: random.Random) -> dict[str, str]:
    first, last = rng.choice(NAMES), rng.choice(SURNAMES)
    return {
        "name": f"{first} {last}",
        "email": f"{first.lower()}@{rng.choice(DOMAINS)}",
        "city": rng.choice(CITIES),
        "order": "".join(rng.choices("123456789", k=4)),
        "item": rng.choice(ITEMS),
    }


def build_extract(rng: random.Random, level: int) -> Problem:
    record = _record(rng)
    keys = rng.sample(list(record), min(2 + level, len(record)))
    wanted = rng.choice(keys)
    sentences = {
        "name": "The customer is {name}.",
        "email": "Mail goes to {email}.",
        "city": "They live in {city}.",
        "order": "The order number is {order}.",
        "item": "They bought a {item}.",
    }
    slots = {
        "text": " ".join(sentences[key].format(**record) for key in keys),
        "lines": "\n".join(f"{key}: {record[key]}" for key in keys),
        "field": wanted,
    }
    value = record[wanted]
    return Problem(
        slots,
        f"The text gives the {wanted}: {value}\nOnly the {wanted} is wanted, so the answer is {value}",
        value,
        f"extract {sorted(record.items())} {keys} {wanted}",
    )


_SYMPTOMS = {
    "billing": (
        "I was charged twice for the {item}",
        "the invoice for my {item} is wrong",
        "please refund the {item}",
        "the price of the {item} on my card is too high",
    ),
    "shipping": (
        "the parcel with the {item} is late",
        "my {item} was delivered to the wrong door",
        "where is the courier with my {item}",
        "tracking for the {item} has stopped",
    ),
    "technical": (
        "the {item} does not start",
        "the app shows an error when I use the {item}",
        "the {item} crashes after the update",
        "I cannot connect the {item}",
    ),
    "account": (
        "I forgot my password and need the {item} manual",
        "please close my profile, the {item} was my last order",
        "my login fails when I order the {item}",
        "change the address in my profile before the {item} ships",
    ),
}


def build_classify(rng: random.Random, level: int) -> Problem:
    label = rng.choice(list(_SYMPTOMS))
    item, name = rng.choice(ITEMS), rng.choice(NAMES)
    complaint = rng.choice(_SYMPTOMS[label]).format(item=item)
    padding = rng.sample(
        (
            "I have been a customer for years",
            "thank you for your help",
            "I am writing from my phone",
            "please answer soon",
        ),
        level - 1,
    )
    sentences = [complaint, *padding]
    rng.shuffle(sentences)
    ticket = f"Hello, {', and '.join(sentences)}. Regards, {name}"
    slots = {"ticket": ticket, "labels": ", ".join(rng.sample(list(_SYMPTOMS), 4))}
    return Problem(
        slots,
        f"The ticket says: {complaint}\nThat is about {label}, so the label is {label}",
        label,
        f"classify {ticket}",
    )


def build_tojson(rng: random.Random, level: int) -> Problem:
    record = _record(rng)
    keys = rng.sample(list(record), min(1 + level, len(record)))
    chosen = {key: record[key] for key in keys}
    slots = {
        "lines": "\n".join(f"{key}: {value}" for key, value in chosen.items()),
        "pairs": ", ".join(f"{key}: {value}" for key, value in chosen.items()),
        "semi": "; ".join(f"{key}: {value}" for key, value in chosen.items()),
    }
    thought = f"There are {len(keys)} keys: {', '.join(keys)}\n" + "\n".join(
        f"{key}: {value}" for key, value in chosen.items()
    )
    return Problem(slots, thought, json.dumps(chosen), f"tojson {chosen}")


EXTRACT = Task("extract", build_extract)
CLASSIFY = Task("classify", build_classify)
TOJSON = Task("tojson", build_tojson)
TASKS = (EXTRACT, CLASSIFY, TOJSON)

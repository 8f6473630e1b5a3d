"""Instruct work that reads: a field of a record, a label for a ticket, a record as JSON."""

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


EXTRACT = Task(
    "extract",
    "instruct",
    3,
    build_extract,
    (
        "Extract the {field} from this text: {text}",
        "{text} What is the {field}?",
        "Read the record and give the {field}.\n{lines}",
        "Which {field} is mentioned? {text}",
        "Field wanted: {field}\n{lines}",
        "Give me only the {field}: {text}",
        "From the message below, copy the {field}.\n{text}",
        "Record:\n{lines}\n{field}?",
        "Please find the {field} in: {text}",
        "Pull out the {field}.\n{lines}",
        "Our CRM needs the {field}. Source: {text}",
        "What {field} does the note contain? {text}",
    ),
)
CLASSIFY = Task(
    "classify",
    "instruct",
    3,
    build_classify,
    (
        "Label this ticket as one of {labels}: {ticket}",
        "Classify the message ({labels}).\n{ticket}",
        "{ticket}\nWhich queue: {labels}?",
        "Choose one label from {labels} for: {ticket}",
        "Support mail: {ticket}\nCategory ({labels}):",
        "Route this ticket. Options: {labels}.\n{ticket}",
        "What is this about, {labels}? {ticket}",
        "Assign a category out of {labels}.\nText: {ticket}",
        "Ticket: {ticket}\nPick a label: {labels}.",
        "Triage: {ticket} Labels are {labels}.",
        "Tag the text with one of {labels}. {ticket}",
        "Sort this mail into {labels}:\n{ticket}",
    ),
)
TOJSON = Task(
    "tojson",
    "instruct",
    4,
    build_tojson,
    (
        "Turn this into JSON:\n{lines}",
        "Write as a JSON object: {pairs}",
        "Convert to JSON.\n{lines}",
        "{pairs}\nReturn these as JSON.",
        "JSON please: {semi}",
        "Encode the record as JSON:\n{lines}",
        "Make a JSON object with these fields: {pairs}",
        "Format as JSON: {semi}",
        "Our API wants JSON. Data:\n{lines}",
        "Serialize {pairs} to JSON.",
        "Give the following as JSON, same keys: {semi}",
        "Produce one JSON object from\n{lines}",
    ),
    "json",
)
TASKS = (EXTRACT, CLASSIFY, TOJSON)

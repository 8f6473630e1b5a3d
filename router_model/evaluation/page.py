"""An evaluation as one HTML page that needs nothing else: what to know first, then figures, then every table."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from router_model.data import output_files
from router_model.evaluation import plots, report

_STYLE = """
:root{--line:#d8dee4;--soft:#57606a}
body{font:15px/1.5 system-ui,sans-serif;max-width:1080px;margin:2em auto;padding:0 1em;color:#1f2328}
h1{font-size:1.5em;margin-bottom:.2em}h2{margin-top:2em;font-size:1.15em;border-bottom:1px solid var(--line)}
.soft{color:var(--soft)}.figures{display:flex;flex-wrap:wrap;gap:8px}
.figures img{flex:1 1 380px;max-width:640px;min-width:0}
.cards{display:flex;flex-wrap:wrap;gap:10px;margin:1em 0}
.card{flex:1 1 180px;border:1px solid var(--line);border-radius:8px;padding:.6em .9em}
.card b{display:block;font-size:1.45em}.card span{color:var(--soft);font-size:.85em}
table{border-collapse:collapse;font-size:.88em;font-variant-numeric:tabular-nums}
td,th{padding:.2em .7em;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
td:first-child,th:first-child{text-align:left}tr.own td{font-weight:600;background:#f0f6ff}tr.bad td{background:#fff1f0}
.wide{overflow-x:auto}.note{background:#fff8e6;border-left:3px solid #bf8700;padding:.3em .8em;margin:.4em 0}
"""


def write(result: dict[str, Any], path: Path) -> None:
    """The page, and its first figure beside it as PNG."""
    images = plots.all_of(result)
    output_files.put(path.with_suffix(".png"), images["frontier"])
    output_files.put(path, _page(result, images))


def _page(result: dict[str, Any], images: dict[str, bytes]) -> str:
    title = escape(f"{result['router']}: {result['no_think']} or {result['think']}?")
    pictures = "".join(
        f'<img alt="{name}" src="data:image/png;base64,{base64.b64encode(image).decode()}">'
        for name, image in images.items()
    )
    parts = [
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>',
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>',
        f'<h1>{title}</h1><p class="soft">{escape(_subtitle(result))}</p>',
        "".join(f'<p class="note">{escape(note)}</p>' for note in result["notes"]),
        f'<div class="cards">{"".join(_card(*card) for card in _cards(result))}</div>',
        f'<div class="figures">{pictures}</div>',
        *_section("Beside what knows less, and what knows more", _ranking(result), _about(result)),
        *_section("What each dial position buys", _dial(result)),
        *_section("Asking first: a short answer, and only then a thought", _probe(result), _PROBE),
        *_section("Data set by data set", _datasets(result), _DATASETS),
        *_section("How many tokens it will take", _ranges(result), _RANGES),
        *_section("Promises: the risk contract on random halves", _promises(result), _PROMISES),
        *_section("Attempts to move a decision", _gaming(result), _GAMED),
        "</body></html>\n",
    ]
    return "\n".join(parts)


_PROBE = (
    "The short answer is sent on where it convinces; else it is thrown away, and its tokens are charged. "
    "“auto” asks where asking is worth it, and always where a request is strange to the router."
)
_DATASETS = (
    "“Strange”: the share of prompts that the router takes for a kind of work it never met. No APGR is given where "
    "thinking gains less than a point. Shaded: worse than chance mixing, beyond noise."
)
_PROMISES = (
    "The dearest price that keeps the promise is found on one random half and judged by all prompts. A promise made at "
    "95 % may be broken in 5 % of splits."
)
_RANGES = "How often real counts lie in the range that was forecast: 80 % and 50 % where forecasts mean what they say."
_GAMED = "Shares of prompts whose effort changes when words are added that change nothing about the task."


def _subtitle(result: dict[str, Any]) -> str:
    told = (
        f"{result['prompts']} prompts; {result['no_think']} is right on {_percent(result['accuracy_no_think'])}, "
        f"{result['think']} on {_percent(result['accuracy_think'])}."
    )
    if result["left_out"]:
        told += (
            f" Routers were trained on the rest of the data and judged on what was left out by {result['left_out']}."
        )
    return told


def _cards(result: dict[str, Any]) -> Iterable[tuple[str, str, str]]:
    tokens = result.get("token_apgr") is not None
    key = "token_apgr" if tokens else "apgr"
    length = result["baselines"]["length"][key]
    yield (
        "token APGR" if tokens else "APGR",
        _number(result[key]),
        f"95 % {report.interval(result[key + '_ci'])}; length {_number(length)}, chance .5",
    )
    if result["probe"]:
        found = result["probe"]["auto"]
        yield "… asking first", _number(found["token_apgr"]), f"95 % {report.interval(found['token_apgr_ci'])}, charged"
        share = found["thinking_share_at_minus_1_point"]
        yield "thinking kept", _percent(share) if share is not None else "all", "of tokens, within 1 point of always"
    recovered = result.get("recovered_of_ceiling")
    if recovered is not None and not math.isnan(recovered):
        yield "of what can be known", _percent(recovered), "of the difficulty ceiling's area over chance"
    if "text_apgr" in result:
        told = (
            f"of prompts; APGR of their text {_number(result['text_apgr'])} {report.interval(result['text_apgr_ci'])}"
        )
        yield "fell back", _percent(result["fell_back"]), told
    yield "calibration error", _number(result["ece"]), f"95 % {report.interval(result['ece_ci'])} (ECE)"
    yield "decision", f"{result['decision_ms_p99']:.2f} ms", f"p99 of CPU; p50 {result['decision_ms_p50']:.2f} ms"


def _card(name: str, value: str, more: str) -> str:
    return f'<div class="card"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(more)}</span></div>'


def _section(title: str, table: str, about: str = "") -> list[str]:
    if not table:
        return []
    return [f"<h2>{escape(title)}</h2>", f'<p class="soft">{about}</p>' if about else "", table]


def _table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]]) -> str:
    """`rows`: the class of each, and its cells."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        f'<tr class="{kind}">' + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>" for kind, cells in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{body}</table></div>'


def _ranking(result: dict[str, Any]) -> str:
    columns = report.columns(result)
    regret = (result["regret"] or {}).get("mean", {})
    rows = []
    for name, row in report.rankings(result):
        cells = [plots.title_of(name)]
        for key, _ in columns:
            spread = row.get(f"{key}_ci")
            cells.append(_number(row.get(key)) + (f" {report.interval(spread)}" if spread else ""))
        cells.append(_number(0.0 if name == "oracle" and regret else regret.get(name), 4))
        rows.append(("own" if name == "router" else "", cells))
    return _table(["", *(title for _, title in columns), "regret"], rows)


def _about(result: dict[str, Any]) -> str:
    return "; ".join(
        f"<b>{escape(plots.title_of(name))}</b>: {escape(row['about'])}" for name, row in result["baselines"].items()
    )


def _dial(result: dict[str, Any]) -> str:
    if not result["dial"]:
        return ""
    rows = []
    for point in (*result["fixed"], *result["dial"]):
        over = [_points(point.get(key)) for key in ("over_random", "over_fixed")]
        thinking = "-" if point["thinking"] is None else f"{point['thinking']:.1f}"
        rows.append(("", [point["name"], _percent(point["accuracy"]), thinking, f"{point['tokens']:.1f}", *over]))
    return _table(["", "accuracy", "thinking tokens", "all tokens", "over random", "over fixed efforts"], rows)


def _probe(result: dict[str, Any]) -> str:
    found = result["probe"]
    if not found:
        return ""
    rows = []
    for ask in ("auto", "always", "never"):
        row = found[ask]
        shares = [row[f"thinking_share_{name}"] for name in ("within_interval", "at_minus_1_point")]
        cells = ["no price" if share is None else _percent(share) for share in shares]
        rows.append(
            (
                "own" if ask == "auto" else "",
                [ask, f"{_number(row['token_apgr'])} {report.interval(row['token_apgr_ci'])}", *cells],
            )
        )
    for name, title in (("charged", "clairvoyant, asks always"), ("free", "clairvoyant, asks nobody")):
        row = found["clairvoyant"][name]
        share = row["thinking_share_at_minus_1_point"]
        rows.append(("", [title, _number(row["token_apgr"]), "", "no price" if share is None else _percent(share)]))
    return _table(["asks", "token APGR", "thinking, within always's interval", "thinking, within 1 point"], rows)


def _datasets(result: dict[str, Any]) -> str:
    rows = []
    for row in result["datasets"]:
        area = "-" if row["apgr"] is None else f"{_number(row['apgr'])} {report.interval(row['apgr_ci'])}"
        cells = [row["dataset"], str(row["prompts"])]
        cells += [
            _percent(row[key]) for key in ("accuracy_no_think", "forecast_no_think", "accuracy_think", "forecast_think")
        ]
        cells += [
            area,
            _number(row["length_apgr"]),
            _number(row["ece"]),
            _number(row["brier"]),
            _percent(row["strange"]),
        ]
        rows.append(("bad" if row["below_random"] else "", cells))
    head = [
        "data set",
        "prompts",
        "no think",
        "forecast",
        "think",
        "forecast",
        "APGR",
        "length",
        "ECE",
        "Brier",
        "strange",
    ]
    return _table(head, rows) if rows else ""


def _ranges(result: dict[str, Any]) -> str:
    rows = [
        ("", [f"{name}: {kind}", _percent(row["within"]), _percent(row["up_to_median"]), f"{row['median_width']:.0f}"])
        for kind, efforts in (result["token_ranges"] or {}).items()
        for name, row in efforts.items()
    ]
    return _table(["tokens of", "within P10 to P90", "up to P50", "width of the range"], rows) if rows else ""


def _promises(result: dict[str, Any]) -> str:
    rows = [
        (
            "",
            [
                f"at most {_percent(row['max_regret'])} harmed",
                _percent(row["violations"]),
                _percent(row["violations_on_the_other_half"]),
                _percent(row["kept_by_a_price"]),
                _percent(row["share_of_tokens"]),
            ],
        )
        for row in result["risk"] or ()
    ]
    head = ["promise (95 %)", "broken", "broken on the other half", "some price keeps it", "tokens of always thinking"]
    return _table(head, rows) if rows else ""


def _gaming(result: dict[str, Any]) -> str:
    found = result["gaming"]
    if not found:
        return ""
    names = sorted(found["upgrades"], key=lambda name: -float(found["upgrades"][name]))
    rows = [
        ("own", ["all attacks", _percent(found["upgrade_rate"]), _percent(found["downgrade_rate"])]),
        ("", ["all attacks, from no thought to one", _percent(found["none_to_think_rate"]), ""]),
        *(("", [name, _percent(found["upgrades"][name]), _percent(found["downgrades"][name])]) for name in names),
    ]
    return _table(["attack", "effort rises", "effort falls"], rows)


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:+.1f}"


def _number(value: float | None, digits: int = 3) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"

"""Small test requests to one replica, each of which shows one property."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple

import orjson

from gateway.backends.capabilities import Marks
from gateway.backends.chat_answer import read_usage
from gateway.backends.discovery.facts import Facts
from gateway.backends.transport import Transport, root
from gateway.core.backend_errors import BackendFailed, BackendRefused
from gateway.core.deployment import Deployment
from gateway.core.efforts import NO_THINKING, Effort
from gateway.core.end_text import parse_end_text
from gateway.core.errors import GatewayError
from gateway.core.reasoning import REASONING_FIELDS
from gateway.families.effort_encoding import EncodedEffort, write

# A question that needs reasoning and holds nothing confidential.
QUESTION = "How many days lie between 3 March and 17 May? Explain each step of your calculation."
# Tokens of an answer beside its budget: enough to see whether there is reasoning.
TOKENS = 24
# Exceeding a budget by this many tokens does not mean that it is ignored: engines end reasoning a token or two late,
# for instance by writing a line feed first.
LATE = 2
# Characters per token of reasoning: almost always below the first, and on average the second.
LONG_TOKEN, TOKEN = 16, 5
# Seconds that one answer may take, as the backend may be busy.
PATIENCE_S = 30.0
NO_ENTRY, NO_SUCH_ROUTE = (401, 403), (404, 405)
REFUSALS = (400, 404, 405, 415, 422, 501)


class TestAnswer(NamedTuple):
    """The reasoning text, its number of chunks and its field, the answer text, and token counts."""

    thought: str
    pieces: int
    field: str | None
    content: str
    reported: int | None
    prompt_ids: tuple[int, ...] = ()
    has_token_ids: bool = False

    @property
    def used(self) -> int:
        """Thinking tokens, or a lower bound."""
        return max(self.pieces, len(self.thought) // LONG_TOKEN) if self.reported is None else self.reported

    @property
    def about(self) -> int:
        """Thinking tokens, or an estimate."""
        return max(self.pieces, len(self.thought) // TOKEN) if self.reported is None else self.reported


class Questions:
    """Test requests to one replica of a deployment, given by its base URL."""

    def __init__(self, transport: Transport, deployment: Deployment, url: str) -> None:
        self._transport, self._deployment, self._url = transport, deployment, url
        self._end = parse_end_text(deployment.family.end_text)
        self._refusal = 0

    async def lists(self) -> bool | None:
        """Whether it lists the model; None: it has no list. Costs no tokens.

        GatewayError: it is unreachable, rejects our credentials, or has no chat completions either.
        """
        card = await self._card()
        if card != {}:
            return card is not None
        # An empty request: the route exists if it is refused as invalid.
        status, _ = await self._post(f"{self._url}/chat/completions", {})
        if status in NO_ENTRY or status in NO_SUCH_ROUTE or status >= 500:
            raise _refused(status)
        return None

    async def signature(self) -> bytes:
        """A value that changes when the replica serves something else. GatewayError: it is unreachable."""
        card, version = await self._card(), b""
        try:
            status, raw = await self._get(f"{root(self._url)}/version")
            version = raw if status == 200 else b""
        except GatewayError:
            pass
        known = {name: card.get(name) for name in ("id", "root", "parent", "max_model_len")} if card else {}
        return orjson.dumps(known) + version

    async def facts(self) -> Facts:
        """Observe the replica. GatewayError: it is unreachable, too busy, or rejects our credentials."""
        card = await self._card()
        if card is None:
            return Facts(served=False)
        longest = card.get("max_model_len")
        facts = Facts(max_context=longest if type(longest) is int else None)
        thinking = await self._ask(EncodedEffort(Effort(True), self._level()))
        if thinking is None:
            plain = await self._ask(None)
            return replace(facts, refuses_on=True) if plain else replace(facts, refused=self._refusal)
        facts = replace(
            facts,
            thinks_on=bool(thinking.thought) or self._tagged(thinking),
            field=self._field(thinking),
            reports=None if not thinking.thought else thinking.reported is not None,
        )
        if self._deployment.family.hybrid:
            facts = await self._switched(facts)
        return await self._budgeted(facts, thinking) if facts.thinks_on else facts

    async def _switched(self, facts: Facts) -> Facts:
        family = self._deployment.family
        silent = await self._ask(EncodedEffort(NO_THINKING)) if family.off is not None else None
        default = await self._ask(None) if family.default != "adaptive" else None
        return replace(facts, thinks_off=self._thinks(silent), thinks_default=self._thinks(default))

    async def _budgeted(self, facts: Facts, free: TestAnswer) -> Facts:
        """The facts with its treatment of budgets; `free` is its answer without one."""
        family = self._deployment.family
        least = max(family.budget_least, 1)
        bounded = EncodedEffort(
            Effort(True, least), self._level(), "native" if family.budget_field is not None else "none"
        )
        # Large budgets are not tested, as that would cost many tokens.
        tokens = TOKENS + least if least <= TOKENS else TOKENS
        answer = await self._ask(bounded, tokens, stream=True, return_token_ids=True)
        if answer is None:
            # It may refuse the token ids, not the budget.
            answer = await self._ask(bounded, tokens, stream=True)
        refused = answer is None and family.budget_field is not None
        if refused:
            bounded = bounded._replace(effort=Effort(True), enforcement="none")
            answer = await self._ask(bounded, stream=True, return_token_ids=True)
            answer = answer or await self._ask(bounded, stream=True)
        if answer is None:
            return facts
        kept: Literal["kept", "ignored", "refused"] | None = "kept" if answer.used <= least + LATE else "ignored"
        if family.budget_field is None or free.about <= least + LATE:
            kept = None
        ids = answer.has_token_ids and bool(answer.prompt_ids)
        return replace(
            facts,
            budget="refused" if refused else kept,
            streamed_field=self._field(answer) if answer.thought or facts.field is None else facts.field,
            streamed_reports=None if not answer.thought else answer.reported is not None,
            marks=await self._marks() if ids and (refused or kept != "kept") else None,
        )

    def _level(self) -> str | None:
        """A level that thinks, if the family requires a level."""
        levels = [name for name in self._deployment.family.levels if name != "none"]
        return levels[-1] if levels else None

    def _tagged(self, answer: TestAnswer) -> bool:
        """Whether the answer's text contains reasoning."""
        if self._end is None:
            return False
        return self._end.mark in answer.content or answer.content.lstrip().startswith(self._end.start)

    def _thinks(self, answer: TestAnswer | None) -> bool | None:
        return None if answer is None else bool(answer.thought.strip()) or self._tagged(answer)

    def _field(self, answer: TestAnswer) -> str | None:
        return answer.field if answer.thought else "" if self._tagged(answer) else None

    async def _marks(self) -> Marks | None:
        """The marks; None: reasoning has no end marker, or the replica does not report token ids."""
        if self._end is None:
            return None
        texts = (self._end.start, self._end.mark, self._end.before, self._end.after)
        found = [await self._tokens(text) if text else () for text in texts]
        return Marks(*found) if all(bool(ids) == bool(text) for ids, text in zip(found, texts, strict=True)) else None

    async def _tokens(self, text: str) -> tuple[int, ...]:
        body = {"model": self._deployment.model, "prompt": text, "add_special_tokens": False}
        try:
            status, raw = await self._post(f"{root(self._url)}/tokenize", body)
            tokens = orjson.loads(raw)["tokens"] if status == 200 else ()
        except (GatewayError, ValueError, KeyError, TypeError):
            return ()
        return tuple(tokens) if isinstance(tokens, list) and all(type(token) is int for token in tokens) else ()

    async def _card(self) -> dict[str, Any] | None:
        """The model's entry in the replica's list; None: it is not listed. Hosted APIs may have no list."""
        status, raw = await self._get(f"{self._url}/models")
        if status in REFUSALS:
            return {}
        if status != 200:
            raise _refused(status)
        try:
            cards = orjson.loads(raw)["data"]
            return next((card for card in cards if card["id"] == self._deployment.model), None)
        except (ValueError, KeyError, TypeError) as error:
            raise BackendFailed("Its list of models is invalid.") from error

    async def _ask(self, effort: EncodedEffort | None, tokens: int = TOKENS, **more: Any) -> TestAnswer | None:
        """The answer at an effort (None: the deployment's default); None: the request was refused."""
        body: dict[str, Any] = {
            "model": self._deployment.model,
            "messages": [{"role": "user", "content": QUESTION}],
            self._deployment.family.limit_field or "max_tokens": tokens,
            **more,
        }
        if more.get("stream"):
            body["stream_options"] = {"include_usage": True}
        if effort is not None:
            write(effort, self._deployment.family, body)
        status, raw = await self._post(f"{self._url}/chat/completions", body)
        if status in REFUSALS:
            self._refusal = status
            return None
        if status != 200:
            raise _refused(status)
        return read_stream(raw) if more.get("stream") else read_whole(raw)

    async def _get(self, url: str) -> tuple[int, bytes]:
        return await self._transport.ask(self._deployment, url, timeout_s=PATIENCE_S)

    async def _post(self, url: str, body: dict[str, Any]) -> tuple[int, bytes]:
        return await self._transport.ask(self._deployment, url, body, PATIENCE_S)


def read_whole(raw: bytes) -> TestAnswer:
    try:
        body = orjson.loads(raw)
        return _answer([body["choices"][0]["message"]], [body])
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise BackendFailed("Its answer is not a chat completion.") from error


def read_stream(raw: bytes) -> TestAnswer:
    try:
        events = [
            orjson.loads(line[5:]) for line in raw.splitlines() if line.startswith(b"data:") and b"[DONE]" not in line
        ]
        if any(event.get("error") for event in events):
            raise BackendFailed("Its stream ended in an error.")
        deltas = [choice.get("delta") or {} for event in events for choice in event.get("choices") or ()]
        return _answer(deltas, events)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackendFailed("Its stream is not a chat completion.") from error


def _answer(parts: list[dict[str, Any]], bodies: list[dict[str, Any]]) -> TestAnswer:
    """The answer from its messages or deltas, and the bodies that contained them."""
    reasoning = [(field, part[field]) for part in parts for field in REASONING_FIELDS if part.get(field)]
    usages = [body["usage"] for body in bodies if body.get("usage")]
    prompts = [body["prompt_token_ids"] for body in bodies if body.get("prompt_token_ids")]
    choices = [choice for body in bodies for choice in body.get("choices") or ()]
    return TestAnswer(
        thought="".join(text for _, text in reasoning),
        pieces=len(reasoning),
        field=reasoning[0][0] if reasoning else None,
        content="".join(part.get("content") or "" for part in parts),
        reported=read_usage(usages[-1]).reasoning_tokens if usages else None,
        prompt_ids=tuple(prompts[0]) if prompts else (),
        has_token_ids=any(choice.get("token_ids") for choice in choices),
    )


def _refused(status: int) -> GatewayError:
    return BackendRefused(status, {}, {"message": f"It answered {status}."})

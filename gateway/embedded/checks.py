"""Checks of request fields whose types are valid: vLLM's own, and features that this engine does not support."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from gateway.embedded.errors import NO_BUDGETS, BadRequest
from gateway.embedded.output_format import grammar_of
from gateway.embedded.prompts import thinking_enabled
from gateway.embedded.protocol import ChatRequest, Generation
from gateway.embedded.sampling import GREEDY_BELOW, SamplingParams
from gateway.embedded.served import Served

MOST_CHOICES = 16384
MOST_LOGPROBS = 20
# Every stop sequence is searched for at every token. vLLM has no such limit.
LONGEST_STOP = 512
# Every bad word is compared with the end of the answer at every token.
MOST_BAD_WORDS = 1024
DEFAULTS: Mapping[str, float] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": 0,
    "min_p": 0.0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "repetition_penalty": 1.0,
}
# Features of vLLM that are not supported here. They are refused, as ignoring them would give wrong answers.
UNSUPPORTED = (
    "use_beam_search", "prompt_logprobs", "logprob_token_ids", "truncate_prompt_tokens",
    "repetition_detection",
)  # fmt: skip


def check_chat(body: Mapping[str, Any]) -> None:
    """Raises BadRequest for conflicting fields of a chat request, whose types are not checked yet."""
    _check_stream(body)
    if body.get("tools") == []:
        raise BadRequest(
            "`tools` must not be an empty array. Either provide at least one tool or omit the field entirely.", "tools"
        )
    _check_tool_choice(body.get("tool_choice"), body.get("tools"))
    _check_top_logprobs(body)
    if body.get("continue_final_message") and body.get("add_generation_prompt"):
        raise BadRequest("Cannot set both `continue_final_message` and `add_generation_prompt` to True.")
    form = body.get("response_format")
    if isinstance(form, dict) and form.get("type") == "json_schema" and form.get("json_schema") is None:
        message = "When response_format type is 'json_schema', the 'json_schema' field must be provided."
        raise BadRequest(message, "response_format")


def check_completion(body: Mapping[str, Any]) -> None:
    """Raises BadRequest for conflicting fields of a completion request, whose types are not checked yet."""
    _check_stream(body)
    if body.get("prompt") in (None, ""):
        raise BadRequest("Either prompt or prompt_embeds must be provided and non-empty.", "prompt")
    if body.get("prompt") == []:
        raise BadRequest("You must pass at least one prompt")
    if body.get("suffix") is not None:
        raise BadRequest("suffix is only supported for models with FIM completion rendering", "suffix")
    logprobs = body.get("logprobs")
    if logprobs is not None and not isinstance(logprobs, int | float):
        raise BadRequest("`logprobs` must be an integer.", "logprobs", logprobs)
    if logprobs is not None and logprobs < -1:
        raise BadRequest("`logprobs` must be a positive value or -1.", "logprobs", logprobs)
    if body.get("echo") and logprobs is not None:
        raise BadRequest("The embedded engine has no log-probabilities of prompts: `echo` or `logprobs`.", "echo")


def sampling_params(request: Generation, served: Served, prompt: int, limit: tuple[str, int | None]) -> SamplingParams:
    """The sampling parameters of a request. `prompt` is its length in tokens, `limit` the name and value of its token
    limit. Raises BadRequest if they are invalid for the model.
    """
    _check_support(request, served)
    if len(request.bad_words) > MOST_BAD_WORDS:
        raise BadRequest(f"bad_words can hold at most {MOST_BAD_WORDS} words, got {len(request.bad_words)}.")
    params = SamplingParams(
        max_tokens=_max_tokens(served, prompt, *limit),
        **_numbers(request, served),
        seed=request.seed,
        stop=_stops(request),
        stop_token_ids=frozenset(request.stop_token_ids or ()),
        include_stop_str_in_output=request.include_stop_str_in_output,
        ignore_eos=request.ignore_eos,
        min_tokens=request.min_tokens,
        # The reasoning parser needs the tags, whatever the client requests.
        skip_special_tokens=request.skip_special_tokens and not (isinstance(request, ChatRequest) and served.reasons),
        logit_bias=_logit_bias(request),
        allowed_token_ids=None if request.allowed_token_ids is None else tuple(request.allowed_token_ids),
        bad_words=tuple(tuple(served.tokenizer.encode(word)) for word in request.bad_words),
        logprobs=_logprobs(request, served),
        thinking_token_budget=request.thinking_token_budget,
        grammar=grammar_of(request, served.grammars),
        grammar_after_thought=not isinstance(request, ChatRequest) or _thinks(request),
    )
    _check_ranges(params, request)
    _check_ids(params, served)
    return params


def _thinks(request: ChatRequest) -> bool:
    """Whether reasoning is expected; as in vLLM, not if the client requested to hide it."""
    return request.include_reasoning and thinking_enabled(request)


def _check_stream(body: Mapping[str, Any]) -> None:
    if body.get("stream_options") and not body.get("stream"):
        raise BadRequest("Stream options can only be defined when `stream=True`.", "stream_options")


def _check_tool_choice(choice: Any, tools: Any) -> None:
    if choice is None or choice == "none":
        return
    if not tools:
        raise BadRequest("When using `tool_choice`, `tools` must be set.", "tool_choice")
    if isinstance(choice, dict):
        function = choice.get("function")
        name = function.get("name") if isinstance(function, dict) else None
        if not isinstance(name, str) or not name:
            correct = 'Correct usage: `{"type": "function", "function": {"name": "my_function"}}`'
            raise BadRequest(f"Invalid value for `function`: `{function}` in `tool_choice`! {correct}", "tool_choice")
        known = [tool.get("function", {}).get("name") for tool in tools if isinstance(tool, dict)]
        if name not in known:
            message = "The tool specified in `tool_choice` does not match any of the specified `tools`"
            raise BadRequest(message, "tool_choice")
    elif choice not in ("auto", "required"):
        message = f'Invalid value for `tool_choice`: {choice}! Only named tools, "none", "auto" or "required" are '
        raise BadRequest(message + "supported.", "tool_choice")


def _check_top_logprobs(body: Mapping[str, Any]) -> None:
    top = body.get("top_logprobs")
    if top is None:
        return
    if not isinstance(top, int | float):
        raise BadRequest("`top_logprobs` must be an integer.", "top_logprobs", top)
    if top < -1:
        raise BadRequest("`top_logprobs` must be a positive value or -1.", "top_logprobs", top)
    if top and not body.get("logprobs"):
        raise BadRequest("when using `top_logprobs`, `logprobs` must be set to true.", "top_logprobs")


def _check_support(request: Generation, served: Served) -> None:
    for name in UNSUPPORTED:
        if getattr(request, name):
            raise BadRequest(f"`{name}` is not supported by the embedded engine", name)
    if isinstance(request, ChatRequest) and request.echo:
        raise BadRequest("`echo` of chats is not supported by the embedded engine", "echo")
    if request.thinking_token_budget is not None and not served.reasons:
        raise BadRequest(NO_BUDGETS)


def _max_tokens(served: Served, prompt: int, name: str, limit: int | None) -> int:
    room = served.context - prompt
    if prompt > served.context:
        least = "at least " if prompt == served.context + 1 else ""  # longer texts are not tokenized to their end
        raise BadRequest(
            f"This model's maximum context length is {served.context} tokens. However, your prompt contains {least}"
            f"{prompt} input tokens, which exceeds this limit even without any output tokens. Please reduce the length "
            "of the input prompt.",
            "input_tokens",
            prompt,
        )
    if limit is not None and limit > served.context:
        message = f"{name}={limit} cannot be greater than max_model_len={served.context}. Please request fewer "
        raise BadRequest(message + "output tokens.", name, limit)
    asked = [room, *(value for value in (limit, served.defaults.get("max_new_tokens")) if value is not None)]
    if min(asked) < 1:
        raise BadRequest(f"max_tokens must be at least 1, got {min(asked)}.", "max_tokens", min(asked))
    return min(asked)


def _numbers(request: Generation, served: Served) -> dict[str, Any]:
    """Numeric parameters: the client's values, else the model's defaults, else vLLM's."""
    given = {name: getattr(request, name) for name in DEFAULTS}
    return {
        name: value if value is not None else served.defaults.get(name, DEFAULTS[name]) for name, value in given.items()
    }


def _stops(request: Generation) -> tuple[str, ...]:
    stops = [request.stop] if isinstance(request.stop, str) else request.stop or []
    if "" in stops:
        raise BadRequest("stop cannot contain an empty string.")
    longest = max(map(len, stops), default=0)
    if longest > LONGEST_STOP:
        raise BadRequest(f"stop cannot contain a string of more than {LONGEST_STOP} characters, got {longest}.", "stop")
    return tuple(stops)


def _logit_bias(request: Generation) -> dict[int, float]:
    """The bias per token id, clamped to ±100; in requests the ids are strings."""
    bias = request.logit_bias or {}
    odd = [key for key in bias if not key.removeprefix("-").isdecimal()]
    if odd:
        message = f"logit_bias contains key(s) that cannot be converted to integer token IDs: {odd}"
        raise BadRequest(message, "logit_bias", odd)
    return {int(key): max(-100.0, min(100.0, value)) for key, value in bias.items()}


def _logprobs(request: Generation, served: Served) -> int | None:
    if isinstance(request, ChatRequest):
        asked = (request.top_logprobs or 0) if request.logprobs else None
    else:
        asked = getattr(request, "logprobs", None)
    if asked is not None:
        asked = served.config.vocab_size if asked == -1 else asked
        if asked > MOST_LOGPROBS:
            message = f"Requested sample logprobs of {asked}, which is greater than max allowed: {MOST_LOGPROBS}"
            raise BadRequest(message, "logprobs", asked)
    return asked


def _check_ranges(params: SamplingParams, request: Generation) -> None:
    n = 1 if request.n is None else request.n
    if n < 1:
        raise BadRequest(f"n must be at least 1, got {n}.")
    if n > MOST_CHOICES:
        raise BadRequest(f"n must be at most {MOST_CHOICES}, got {n}.")
    for name in ("presence_penalty", "frequency_penalty"):
        if not -2.0 <= getattr(params, name) <= 2.0:
            raise BadRequest(f"{name} must be in [-2, 2], got {getattr(params, name)}.")
    if not math.isfinite(params.repetition_penalty):
        raise BadRequest(f"repetition_penalty must be a finite number, got {params.repetition_penalty}.")
    if params.repetition_penalty <= 0:
        raise BadRequest(f"repetition_penalty must be greater than zero, got {params.repetition_penalty}.")
    _check_temperature(params.temperature)
    if not 0.0 < params.top_p <= 1.0:
        raise BadRequest(f"top_p must be in (0, 1], got {params.top_p}.", "top_p", params.top_p)
    if params.top_k < -1:
        raise BadRequest(f"top_k must be 0 (disable), or at least 1, got {params.top_k}.")
    if not 0.0 <= params.min_p <= 1.0:
        raise BadRequest(f"min_p must be in [0, 1], got {params.min_p}.")
    if params.min_tokens < 0:
        raise BadRequest(f"min_tokens must be greater than or equal to 0, got {params.min_tokens}.")
    if params.min_tokens > params.max_tokens:
        raise BadRequest(
            f"min_tokens must be less than or equal to max_tokens={params.max_tokens}, got {params.min_tokens}."
        )
    if n > 1 and params.temperature < GREEDY_BELOW:
        raise BadRequest(f"n must be 1 when using greedy sampling, got {n}.")


def _check_temperature(value: float) -> None:
    if not math.isfinite(value):
        raise BadRequest(f"temperature must be a finite number, got {value}.", "temperature", value)
    if value < 0.0:
        raise BadRequest(f"temperature must be non-negative, got {value}.", "temperature", value)
    if value > 2.0:
        raise BadRequest(f"temperature must be in [0, 2], got {value}.", "temperature", value)


def _check_ids(params: SamplingParams, served: Served) -> None:
    size = served.config.vocab_size
    if any(not word for word in params.bad_words):
        raise BadRequest("bad_words cannot contain an empty string.")
    if params.allowed_token_ids == ():
        raise BadRequest("allowed_token_ids is not None and empty!", "allowed_token_ids")
    for name in ("stop_token_ids", "logit_bias"):
        odd = [number for number in getattr(params, name) if not 0 <= number < size]
        if odd:
            message = f"token_id(s) {odd} in {name} contain out-of-vocab token ids. Vocabulary size: {size}"
            raise BadRequest(message, name, odd)
    odd = [number for number in params.allowed_token_ids or () if not 0 <= number < size]
    if odd:
        raise BadRequest("allowed_token_ids contains out-of-vocab token id!", "allowed_token_ids", odd)

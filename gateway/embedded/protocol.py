"""The request fields of vLLM. Unknown fields are ignored; wrong types raise errors.Invalid."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from gateway.embedded.errors import BadRequest, Invalid

MOST_STOPS = 4
Stop = str | Annotated[list[str], Field(max_length=MOST_STOPS)] | None
Count = Annotated[int, Field(ge=0)]
Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


def _budget(value: Any) -> int | None:
    if value is None or (type(value) is int and value == -1):
        return None
    if type(value) is not int or value < 0:
        message = "`thinking_token_budget` must be a non-negative integer or -1 for unlimited."
        raise BadRequest(message, "thinking_token_budget", value)
    return value


class StreamOptions(BaseModel):
    include_usage: bool | None = False
    continuous_usage_stats: bool | None = False


class Function(BaseModel):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class Tool(BaseModel):
    type: Literal["function"] = "function"
    function: Function

    def shown(self) -> dict[str, Any]:
        """The tool in the form that chat templates expect."""
        function = self.function.model_dump()
        if self.function.strict is None:
            del function["strict"]
        return {"type": self.type, "function": function}


class JsonSchema(BaseModel):
    name: str
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")


class ResponseFormat(BaseModel):
    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class NamedFunction(BaseModel):
    name: str


class NamedTool(BaseModel):
    type: Literal["function"] = "function"
    function: NamedFunction


class Message(BaseModel):
    """Unknown roles and additional fields are passed to the template."""

    model_config = ConfigDict(extra="allow")
    role: str
    content: str | list[dict[str, Any]] | None = None


class Generation(BaseModel):
    """The fields shared by chat completions and completions."""

    model: str | None = None
    n: int | None = 1
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop = None
    stop_token_ids: list[int] | None = None
    include_stop_str_in_output: bool = False
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    allowed_token_ids: list[int] | None = None
    bad_words: list[str] = []
    ignore_eos: bool = False
    min_tokens: int = 0
    skip_special_tokens: bool = True
    thinking_token_budget: Annotated[int | None, BeforeValidator(_budget)] = None
    response_format: ResponseFormat | None = None
    structured_outputs: dict[str, Any] | None = None
    use_beam_search: bool = False
    prompt_logprobs: int | None = None
    logprob_token_ids: list[int] | None = None
    truncate_prompt_tokens: int | None = None
    repetition_detection: dict[str, Any] | None = None
    echo: bool = False
    request_id: str | None = None
    return_token_ids: bool | None = None
    return_tokens_as_token_ids: bool | None = None


class ChatRequest(Generation):
    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = False
    top_logprobs: int | None = 0
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = True
    reasoning_effort: Effort | None = None
    include_reasoning: bool = True
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None


class CompletionRequest(Generation):
    prompt: list[Count] | list[list[Count]] | str | list[str]
    max_tokens: int | None = 16
    logprobs: int | None = None
    suffix: str | None = None
    prompt_embeds: Any = None


class TokenizeRequest(BaseModel):
    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    tools: list[Tool] | None = None
    add_generation_prompt: bool = True
    continue_final_message: bool = False
    chat_template: str | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    return_token_strs: bool | None = False


class DetokenizeRequest(BaseModel):
    model: str | None = None
    tokens: list[Count]


Model = TypeVar("Model", bound=BaseModel)


def parse_json(content: bytes) -> dict[str, Any]:
    """The body of a request. Raises Invalid if it is not a JSON object in UTF-8."""
    if not content:
        raise Invalid([{"type": "missing", "loc": (), "msg": "Field required", "input": None}])
    try:
        body = json.loads(content)
    except json.JSONDecodeError as error:
        problem = {"type": "json_invalid", "loc": (error.pos,), "msg": "JSON decode error", "input": {}}
        raise Invalid([problem | {"ctx": {"error": error.msg}}]) from error
    except (UnicodeDecodeError, RecursionError) as error:
        problem = {"type": "json_invalid", "loc": (), "msg": "There was an error parsing the body"}
        raise Invalid([problem | {"ctx": {"error": str(error)}}]) from error
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise Invalid([{"type": "model_attributes_type", "loc": (), "msg": message, "input": body}])
    return body


def parse(kind: type[Model], body: dict[str, Any]) -> Model:
    try:
        return kind.model_validate(body)
    except ValidationError as error:
        raise Invalid(error.errors(include_url=False)) from error

"""The parameters that a model supports, and how a form's texts become their values.

A page shows only what the model's row of the catalogue supports. A model without a row has the
parameters that every server of the openai dialect knows.

    InvalidSetting   a value cannot be sent: `field` is the parameter, `code` says why (see `words`)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Final, Literal

from gateway.providers.capabilities import Capabilities

Kind = Literal["number", "integer", "choice", "list"]
STOPS_MAX: Final = 4
CHOICES_MAX: Final = 8
_OUTPUT_MAX: Final = 1_000_000
_SEED_MAX: Final = 2**53 - 1
_NUMBER_MAX: Final = 2**63 - 1
VOICES: Final = ("alloy", "ash", "coral", "sage", "verse")


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter as a control. `default` is the provider's default, "" if unknown."""

    name: str
    kind: Kind
    low: Decimal | None = None
    high: Decimal | None = None
    step: Decimal = Decimal(1)
    default: str = ""
    choices: tuple[str, ...] = ()


class InvalidSetting(ValueError):
    """A value that cannot be sent."""

    def __init__(self, field: str, code: str, **detail: object) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code
        self.detail = detail


def parameters_of(model: Capabilities) -> tuple[Parameter, ...]:
    """Return the parameters that this model supports, in the order of the panel."""
    flags, owner = model.flags, model.owner
    parameters = [_effort(model), _budget(model), _switch(model), *_sampling(model)]
    parameters.append(_integer("max_output", 1, model.output_max or _OUTPUT_MAX))
    if not flags & {"no_sampling", "no_penalties_no_stop"}:
        parameters.append(Parameter("stop", "list"))
    if "verbosity" in model.traits:
        parameters.append(Parameter("verbosity", "choice", choices=("low", "medium", "high")))
    parameters += _several(model)
    if owner not in ("anthropic", "bytedance", "zhipu"):
        parameters.append(_integer("seed", -_SEED_MAX, _SEED_MAX))
    if owner == "openai":
        tiers = ("auto", "default", "flex", "priority")
        parameters.append(Parameter("service_tier", "choice", default="auto", choices=tiers))
    if model.search is not None:
        parameters.append(Parameter("web_search", "choice", default="off", choices=("on",)))
    if model.caching == "marked":
        parameters.append(Parameter("cache", "choice", default="off", choices=("on",)))
    if "audio_output" in flags and "text" in model.outputs:
        parameters.append(Parameter("voice", "choice", default="off", choices=VOICES))
    return tuple(parameter for parameter in parameters if parameter is not None)


def _effort(model: Capabilities) -> Parameter | None:
    if not model.efforts or "no_reasoning_effort" in model.flags:
        return None
    return Parameter("reasoning_effort", "choice", choices=tuple(model.efforts))


def _budget(model: Capabilities) -> Parameter | None:
    if model.thinking != "budget" or model.efforts:
        return None
    most = model.output_max if model.budget_max is None else model.budget_max
    return _integer("thinking_budget", model.budget_min, most)


def _switch(model: Capabilities) -> Parameter | None:
    if model.thinking != "switch":
        return None
    return Parameter("thinking", "choice", choices=("on", "off"))


def _sampling(model: Capabilities) -> list[Parameter]:
    if "no_sampling" in model.flags:
        return []
    tenth, twentieth = Decimal("0.1"), Decimal("0.05")
    parameters = [
        Parameter("temperature", "number", Decimal(0), Decimal(model.temperature_max), tenth, "1"),
        Parameter("top_p", "number", Decimal(0), Decimal(1), twentieth, "1"),
    ]
    if "top_k" in model.flags or model.owner in ("anthropic", "google"):
        parameters.append(_integer("top_k", 1, 1000))
    if "no_penalties_no_stop" not in model.flags and model.owner != "anthropic":
        two = Decimal(2)
        for name in ("frequency_penalty", "presence_penalty"):
            parameters.append(Parameter(name, "number", -two, two, tenth, "0"))
    return parameters


def _several(model: Capabilities) -> list[Parameter]:
    """Return the parameters for several answers at once and for token probabilities."""
    if "no_sampling" in model.flags or model.search == "web_search_options":
        return []
    parameters = []
    if model.owner in ("openai", "google"):
        parameters.append(Parameter("n", "integer", Decimal(1), Decimal(CHOICES_MAX), default="1"))
    if model.owner in ("openai", "deepseek"):
        # OpenAI's API reference (2026-01): 0 to 20 alternatives per token; the same for DeepSeek.
        parameters.append(Parameter("logprobs", "integer", Decimal(0), Decimal(20)))
    return parameters


def _integer(name: str, low: int, high: int | None) -> Parameter:
    return Parameter(name, "integer", Decimal(low), None if high is None else Decimal(high))


# From a form ------------------------------------------------------------------------------------


def read_values(
    words: Mapping[str, str], parameters: Sequence[Parameter]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Parse a form's texts ({name: text}). Return the values, and the names that the model does not
    support.

    An empty text leaves the parameter to the provider. Raises InvalidSetting.
    """
    by_name = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Any] = {}
    dropped = []
    for name, text in words.items():
        if not text.strip():
            continue
        if name not in by_name:
            dropped.append(name)
            continue
        values[name] = _read(by_name[name], text)
    return values, tuple(dropped)


def _read(parameter: Parameter, word: str) -> Any:
    if parameter.kind == "list":
        stops = [line for line in word.replace("\r", "").split("\n") if line]
        if len(stops) > STOPS_MAX:
            raise InvalidSetting(parameter.name, "too_many", high=STOPS_MAX)
        return stops
    if parameter.kind == "choice":
        if word not in parameter.choices:
            raise InvalidSetting(parameter.name, "no_choice", choices=", ".join(parameter.choices))
        return word
    try:
        number = Decimal(word.strip())
    except InvalidOperation:
        raise InvalidSetting(parameter.name, "no_number") from None
    if not number.is_finite() or abs(number) > _NUMBER_MAX:
        raise InvalidSetting(parameter.name, "no_number")
    is_whole = number == number.to_integral_value()
    if parameter.kind == "integer" and not is_whole:
        raise InvalidSetting(parameter.name, "no_number")
    low, high = parameter.low, parameter.high
    if (low is not None and number < low) or (high is not None and number > high):
        raise InvalidSetting(
            parameter.name, "out_of_range", low=low, high="∞" if high is None else high
        )
    return int(number) if is_whole else float(number)

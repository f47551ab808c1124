"""A channel's changes to its requests.

    fields          which of the client's paid or data-related fields are passed on
    parameters      members of the body, by dialect: set, default, remove
    system_prompt   text for the system prompt of every chat
    headers         additional headers, and which of the client's headers are passed on
    when            further parameters and headers, for requests that meet conditions

Overrides cannot change what determines the price of a request, or the form of its answer. Otherwise
an answer could cost more than was held, or could not be read. `added_bytes` says how much they add
to the input, for the hold.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

from billing.prices.name_patterns import matches
from dialects.chat.chat import Dialect
from dialects.chat.system_prompt import PromptMode, set_prompt
from dialects.json.body import Body
from dialects.json.camel_case import camel_name
from gateway.providers.header_names import is_guarded

FieldName = Literal[
    "service_tier",
    "store",
    "inference_geo",
    "metadata",
    "user",
    "safety_identifier",
    "prompt_cache_retention",
]
FieldRule = Literal["pass", "drop", "refuse"]
Variable = Literal["request_id", "organisation", "key", "user", "model"]
FIELD_NAMES: Final[tuple[FieldName, ...]] = get_args(FieldName)
VARIABLES: Final[tuple[Variable, ...]] = get_args(Variable)
PARAMETERS_MAX: Final = 50
HEADERS_MAX: Final = 20
CONDITIONAL_MAX: Final = 20
"""The most rules with conditions of a channel."""
VALUE_BYTES_MAX: Final = 8 * 1024
PROMPT_CHARACTERS_MAX: Final = 20_000
HEADER_CHARACTERS_MAX: Final = 1024
# The JSON around an added text in the body: a role, a member name, quotes.
_AROUND_BYTES: Final = 64

_PATH: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}(\.[A-Za-z_][A-Za-z0-9_-]{0,63}){0,3}")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_HEADER_VALUE: Final = re.compile(r"[!-~]([ -~]*[!-~])?")
_BRACES: Final = re.compile(r"\{([^{}]*)\}|[{}]")
_UNSAFE: Final = re.compile(r"[^\x21-\x7e]|[{}%]")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Headers of the connection, of the message, of authentication, and Weir's own.
_RESERVED_HEADERS: Final = _words(
    """
    connection keep-alive proxy-connection te trailer transfer-encoding upgrade http2-settings
    host content-length content-type content-encoding accept accept-encoding expect range
    authorization proxy-authorization cookie set-cookie x-api-key x-goog-api-key api-key
    idempotency-key x-client-request-id
    """
)
_OWN_HEADERS: Final = "x-weir-"
_top = msgspec.json.Decoder(dict[str, msgspec.Raw])
# Parameters that determine how much is billed and at which rate, or the form of the answer.
_PROTECTED: Final[Mapping[Dialect, frozenset[str]]] = MappingProxyType(
    {
        "openai": _words(
            """
            model models messages prompt input suffix stream stream_options n best_of echo
            max_tokens max_completion_tokens max_cost tools functions web_search_options
            search_parameters enable_search plugins modalities audio prediction service_tier speed
            parameters extra_body
            """
        ),
        "responses": _words(
            """
            model models input instructions stream stream_options max_output_tokens max_tool_calls
            max_cost tools previous_response_id conversation prompt background service_tier
            """
        ),
        "anthropic": _words(
            """
            model models messages system stream max_tokens max_cost tools mcp_servers container
            service_tier speed
            """
        ),
        "gemini": _words(
            """
            model contents systemInstruction tools cachedContent serviceTier
            generationConfig.maxOutputTokens generationConfig.candidateCount
            generationConfig.responseModalities generationConfig.speechConfig
            generationConfig.imageConfig generationConfig.mediaResolution
            """
        ),
        "interactions": _words(
            """
            model models input stream max_cost tools cached_content previous_interaction_id agent
            background service_tier response_format response_modalities store continuation_token
            generation_config.max_output_tokens generation_config.speech_config
            generation_config.image_config
            """
        ),
        "converse": _words(
            """
            messages system inferenceConfig.maxTokens toolConfig serviceTier performanceConfig
            promptVariables additionalModelRequestFields
            """
        ),
    }
)


class Parameters(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes to the body's members, by their names in the dialect, with dots between levels
    (`generationConfig.topK`). `default` applies to requests that do not set the member."""

    set: dict[str, Any] = {}
    default: dict[str, Any] = {}
    remove: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        return [*self.set, *self.default, *self.remove]


class SystemPrompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    text: str
    mode: PromptMode = "prepend"


class OverriddenRequest(NamedTuple):
    """What the conditions of changes are applied to: the name of the model in the catalogue, the
    endpoint by its name in records ("" for none), and the slugs of the organisation and the
    team."""

    model: str
    endpoint: str
    teams: Collection[str]


class OverrideRule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Changes to the requests that meet all stated conditions, each by one of its values. `models`
    are names or patterns, `teams` slugs as in a channel's conditions."""

    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    parameters: dict[Dialect, Parameters] = {}
    headers: dict[str, str] = {}

    def fits(self, request: OverriddenRequest) -> bool:
        """Return whether the rule is for a request."""
        return (
            (not self.models or any(matches(name, request.model) for name in self.models))
            and (not self.endpoints or request.endpoint in self.endpoints)
            and (not self.teams or not set(self.teams).isdisjoint(request.teams))
        )


class RequestOverrides(msgspec.Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """All overrides of one channel, in their stored form. Header names are in lower case. `when`
    applies after the other changes, in its order; `fitting` leaves the rules that are for a request
    (`chat_body` and `written_headers` apply all).
    """

    parameters: dict[Dialect, Parameters] = {}
    system_prompt: SystemPrompt | None = None
    headers: dict[str, str] = {}
    client_headers: tuple[str, ...] = ()
    fields: dict[FieldName, FieldRule] = {}
    when: tuple[OverrideRule, ...] = ()

    def fitting(self, request: OverriddenRequest) -> "RequestOverrides":
        """Return the changes to one request."""
        when = tuple(rule for rule in self.when if rule.fits(request))
        return self if when == self.when else msgspec.structs.replace(self, when=when)

    @cached_property
    def added_bytes(self) -> int:
        """The maximum number of bytes added to a request's input. It also limits the added
        tokens."""
        added = 0
        if self.system_prompt is not None:
            added = len(self.system_prompt.text.encode()) + _AROUND_BYTES
        layers = (self.parameters, *(rule.parameters for rule in self.when))
        return added + sum(max(map(_size, layer.values()), default=0) for layer in layers)

    @cached_property
    def passed(self) -> frozenset[bytes]:
        """The names of the client's headers that are passed on. A name that was stored before it
        became guarded is left out."""
        return frozenset(name.encode() for name in self.client_headers if not is_guarded(name))

    @property
    def drops_tier(self) -> bool:
        """Whether the requested service tier is dropped."""
        return self.fields.get("service_tier") == "drop"

    def refused_field(self, body: Body) -> FieldName | None:
        """Return a field of a client's body that is refused, or None."""
        for name, rule in self.fields.items():
            if rule == "refuse" and _requested_value(body.value, name) is not None:
                return name
        return None

    def dropped_fields(self, body: Body) -> list[FieldName]:
        """Return the fields of a client's body that are dropped."""
        return [
            name
            for name, rule in self.fields.items()
            if rule == "drop" and _requested_value(body.value, name) is not None
        ]

    def written_headers(self, values: Mapping[Variable, str]) -> dict[str, str]:
        """Return the channel's headers, with variables replaced by the request's values."""
        templates = dict(self.headers)
        for rule in self.when:
            templates |= rule.headers
        written = {name: _fill_template(template, values) for name, template in templates.items()}
        return {name: value for name, value in written.items() if value}

    def chat_body(self, raw: bytes, dialect: Dialect) -> bytes:
        """Return the body of a chat with the overrides applied."""
        members = _top.decode(raw)
        self._drop(members)
        for parameters in (self.parameters, *(rule.parameters for rule in self.when)):
            if dialect in parameters:
                _set_parameters(members, parameters[dialect], gemini=dialect == "gemini")
        if self.system_prompt is not None:
            set_prompt(dialect, members, self.system_prompt.text, self.system_prompt.mode)
        return msgspec.json.encode(members)

    def other_body(self, raw: bytes) -> bytes:
        """Apply the overrides to a request that is not a chat, which only drops fields."""
        if "drop" not in self.fields.values():
            return raw
        members = _top.decode(raw)
        self._drop(members)
        return msgspec.json.encode(members)

    def _drop(self, members: dict[str, Any]) -> None:
        for name, rule in self.fields.items():
            if rule == "drop" and (spelled := _requested_value(members.get, name)) is not None:
                del members[spelled]


def read_overrides(stored: Mapping[str, Any]) -> RequestOverrides | None:
    """Parse stored overrides. Return None if they change nothing. Raises
    msgspec.ValidationError."""
    overrides = msgspec.convert(stored, RequestOverrides)
    return None if overrides == NO_OVERRIDES else overrides


def stored_overrides(overrides: RequestOverrides) -> dict[str, Any]:
    """Return the stored form: JSON without empty values."""
    small = msgspec.structs.replace(
        overrides,
        headers=_in_lower_case(overrides.headers),
        client_headers=tuple(name.lower() for name in overrides.client_headers),
        when=tuple(
            msgspec.structs.replace(rule, headers=_in_lower_case(rule.headers))
            for rule in overrides.when
        ),
    )
    whole: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(small))
    for part in (whole, *whole["when"]):
        part["parameters"] = {
            dialect: stored
            for dialect, params in part["parameters"].items()
            if (stored := _without_empty(params))
        }
    whole["fields"] = {name: rule for name, rule in whole["fields"].items() if rule != "pass"}
    whole["when"] = [_without_empty(rule) for rule in whole["when"]]
    return _without_empty(whole)


def _in_lower_case(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _without_empty(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


NO_OVERRIDES: Final = RequestOverrides()


# Validation -------------------------------------------------------------------------------------


def is_path(name: str) -> bool:
    """Return whether the text is a valid name of a parameter."""
    return _PATH.fullmatch(name) is not None


def is_protected(dialect: Dialect, name: str, value: Any = None) -> bool:
    """Return whether setting a parameter would change what determines the price or the form of the
    answer: because it is such a parameter, is inside one, or contains one."""
    touched = [name.split(".")]
    if isinstance(value, dict):
        touched += [[*touched[0], *inner] for inner in _paths(value)]
    if dialect == "gemini":
        touched = [[camel_name(step) for step in path] for path in touched]
    for protected in _PROTECTED[dialect]:
        steps = protected.split(".")
        if any(path[: len(steps)] == steps for path in touched):
            return True
        # A value at a higher level would replace it too.
        if len(touched[0]) < len(steps) and steps[: len(touched[0])] == touched[0]:
            return True
    return False


def is_header(name: str, reserved: Iterable[str] = ()) -> bool:
    """Return whether an operator may set a header. `reserved` headers authenticate at the
    provider."""
    small = name.lower()
    return (
        _HEADER_NAME.fullmatch(name) is not None
        and small not in _RESERVED_HEADERS
        and small not in reserved
        and not small.startswith(_OWN_HEADERS)
    )


def is_client_header(name: str, reserved: Iterable[str] = ()) -> bool:
    """Return whether a header may be passed on from a client: one that an operator may set, and
    that names no key, method, host, path, account or network address."""
    return is_header(name, reserved) and not is_guarded(name.lower())


def is_header_value(template: str) -> bool:
    """Return whether a template can be the value of a header: visible ASCII characters with spaces
    between them."""
    return len(template) <= HEADER_CHARACTERS_MAX and bool(_HEADER_VALUE.fullmatch(template))


def unknown_variable(template: str) -> str | None:
    """Return a braced name that is not a variable, or None."""
    for match in _BRACES.finditer(template):
        if match[1] is None or match[1] not in VARIABLES:
            return match[0]
    return None


# Application ------------------------------------------------------------------------------------


def _requested_value(value_of: Callable[[str], Any], name: FieldName) -> str | None:
    """Return the spelling of a field in a body, or None if it is absent."""
    for spelled in (name, camel_name(name)):
        value = value_of(spelled)
        if value is None or bytes(value) == b"null":
            continue
        # The only stricter choice is to ask the provider not to store.
        if name != "store" or bytes(value) != b"false":
            return spelled
    return None


def _fill_template(template: str, values: Mapping[Variable, str]) -> str:
    def value(match: re.Match[str]) -> str:
        text = values[match[1]]  # type: ignore[index]
        return _UNSAFE.sub(_quote_match, text)

    return _BRACES.sub(value, template)[:HEADER_CHARACTERS_MAX].rstrip()


def _quote_match(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode(errors="replace"))


def _size(parameters: Parameters) -> int:
    added = msgspec.json.encode([parameters.set, parameters.default])
    return len(added) + _AROUND_BYTES


def _paths(value: Mapping[str, Any]) -> Iterable[list[str]]:
    for name, inner in value.items():
        yield [name]
        if isinstance(inner, dict):
            yield from ([name, *rest] for rest in _paths(inner))


def _set_parameters(tree: dict[str, Any], parameters: Parameters, *, gemini: bool) -> None:
    for name in parameters.remove:
        _set_member(tree, name.split("."), None, gemini=gemini)
    for name, value in parameters.default.items():
        if not _has_member(tree, name.split("."), gemini=gemini):
            _set_member(tree, name.split("."), value, gemini=gemini)
    for name, value in parameters.set.items():
        _set_member(tree, name.split("."), value, gemini=gemini)


def _set_member(tree: dict[str, Any], path: list[str], value: Any, *, gemini: bool) -> None:
    """Set a member of an object, or remove it (None). Other values on the path are replaced."""
    name, *rest = path
    spelled = _find_spelling(tree, name, gemini=gemini)
    if not rest:
        if spelled is not None and (value is None or spelled != name):
            del tree[spelled]
        if value is not None:
            tree[name] = value
        return
    inner = None if spelled is None else _members(tree[spelled])
    if inner is None:
        if value is None:
            return
        inner = {}
    _set_member(inner, rest, value, gemini=gemini)
    tree[spelled or name] = inner


def _has_member(tree: Mapping[str, Any], path: list[str], *, gemini: bool) -> bool:
    """Return whether a request sets a parameter to a value other than null."""
    name, *rest = path
    spelled = _find_spelling(tree, name, gemini=gemini)
    if spelled is None or _is_null(tree[spelled]):
        return False
    if not rest:
        return True
    inner = _members(tree[spelled])
    # A value that is not an object cannot have members, so the client's choice stays.
    return inner is None or _has_member(inner, rest, gemini=gemini)


def _find_spelling(tree: Mapping[str, Any], name: str, *, gemini: bool) -> str | None:
    """Return the spelling of a member in an object, or None."""
    if name in tree:
        return name
    if not gemini:
        return None
    wanted = camel_name(name)
    return next((key for key in tree if camel_name(key) == wanted), None)


def _members(value: Any) -> dict[str, Any] | None:
    """Return the members of an object, parsing raw ones, or None for any other value."""
    if isinstance(value, dict):
        return dict(value)
    if not isinstance(value, msgspec.Raw):
        return None
    try:
        return dict(msgspec.json.decode(value, type=dict[str, msgspec.Raw]))
    except msgspec.ValidationError:
        return None


def _is_null(value: Any) -> bool:
    return value is None or (isinstance(value, msgspec.Raw) and bytes(value) == b"null")

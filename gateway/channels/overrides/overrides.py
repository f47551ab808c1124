"""A channel's overrides: validation for every write, and their text form with one per line.

set NAME VALUE        a parameter with its value as JSON
default NAME VALUE    the same, for requests that do not set it
remove NAME
Name: value           a header

A rule with conditions is several lines, of which the first states them:

when model gpt-5*,o3 endpoint responses team acme/core
openai set NAME VALUE
header Name: value
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from math import isfinite
from typing import Any, Final, get_args

import msgspec
from django.utils.translation import gettext

from accounts.limits.rules import ENDPOINTS
from dialects.chat.chat import Dialect
from dialects.json.not_json import NOT_JSON
from gateway.channels import bounds
from gateway.channels.overrides import rules
from gateway.channels.overrides.condition_rules import VALUES_MAX
from gateway.channels.overrides.conditions import check_teams
from gateway.channels.overrides.rules import OverrideRule, Parameters, RequestOverrides
from gateway.channels.refusals import ChannelRefused
from gateway.providers.header_names import names_caller
from gateway.providers.provider import Provider

_DEPTH_MAX: Final = 20
_VERBS: Final = ("set", "default", "remove")
_WHEN: Final = "when"
_CONDITIONS: Final = ("model", "endpoint", "team")
_APIS: Final = get_args(Dialect)


def check_overrides(provider: Provider, fields: Mapping[str, Any]) -> dict[str, Any]:
    """Validate overrides and return them in the stored form. Raises ChannelRefused."""
    try:
        overrides = msgspec.convert(fields, RequestOverrides)
    except msgspec.ValidationError as error:
        raise ChannelRefused("overrides", str(error)) from error
    for dialect, parameters in overrides.parameters.items():
        _check_parameters(f"overrides.parameters.{dialect}", dialect, parameters)
    prompt = overrides.system_prompt
    if prompt is not None:
        if not _is_storable(prompt.text):
            text = gettext("The text contains characters that cannot be stored.")
            raise ChannelRefused("overrides.system_prompt", text)
        if not 0 < len(prompt.text) <= rules.PROMPT_CHARACTERS_MAX:
            text = gettext("Enter a text of at most %(n)s characters.")
            raise ChannelRefused(
                "overrides.system_prompt", text % {"n": rules.PROMPT_CHARACTERS_MAX}
            )
    _check_no_address(overrides.client_headers)
    reserved = {spoken.auth.header for spoken in provider.dialects.values()}
    for field, names, may_have in (
        ("overrides.headers", overrides.headers, rules.is_header),
        ("overrides.client_headers", overrides.client_headers, rules.is_client_header),
    ):
        _check_header_names(field, names, partial(may_have, reserved=reserved))
    for name, template in overrides.headers.items():
        _check_header_value("overrides.headers", name, template)
    _check_rules(overrides.when, reserved)
    return rules.stored_overrides(overrides)


def check_rule_teams(overrides: Mapping[str, Any]) -> None:
    """Raise ChannelRefused if a rule of overrides, in the stored form, names a team that does not
    exist. One that is removed later fits nobody, and prevents no other change."""
    for rule in overrides.get("when", ()):
        check_teams("overrides.when", rule.get("teams", ()))


def _check_rules(when: Sequence[OverrideRule], reserved: Iterable[str]) -> None:
    field = "overrides.when"
    if len(when) > rules.CONDITIONAL_MAX:
        text = gettext("At most %(n)s rules with conditions are possible.")
        raise ChannelRefused(field, text % {"n": rules.CONDITIONAL_MAX})
    for rule in when:
        values = (rule.models, rule.endpoints, rule.teams)
        if not any(values):
            text = gettext("Name a model, an endpoint or a team for each rule with conditions.")
            raise ChannelRefused(field, text)
        if not (rule.parameters or rule.headers):
            text = gettext("A rule with conditions sets no parameter and no header.")
            raise ChannelRefused(field, text)
        if max(map(len, values)) > VALUES_MAX:
            raise ChannelRefused(field, gettext("Enter at most %(n)s values.") % {"n": VALUES_MAX})
        for model in rule.models:
            if len(model) > bounds.MODEL_MAX or not re.fullmatch(bounds.MODEL_PATTERN, model):
                text = gettext("%(name)s is not the name of a model.") % {"name": model[:60]}
                raise ChannelRefused(field, text)
        for endpoint in rule.endpoints:
            if endpoint not in ENDPOINTS:
                text = gettext("There is no endpoint named %(name)s. Known are %(known)s.")
                named = {"name": endpoint[:60], "known": ", ".join(ENDPOINTS)}
                raise ChannelRefused(field, text % named)
        for dialect, parameters in rule.parameters.items():
            _check_parameters(field, dialect, parameters)
        _check_header_names(field, rule.headers, partial(rules.is_header, reserved=reserved))
        for name, template in rule.headers.items():
            _check_header_value(field, name, template)


def _check_parameters(field: str, dialect: Dialect, parameters: Parameters) -> None:
    names = parameters.names
    if len(names) > rules.PARAMETERS_MAX:
        text = gettext("At most %(n)s parameters can be changed.") % {"n": rules.PARAMETERS_MAX}
        raise ChannelRefused(field, text)
    for name in names:
        if not rules.is_path(name):
            text = gettext("%(name)s is not the name of a parameter.") % {"name": name[:60]}
            raise ChannelRefused(field, text)
        if names.count(name) > 1:
            text = gettext("%(name)s is changed twice.") % {"name": name}
            raise ChannelRefused(field, text)
        value = {**parameters.set, **parameters.default}.get(name)
        if value is None and name not in parameters.remove:
            text = gettext("%(name)s has no value. Use remove to take it out.") % {"name": name}
            raise ChannelRefused(field, text)
        _check_value(field, name, value)
        if rules.is_protected(dialect, name, value):
            text = gettext(
                "%(name)s cannot be changed: what a request may cost, or the form of its answer, "
                "depends on it."
            )
            raise ChannelRefused(field, text % {"name": name})


def _check_value(field: str, name: str, value: Any) -> None:
    size = len(_json(value).encode("utf-8", "surrogatepass"))
    if _depth(value) > _DEPTH_MAX or size > rules.VALUE_BYTES_MAX:
        text = gettext("The value of %(name)s is too large.") % {"name": name}
        raise ChannelRefused(field, text)
    if not all(map(_is_storable, _scalars(value))):
        text = gettext("The value of %(name)s contains what cannot be stored.") % {"name": name}
        raise ChannelRefused(field, text)


def _check_no_address(client_headers: Iterable[str]) -> None:
    for name in client_headers:
        if names_caller(name.lower()):
            text = gettext(
                "The header %(name)s cannot be forwarded: it can contain the caller's network "
                "address. You can set the header to a fixed value instead."
            )
            raise ChannelRefused("overrides.client_headers", text % {"name": name[:60]})


def _check_header_names(field: str, names: Iterable[str], may_have: Callable[[str], bool]) -> None:
    lower_names = [name.lower() for name in names]
    if len(lower_names) > rules.HEADERS_MAX:
        text = gettext("At most %(n)s headers can be set.") % {"n": rules.HEADERS_MAX}
        raise ChannelRefused(field, text)
    for name in lower_names:
        if not may_have(name):
            text = gettext("The header %(name)s cannot be set.") % {"name": name[:60]}
            raise ChannelRefused(field, text)
        if lower_names.count(name) > 1:
            text = gettext("The header %(name)s is there twice.") % {"name": name}
            raise ChannelRefused(field, text)


def _check_header_value(field: str, name: str, template: str) -> None:
    if not rules.is_header_value(template):
        text = gettext("The value of %(name)s can only contain visible ASCII characters.")
        raise ChannelRefused(field, text % {"name": name[:60]})
    unknown = rules.unknown_variable(template)
    if unknown is not None:
        text = gettext("There is no variable %(name)s. Known are %(known)s.")
        known = ", ".join(f"{{{variable}}}" for variable in rules.VARIABLES)
        raise ChannelRefused(field, text % {"name": unknown[:60], "known": known})


def _depth(value: Any) -> int:
    """Return how deeply a value is nested, counted only to one more than the limit."""
    depth, level = 0, [value]
    while level and depth <= _DEPTH_MAX:
        depth, level = depth + 1, [part for item in level for part in _parts(item)]
    return depth


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _scalars(value: Any) -> Iterable[Any]:
    """Yield everything in a value that is neither an object nor a list, and the names in it."""
    if isinstance(value, dict):
        yield from value
    if not isinstance(value, dict | list):
        yield value
    for part in _parts(value):
        yield from _scalars(part)


def _is_storable(value: Any) -> bool:
    """Return whether the database can store it: no NUL, no lone surrogate, no NaN."""
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
    return not isinstance(value, float) or isfinite(value)


# Text -------------------------------------------------------------------------------------------


def parameters_text(parameters: Parameters) -> str:
    """Return one parameter per line, as `read_parameters` parses them."""
    lines = [f"set {name} {_json(value)}" for name, value in parameters.set.items()]
    lines += [f"default {name} {_json(value)}" for name, value in parameters.default.items()]
    lines += [f"remove {name}" for name in parameters.remove]
    return "\n".join(lines)


def read_parameters(text: str) -> Parameters:
    """Parse parameter lines. Raises ChannelRefused for an invalid line."""
    by_verb: dict[str, dict[str, Any]] = {verb: {} for verb in _VERBS}
    for line in filter(None, map(str.strip, text.splitlines())):
        verb, _, rest = line.partition(" ")
        name, _, value = rest.strip().partition(" ")
        if verb not in _VERBS or not name or (verb == "remove") != (not value.strip()):
            message = gettext("%(line)s is not a rule. Write: set NAME VALUE, default NAME VALUE, "
                              "or remove NAME.")  # fmt: skip
            raise ChannelRefused("overrides.parameters", message % {"line": line[:60]})
        if name in by_verb[verb]:
            message = gettext("%(name)s is changed twice.") % {"name": name[:60]}
            raise ChannelRefused("overrides.parameters", message)
        by_verb[verb][name] = _value(name, value.strip()) if value else None
    return Parameters(by_verb["set"], by_verb["default"], tuple(by_verb["remove"]))


def headers_text(headers: Mapping[str, str]) -> str:
    """Return one header per line, as `read_headers` parses them."""
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def read_headers(text: str) -> dict[str, str]:
    """Parse header lines. Raises ChannelRefused for an invalid line, and for a repeated name."""
    headers: dict[str, str] = {}
    for line in filter(None, map(str.strip, text.split("\n"))):
        name, colon, value = line.partition(":")
        if not colon:
            message = gettext("%(line)s is not a header. Write: Name: value.")
            raise ChannelRefused("overrides.headers", message % {"line": line[:60]})
        if name.strip() in headers:
            message = gettext("The header %(name)s is there twice.") % {"name": name[:60]}
            raise ChannelRefused("overrides.headers", message)
        headers[name.strip()] = value.strip()
    return headers


def rules_text(when: Sequence[OverrideRule]) -> str:
    """Return the rules with conditions, as `read_rules` parses them."""
    blocks = []
    for rule in when:
        conditions = {"model": rule.models, "endpoint": rule.endpoints, "team": rule.teams}
        named = [f"{word} {','.join(values)}" for word, values in conditions.items() if values]
        lines = [f"{_WHEN} {' '.join(named)}"]
        for api, parameters in rule.parameters.items():
            lines += [f"{api} {line}" for line in parameters_text(parameters).splitlines()]
        lines += [f"header {line}" for line in headers_text(rule.headers).splitlines()]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def read_rules(text: str) -> list[dict[str, Any]]:
    """Parse rules with conditions into the form of a write. Raises ChannelRefused for an invalid
    line."""
    blocks: list[tuple[str, list[str]]] = []
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.split(" ", 1)[0] == _WHEN:
            blocks.append((line, []))
        elif not blocks:
            raise _bad_rule(line)
        else:
            blocks[-1][1].append(line)
    return [{**_read_conditions(line), **_read_changes(lines)} for line, lines in blocks]


def _read_conditions(line: str) -> dict[str, list[str]]:
    _, *words = line.split()
    conditions: dict[str, list[str]] = {}
    if len(words) % 2:
        raise _bad_rule(line)
    for word, values in zip(words[::2], words[1::2], strict=True):
        if word not in _CONDITIONS or f"{word}s" in conditions:
            raise _bad_rule(line)
        conditions[f"{word}s"] = values.split(",")
    return conditions


def _read_changes(lines: Sequence[str]) -> dict[str, Any]:
    by_api: dict[str, list[str]] = {}
    for line in lines:
        first, _, rest = line.partition(" ")
        if first != "header" and first not in _APIS:
            raise _bad_rule(line)
        by_api.setdefault(first, []).append(rest.strip())
    headers = read_headers("\n".join(by_api.pop("header", ())))
    parameters = {api: read_parameters("\n".join(changes)) for api, changes in by_api.items()}
    return {
        "parameters": {api: plain_parameters(read) for api, read in parameters.items()},
        "headers": headers,
    }


def plain_parameters(parameters: Parameters) -> dict[str, Any]:
    """Return parameters in the form of a write."""
    return {
        "set": parameters.set,
        "default": parameters.default,
        "remove": list(parameters.remove),
    }


def _bad_rule(line: str) -> ChannelRefused:
    text = gettext("%(line)s is not part of a rule. Write: when model NAME, then lines such as "
                   "openai set NAME VALUE, or header Name: value.")  # fmt: skip
    return ChannelRefused("overrides.when", text % {"line": line[:60]})


def _value(name: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (UnicodeEncodeError, *NOT_JSON) as error:
        message = gettext('The value of %(name)s is not JSON. Texts need quotes: "low".')
        raise ChannelRefused("overrides.parameters", message % {"name": name[:60]}) from error


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)

"""The panel beside a chat: parameters, system prompt, tools, schema, body."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accounts.access.actors import Actor
from content.prompts.settings import Settings
from content.prompts.variables import names_in
from gateway.providers.capabilities import Capabilities
from lib.ids import id_text
from playground.models_offered.offered_models import capabilities_of_model
from playground.panel.parameters import Parameter, parameters_of
from playground.panel.presets import visible_presets
from playground.panel.settings import TOOL_CHOICES, write_json
from playground.panel.words import PARAMETERS

PANES = ("params", "tools", "schema", "body", "code", "debug")
# What the form of a new chat lacks, and its panes show as empty.
_TEXTS = ("max_cost", "raw", "schema", "tool_choice", "tools")


@dataclass(frozen=True)
class Control:
    """A parameter with its current value."""

    parameter: Parameter
    label: str
    help: str
    value: str

    @property
    def changed(self) -> bool:
        return self.value != ""


def panel_context(
    actor: Actor, model: str, form: Mapping[str, str], dropped: Sequence[str] = ()
) -> dict[str, Any]:
    """Build the context of the panes from the form's values (see
    `panel.settings.read_settings`)."""
    capabilities = capabilities_of_model(model)
    system = form.get("system", "")
    return {
        "controls": controls(capabilities, form),
        "dropped": [str(PARAMETERS[name][0]) for name in dropped if name in PARAMETERS],
        "panel_model": model,
        "form": {**dict.fromkeys(_TEXTS, ""), **form},
        "system": system,
        "variables": [(name, form.get(f"var.{name}", "")) for name in names_in(system)],
        "tool_choices": TOOL_CHOICES[1:],
        "tools_able": capabilities.tools,
        "schema_able": capabilities.json != "none",
        "presets": [
            {"id": id_text(preset.id), "name": preset.name, "shared": preset.shared,
             "own": preset.user_id == (actor.user.id if actor.user else None)}
            for preset in visible_presets(actor)
        ],
    }  # fmt: skip


def controls(capabilities: Capabilities, form: Mapping[str, str]) -> list[Control]:
    """Return the model's parameters with the form's values."""
    return [
        Control(
            parameter,
            str(PARAMETERS[parameter.name][0]),
            str(PARAMETERS[parameter.name][1]),
            form.get(f"p.{parameter.name}", ""),
        )
        for parameter in parameters_of(capabilities)
    ]


def form_of(settings: Settings) -> dict[str, str]:
    """Return the form values that express these settings."""
    form = {f"p.{name}": _word(value) for name, value in settings.params.items()}
    form |= {f"var.{name}": value for name, value in settings.variables.items()}
    form |= {"system": settings.system, "tool_choice": settings.tool_choice,
             "max_cost": settings.max_cost, "trim": "oldest" if settings.trim else ""}  # fmt: skip
    if settings.tools:
        form["tools"] = write_json(list(settings.tools))
    if settings.schema is not None:
        form["schema"] = write_json(settings.schema)
    if settings.raw is not None:
        form["raw"] = write_json(settings.raw)
    if settings.serial:
        form["serial"] = "on"
    if settings.strict:
        form["strict"] = "on"
    return {name: word for name, word in form.items() if word}


def _word(value: Any) -> str:
    return "\n".join(value) if isinstance(value, list) else str(value)

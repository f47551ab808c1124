"""A faster update of Django's migration state between two operations.

Django renders a changed model again with all models related to it in any direction. Most of our
models lead to an organisation, so nearly all are rendered for each added field: ten of the twelve
seconds that a new installation's tables took. A class refers to others only by its relations and
bases, so only the models that lead to the changed one need rendering.
"""

from django.db.migrations.state import ProjectState

ModelKey = tuple[str, str]


def render_less() -> None:
    """Let the migrations of this process render only the models that refer to a changed model."""
    ProjectState._find_reload_model = _models_leading_to  # type: ignore[attr-defined]


def _models_leading_to(
    state: ProjectState, app_label: str, model_name: str, _direct: bool = False
) -> set[ModelKey]:
    """Return the model and each model that refers to it by relations or inheritance, also
    indirectly."""
    sources: set[ModelKey] = set()
    waiting = [(app_label, model_name)]
    while waiting:
        key = waiting.pop()
        if key not in sources:
            sources.add(key)
            waiting += _leading_to(state, key)
    return sources


def _leading_to(state: ProjectState, key: ModelKey) -> list[ModelKey]:
    try:
        model = state.apps.get_model(*key)
    except LookupError:
        return []
    relations = [
        field.related_model
        for field in model._meta.get_fields(include_hidden=True)
        if field.auto_created and not field.concrete
    ]
    subclasses = [one for one in model.__subclasses__() if one._meta.apps is state.apps]
    return [
        (one._meta.app_label, one._meta.model_name)
        for one in [*relations, *subclasses]
        if not isinstance(one, str)
    ]

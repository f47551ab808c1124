"""What the media pages show of a task service: the fields of its form, the request that they form,
and its results.

    values      the fields of a form by their names, as texts; "" means the model's default
    MediaField  one field, for display
    MediaAsk    the operation and its body, as an API client would write them

InvalidMedia    the form cannot be sent; `field` and `code` say why
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dialects.media.file_types import Kind
from playground.models_offered.media_model import MediaModel


class InvalidMedia(ValueError):
    """The form cannot be sent. `code`: no_prompt, too_long, no_picture, no_sound, no_voice,
    no_number, no_language, few_pictures; `detail` has the numbers for its text."""

    def __init__(self, field: str, code: str, **detail: Any) -> None:
        super().__init__(f"{field}: {code}")
        self.field = field
        self.code = code
        self.detail = detail


@dataclass(frozen=True)
class MediaField:
    """A form field: one of `choices`, a "number" from `low` to `high`, "text", or "hidden".
    `default` is its initial value; `required` excludes "". It is shown only with a value of the
    field `only_with`, if it names one."""

    name: str
    form: str = "choice"
    choices: Sequence[str] = ()
    default: str = ""
    required: bool = False
    low: float = 0
    high: float = 0
    only_with: str = ""


@dataclass(frozen=True)
class MediaAsk:
    """A request. The caller adds the files, which are form parts named by role."""

    operation: str
    body: dict[str, Any] = field(default_factory=dict)


class ServiceResult:
    """A result for display, as the service's template reads it. `dialog` is the action that waits
    for an answer, "" for none."""

    dialog: str = ""


@dataclass(frozen=True)
class PlayedFile:
    """The files of a service that a page plays: their name and media type."""

    name: str
    media_type: str


@dataclass(frozen=True, kw_only=True)
class MediaService:
    """The page of a task service. Texts are translated when they are shown.

    `kind` is stored with each run, `service` is the name of the task service, `page` the URL name
    of the page, `place` its place among the tabs. `title`, `icon`, `search_words` and `help` (a
    section of the manual) are those of its link. `none_offered` and `nothing_yet` are its titles
    without models, and without results; `placeholder` is an example of a prompt.

    `choose` orders the models of the form, and leaves out those of buttons. `fields` and `build`
    are the form of a model and its request; `needs_prompt` says whether the prompt may be empty.
    `roles` are the files that it takes, by the kind of file, and `in_body` the members of the
    body for them, by operation. `picture_label` is the label of pictures for a model, "" for none.
    `without_prompt` are models without a field for the prompt. `model_of` returns the model that
    the button of a result asks for, "" for none. With `titled_by_source` a run without a prompt
    has that of the run that it begins with. `initial` returns the first values of a form that
    continues a result; it gets the values, and a function that returns a run by its id, for
    display, and the values of that run's form.

    `read_task` returns the id of an accepted task from the answer. `describe` returns the result of
    a run, for its template: of an organisation (its slug), the run, its task, and the prices of
    calls if `priced`; None while there is nothing. `dialog_template` shows a result that waits, for
    which `waits` is the text. `plays` are the files of a result.

    `actions` are the names of the models, `labels` and `hints` those of fields, `values` the texts
    of choices. `typed` are fields with text of a person, `usual` the values that go without
    saying, `unseen` the fields that no reader understands.
    """

    kind: str
    service: str
    page: str
    place: int
    title: Any
    icon: str
    search_words: Any
    help: str
    none_offered: Any
    nothing_yet: Any
    fields: Callable[[MediaModel], list[MediaField]]
    build: Callable[[MediaModel, str, Mapping[str, str], Collection[str]], MediaAsk]
    needs_prompt: Callable[[MediaModel, Mapping[str, str]], bool]
    read_task: Callable[[bytes], str]
    describe: Callable[[str, Any, Any, Mapping[str, int]], ServiceResult | None]
    result_template: str
    choose: Callable[[list[MediaModel]], list[MediaModel]] = lambda models: models
    placeholder: Any = ""
    roles: Mapping[str, Kind] = field(default_factory=dict)
    in_body: Mapping[str, Callable[[Mapping[str, str]], dict[str, Any]]] = field(
        default_factory=dict
    )
    picture_label: Callable[[str], Any] = lambda model: ""
    without_prompt: Collection[str] = ()
    model_of: Callable[[Mapping[str, str]], str] = lambda form: ""
    titled_by_source: bool = False
    initial: Callable[[dict[str, str], Callable[[str], Any]], dict[str, str]] = (
        lambda values, read_run: values
    )
    priced: bool = False
    dialog_template: str = ""
    waits: Any = ""
    plays: PlayedFile | None = None
    actions: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, Any] = field(default_factory=dict)
    hints: Mapping[str, Any] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    typed: Sequence[str] = ()
    usual: Sequence[tuple[str, str]] = ()
    unseen: Sequence[str] = ()

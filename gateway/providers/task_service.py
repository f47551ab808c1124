"""A service of media tasks with paths of its own (`/mj/submit/imagine`), as data."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from dialects.errors.task_errors import Family
from gateway.providers.capabilities import Capabilities, Product
from gateway.providers.provider import Provider
from gateway.providers.task_form import TaskForm


class ExampleCall(NamedTuple):
    """A first request to a model: the operation, the path and the body."""

    operation: str
    path: str
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskService:
    """A service that makes pictures, songs or videos.

    `provider` serves its tasks, `form` says how they are polled. `family` writes the errors below
    its paths, which all match the regular expression `paths` and begin with `begins`; `key_header`
    is a header that may carry the key there. `operations` are the names in the records of the
    requests that start a task. Examples name `example_model`, or a model that is served and whose
    name contains the provider's.

    Where its tasks are not videos, its models are for nothing else: `product` says what they are
    for, `products` in the plural, `kind` the media, and `example` calls one. `models` are their
    rows in the catalogue of models, by name or by pattern, and `owners` the names of who makes
    them. `file_path` serves the files of a task, `{id}`, by a signed link.
    """

    provider: Provider
    form: TaskForm
    family: Family
    begins: str
    paths: str
    operations: tuple[str, ...]
    key_header: str = ""
    example_model: str = ""
    product: Product | None = None
    products: str = ""
    kind: str = ""
    example: Callable[[str], ExampleCall] | None = None
    models: Mapping[str, Capabilities] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    file_path: str = ""

    @property
    def name(self) -> str:
        """The name of its form, which is stored with each task."""
        return self.form.operation

"""What the entry point of an extension names (docs/guides/writing-an-extension.md)."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Extension:
    """Each part is named as "package.module:attribute". Every Django process loads the parts after
    this object, at its start or when it first needs them; this object's module imports none."""

    app: str = ""
    """A Django app, by its package: models, templates, static files, translations, tasks."""

    settings: str = ""
    """A module. Its names in capitals become settings; it reads them with `lib.env`."""

    urls: str = ""
    """A list of URL patterns. Each view has an access class (`accounts/guards/guards.py`)."""

    pages: str = ""
    """Tabs of the menu: lists of `NavigationPage`, by the URL name of its entry's first page."""

    operations: str = ""
    """Operations of the management API: an `accounts.access.operations.Router`."""

    jobs: str = ""
    """Background jobs: a list of `config.jobs.schedule.Job`."""

    providers: str = ""
    """A list of `gateway.providers.provider.Provider`, which channels can name."""

    guards: str = ""
    """Guards of policies: a mapping from a name to a `content.detectors.registry.Guard`."""

    importers: str = ""
    """Hubs of `weir import`: a mapping from a name to an `extensions.import_hubs.peers.Peer`."""

    usage_sink: str = ""
    """Where usage records are sent: a `usage.sinks.usage_sink.UsageSink`, or a `UsageCopy`."""

    content_sink: str = ""
    """Where what the content log keeps is sent too: a `content.sinks.sinks.ContentSink`."""

    service: str = ""
    """A service of media tasks: a `gateway.providers.task_service.TaskService`."""

    service_rows: str = ""
    """The paths of that service: a `relay.endpoints.service_rows.ServiceRows`."""

    service_pages: str = ""
    """Its pages in the API reference: `reference.operations.service_pages.ServicePages`."""

    media: str = ""
    """Its page in the playground: a `playground.media.service.MediaService`."""

    key_endpoints: str = ""
    """Endpoints that keys can be limited to: a mapping from their names in records to a path."""

    endpoints: str = ""
    """Paths of the model API, with `{id}` or without: each one's `relay.front.request.Endpoint`."""

"""The models of the control plane, one file for each subject."""

from gateway.models.announcements import (
    Announcement,
    AnnouncementDismissal,
    AnnouncementTone,
)
from gateway.models.answers import (
    AnswerPiece,
    CachedAnswer,
    IdempotentAnswer,
    KeptState,
)
from gateway.models.catalogue import (
    CatalogueIgnoreRule,
    CatalogueUpdate,
    FactState,
    ModelEntry,
    ModelProposal,
)
from gateway.models.channels import (
    Channel,
    ChannelKey,
    ChannelReport,
    ChannelRest,
    ChannelTestRun,
    ModelListing,
    OnLeave,
    Route,
    UpstreamPriceList,
)
from gateway.models.media_tasks import MediaTask, TaskState
from gateway.models.own_keys import OwnKey, OwnKeyOffer
from gateway.models.price_previews import (
    PreviewState,
    PricePreview,
)
from gateway.models.routing import (
    ModelAlias,
    ModelRule,
    ShadowAnswer,
    ShadowSpend,
)
from gateway.models.settings import (
    InstallationSetting,
)
from gateway.models.traffic import (
    ChannelKeyUse,
    ChannelSpend,
    KeyTrafficBucket,
    TrafficBucket,
    TrafficCursor,
    TrafficTotal,
)

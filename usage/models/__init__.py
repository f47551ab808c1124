"""Models of usage: one file for each noun."""

from usage.models.bills import (
    BillDifference,
    BillMapping,
    BillMatch,
    DifferenceKind,
    ProviderBill,
)
from usage.models.chart_notes import (
    ChartNote,
)
from usage.models.checks import (
    BooksCheck,
    Finding,
)
from usage.models.exports import (
    Export,
    ExportPiece,
    ExportState,
)
from usage.models.feedback import (
    Feedback,
)
from usage.models.late_truth import (
    LateRecord,
    LateTruth,
    TruthSource,
)
from usage.models.months import (
    DetachedMonth,
    MonthFile,
)
from usage.models.records import (
    Attempt,
    ClientAddress,
    UsageRecord,
)
from usage.models.reviews import (
    AcceptedMember,
    Review,
    SettleAs,
)
from usage.models.rollups import (
    DayRollup,
    HistogramField,
    HourRollup,
    MinuteRollup,
    Rollup,
    RollupWatermark,
)
from usage.models.saved_views import (
    ReportReceiver,
    ReportSchedule,
    SavedView,
    ViewPage,
)

"""The path of Jimeng."""

from dataclasses import replace
from typing import Final

from extensions.jimeng.answers import show_jimeng_result
from extensions.jimeng.dialect import FAMILY, asks_for_result
from extensions.jimeng.orders import JIMENG_VIDEOS
from extensions.jimeng.provider import SERVICE
from relay.endpoints.service_rows import QUESTION_BYTES_MAX, ServiceRows, order_row
from relay.front.request import Endpoint

_RESULT: Final = Endpoint(
    show_jimeng_result, ("POST",), "openai", "jimeng_videos", QUESTION_BYTES_MAX, "jimeng_result",
    family=FAMILY,
)  # fmt: skip
ROWS: Final = ServiceRows(
    service=SERVICE,
    exact={
        "/jimeng": replace(
            order_row(SERVICE, "jimeng_videos", JIMENG_VIDEOS),
            asking=_RESULT,
            is_asked=asks_for_result,
        )
    },
)

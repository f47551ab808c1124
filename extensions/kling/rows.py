"""The paths of Kling, which are also those of its own API."""

from typing import Final

from extensions.kling.answers import show_kling_video
from extensions.kling.dialect import FAMILY
from extensions.kling.orders import IMAGE_TO_VIDEO, TEXT_TO_VIDEO
from extensions.kling.provider import SERVICE
from relay.endpoints.service_rows import ServiceRows, order_row
from relay.front.request import Endpoint

_KINDS: Final = {
    "text2video": order_row(SERVICE, "kling_text2video", TEXT_TO_VIDEO),
    "image2video": order_row(SERVICE, "kling_image2video", IMAGE_TO_VIDEO),
}
_OF_VIDEO: Final = {
    f"videos/{kind}/{{id}}": Endpoint(
        show_kling_video, ("GET",), operation=row.operation, shows="kling_video",
        path_names="task", family=FAMILY,
    )
    for kind, row in _KINDS.items()
}  # fmt: skip
_ORDERS: Final = {
    f"{root}/v1/videos/{kind}": row for kind, row in _KINDS.items() for root in ("/kling", "")
}
ROWS: Final = ServiceRows(
    service=SERVICE,
    exact=_ORDERS,
    naming={f"(?:/kling)?/v1/{path}": row for path, row in _OF_VIDEO.items()},
    listed=_ORDERS
    | {f"{root}/v1/{path}": row for root in ("/kling", "") for path, row in _OF_VIDEO.items()},
)

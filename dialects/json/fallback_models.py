"""The fallback models that a request names."""

from typing import Final

import msgspec

from dialects.errors.errors import RequestFault
from dialects.json.body import Body
from dialects.json.members import check_model

FALLBACKS_MAX: Final = 8
_texts = msgspec.json.Decoder(list[str])


def read_fallbacks(body: Body) -> list[str] | None:
    """Return the fallback models in order: our own field `models`. None if it is absent, which
    differs from an empty list. Raises RequestFault.
    """
    raw = body.value("models")
    if raw is None or raw == b"null":
        return None
    try:
        models = _texts.decode(raw)
    except msgspec.ValidationError:
        what = "models must be an array of model names"
        raise RequestFault("invalid_type", "models", what) from None
    if len(models) > FALLBACKS_MAX:
        what = f"models may have at most {FALLBACKS_MAX} names"
        raise RequestFault("invalid_value", "models", what)
    return [check_model(model) for model in models]

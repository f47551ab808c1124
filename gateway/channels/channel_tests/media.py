"""Test inputs for channel tests: an image, a file and a sound, as small as providers accept."""

import base64
import io
import math
import struct
import wave
from functools import cache
from typing import Final

COLOUR: Final = "red"
WORD: Final = "kestrel"
# 64 x 64 pixels, all of them red.
PICTURE: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAEAAAABACAIAAAAlC+aJAAAAS0lEQVR42u3PQQkAAAgAsetfWiP4FgYrsKZeS0BAQEBA"
    "QEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEDgsqnc8OJg6Ln3AAAAAElFTkSuQmCC"
)
_TONE_HZ: Final = 440
_RATE_HZ: Final = 8000
_LOUD: Final = 8000


@cache
def document() -> str:
    """Return a PDF of one page that shows WORD, in base64."""
    drawn = f"BT /F 36 Tf 60 120 Td ({WORD}) Tj ET"
    objects = (
        "<< /Type /Catalog /Pages 2 0 R >>",
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 300 240] /Contents 4 0 R "
        "/Resources << /Font << /F 5 0 R >> >> >>",
        f"<< /Length {len(drawn)} >>\nstream\n{drawn}\nendstream",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    )
    written, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, start=1):
        places.append(len(written))
        written += f"{number} 0 obj\n{body}\nendobj\n"
    size, at = len(objects) + 1, len(written)
    written += f"xref\n0 {size}\n0000000000 65535 f \n"
    written += "".join(f"{place:010} 00000 n \n" for place in places)
    written += f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{at}\n%%EOF\n"
    return base64.b64encode(written.encode("ascii")).decode()


@cache
def sound() -> str:
    """Return half a second of one tone as WAV, in base64."""
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, _RATE_HZ, 0, "NONE", ""))
        turns = (2 * math.pi * _TONE_HZ * n / _RATE_HZ for n in range(_RATE_HZ // 2))
        wav.writeframes(b"".join(struct.pack("<h", int(_LOUD * math.sin(turn))) for turn in turns))
    return base64.b64encode(file.getvalue()).decode()

"""What the parser raises for a text that is no JSON."""

from typing import Final

import msgspec

# Wrong syntax or types, too deep nesting, or a string that is no UTF-8. The parser checks a string
# only where it decodes it, so a raw member can have such a one.
NOT_JSON: Final = (msgspec.DecodeError, RecursionError, UnicodeDecodeError)

"""Types of ids and names: mypy rejects a team's id where a key's is expected, or an upstream's
model name where the catalogue's is. The type is assigned once, where a row is read or an id is
created.
"""

import uuid
from typing import NewType

OrganisationId = NewType("OrganisationId", uuid.UUID)
TeamId = NewType("TeamId", uuid.UUID)
KeyId = NewType("KeyId", uuid.UUID)
ChannelId = NewType("ChannelId", uuid.UUID)
RequestId = NewType("RequestId", uuid.UUID)
AttemptId = NewType("AttemptId", uuid.UUID)
UserId = NewType("UserId", int)
PriceVersionId = NewType("PriceVersionId", int)
"""Of a price list."""
CostVersionId = NewType("CostVersionId", int)
"""The version of a channel's cost price."""
ModelName = NewType("ModelName", str)
"""The catalogue's name of a model."""
UpstreamModelName = NewType("UpstreamModelName", str)
"""The provider's name of a model, at a channel."""
ChannelName = NewType("ChannelName", str)

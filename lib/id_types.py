"""Types of ids and names: mypy rejects a team's id where a key's is expected, or an upstream's
model name where the catalogue's is. The type is given once, where a row is read or an id is drawn.
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
"""Of what a channel costs us."""
ModelName = NewType("ModelName", str)
"""As the catalogue names a model."""
UpstreamModelName = NewType("UpstreamModelName", str)
"""As a channel's provider names it."""
ChannelName = NewType("ChannelName", str)

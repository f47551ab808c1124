"""Types of ids and names. With them mypy rejects a team's id in place of a key's id, or an
upstream's model name in place of the catalogue's. A value gets its type once, where a row is read
or an id is created.
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
"""A version of a customer price."""
CostVersionId = NewType("CostVersionId", int)
"""The version of a channel's cost price."""
ModelName = NewType("ModelName", str)
"""The catalogue's name of a model."""
UpstreamModelName = NewType("UpstreamModelName", str)
"""The provider's name of a model, at a channel."""
ChannelName = NewType("ChannelName", str)

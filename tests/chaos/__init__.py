"""The slow lane (`make chaos`): processes that are killed while they work, and who pays for it."""

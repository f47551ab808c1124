"""English: short months, 24 hours (Nov 20, 2026, 14:02). Chinese is as Django has it."""

DATE_FORMAT = "M j, Y"
DATETIME_FORMAT = "M j, Y, H:i"
TIME_FORMAT = "H:i"

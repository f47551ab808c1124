"""Scenes: pages as they are when more has happened than in the world of `test_answers.py`, such as
a price that ended, or a field that is wrong. A module for each room has its scenes, and
`outlines/scenes_<room>.txt` what they say."""
